"""Ops on lists of tensors, `_foreach_*`: one instruction for each tensor, as torch does on the CPU."""

__all__ = ["each", "each_whole"]

import functools
from typing import Any, Final

import torch

from outgrow.shard.client.here import run_here
from outgrow.shard.client.recording import record
from outgrow.shard.client.tensor import WorkersTensor, fetched

_aten = torch.ops.aten

_UNARY: Final = (
    "abs", "acos", "asin", "atan", "ceil", "cos", "cosh", "erf", "erfc", "exp", "expm1", "floor", "frac",
    "lgamma", "log", "log10", "log1p", "log2", "max", "neg", "reciprocal", "round", "rsqrt", "sigmoid",
    "sign", "sin", "sinh", "sqrt", "tan", "tanh", "trunc",
)  # fmt: skip
_SINGLE: Final[dict[tuple[str, str], tuple[str, str]]] = {
    **{(name, "default"): (name, "default") for name in _UNARY},
    **{(name, kind): (name, "Tensor") for name in ("add", "sub", "mul", "div")
       for kind in ("Scalar", "ScalarList", "List", "Tensor")},
    **{(name, kind): (other, "default") for name, other in (
        ("clamp_min", "clamp_min"), ("clamp_max", "clamp_max"),
        ("maximum", "clamp_min"), ("minimum", "clamp_max"),
    ) for kind in ("Scalar", "ScalarList")},
    **{(name, "List"): (name, "default") for name in ("maximum", "minimum")},
    **{(name, "List"): (name, "Tensor") for name in ("clamp_min", "clamp_max", "lerp")},
    ("lerp", "Scalar"): ("lerp", "Scalar"),
    ("lerp", "ScalarList"): ("lerp", "Scalar"),
    ("pow", "Scalar"): ("pow", "Tensor_Scalar"),
    ("pow", "ScalarList"): ("pow", "Tensor_Scalar"),
    ("pow", "List"): ("pow", "Tensor_Tensor"),
    ("pow", "ScalarAndTensor"): ("pow", "Scalar"),
    **{(name, kind): (name, "default") for name in ("addcdiv", "addcmul")
       for kind in ("Scalar", "ScalarList", "Tensor")},
}  # fmt: skip
"""From name and overload of an op on lists, without its underscore, to the op that torch's own loop calls."""

_NO_TWIN: Final = ("_foreach_maximum_", "_foreach_minimum_")
"""Ops that write into tensors though no op of one tensor does."""


def each(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The op on each place of the lists."""
    single = _single(op)
    lists = [one for one in args if isinstance(one, (list, tuple))]
    count = max(map(len, lists), default=0)
    tensors = next((one for one in lists[0] if isinstance(one, WorkersTensor)), None) if lists else None
    if single is None or tensors is None or any(len(one) != count for one in lists):
        session = next(one for row in lists for one in row if isinstance(one, WorkersTensor))._session
        return run_here(op, args, kwargs, session)  # torch also says what is wrong with the lists
    args = list(args)
    if op._opname.startswith(("_foreach_addcdiv", "_foreach_addcmul")):
        value = args.pop() if len(args) > 3 else kwargs.get("value", kwargs.get("scalars", 1))
        if isinstance(value, WorkersTensor):
            value = fetched(value).tolist()
        values = value if isinstance(value, (list, tuple)) else [value] * count
        results = [
            record(single, places, {"value": number}) for *places, number in zip(*args, values, strict=True)
        ]
    else:
        columns = [one if isinstance(one, (list, tuple)) else [one] * count for one in args]
        results = [record(single, places, kwargs) for places in zip(*columns, strict=True)]
        if op._opname in _NO_TWIN:
            for tensor, result in zip(args[0], results, strict=True):
                tensor.copy_(result)
    return None if op._opname.endswith("_") else results


def each_whole(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Filling, copying and norms, through torch's calls for one tensor: these may need no instruction."""
    tensors, rest = args[0], args[1:]
    if op._opname == "_foreach_zero_":
        for tensor in tensors:
            tensor.zero_()
        return None
    if op._opname == "_foreach_norm":
        order = rest[0] if rest else kwargs.get("ord", 2)
        return [torch.linalg.vector_norm(one, order, dtype=kwargs.get("dtype")) for one in tensors]
    if op._opname == "_foreach_copy_":
        for tensor, other in zip(tensors, rest[0], strict=True):
            tensor.copy_(other)
        return None
    return [torch.empty_like(one).copy_(other) for one, other in zip(tensors, rest[0], strict=True)]


@functools.cache
def _single(op: Any) -> Any:
    """The op of one tensor; None where torch's loop does something else."""
    name = op._opname.removeprefix("_foreach_")
    found = _SINGLE.get((name.removesuffix("_"), op._overloadname))
    if found is None:
        return None
    in_place = name.endswith("_") and op._opname not in _NO_TWIN
    packet = getattr(_aten, found[0] + ("_" if in_place else ""))
    return getattr(packet, found[1])
