"""Ops on lists of tensors, `_foreach_*`: one instruction for each tensor, as torch does on the CPU."""

__all__ = ["each"]

from typing import Any

import torch
from torch import Tensor

from outgrow.shard.client.recording import record

_aten = torch.ops.aten
_KEY = torch._C.DispatchKey.PrivateUse1

_SCALED = {"add", "sub", "mul", "div"}
_UNARY = {
    "abs", "acos", "asin", "atan", "ceil", "cos", "cosh", "erf", "erfc", "exp", "expm1", "floor", "frac", "lgamma",
    "log", "log10", "log1p", "log2", "neg", "reciprocal", "round", "rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt",
    "tan", "tanh", "trunc",
}  # fmt: skip


def each(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The op on each place of the lists."""
    single = _SINGLE.get((op._opname, op._overloadname), _UNKNOWN)
    if single is _UNKNOWN:
        single = _SINGLE[op._opname, op._overloadname] = _single(op)
    tensors = args[0]
    lists = [one for one in args if isinstance(one, (list, tuple))]
    if single is None or not tensors or any(len(one) != len(tensors) for one in lists):
        # torch's own loop over ops of one tensor each; it also says what is wrong with the lists.
        return op._op_dk(_KEY, *args, **kwargs)
    if op._opname.startswith(("_foreach_addcdiv", "_foreach_addcmul")):
        *args, value = args if len(args) > 3 else (*args, 1)
        values = value if isinstance(value, (list, tuple)) else [value] * len(tensors)
        results = [
            record(single, places, {"value": number})
            for places, number in zip(zip(*args, strict=True), values, strict=True)
        ]
    else:
        columns = [one if isinstance(one, (list, tuple)) else [one] * len(tensors) for one in args]
        results = [record(single, places, kwargs) for places in zip(*columns, strict=True)]
    return None if op._opname.endswith("_") else results


_UNKNOWN = object()
_SINGLE: dict[tuple[str, str], Any] = {}


def _single(op: Any) -> Any:
    """The op of one tensor that torch's loop calls; None where that is not sure."""
    name, overload = op._opname.removeprefix("_foreach_"), op._overloadname
    bare = name.removesuffix("_")
    packet = getattr(_aten, name, None)
    if bare in _UNARY and overload == "default":
        return packet.default  # type: ignore[union-attr]
    if bare in _SCALED and overload in ("Scalar", "List", "ScalarList"):
        return packet.Tensor  # type: ignore[union-attr]
    if bare in ("addcdiv", "addcmul") and overload in ("Scalar", "ScalarList"):
        return packet.default  # type: ignore[union-attr]
    if bare == "lerp":
        return {"List": packet.Tensor, "Scalar": packet.Scalar}.get(overload)  # type: ignore[union-attr]
    return None


def tensors_of(arguments: Any) -> list[Tensor]:
    """Tensors of a list."""
    return [one for one in arguments if isinstance(one, Tensor)]
