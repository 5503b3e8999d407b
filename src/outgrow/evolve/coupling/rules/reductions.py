"""Reductions: dims that go, after a statistic was computed along them."""

__all__ = ["REDUCTIONS", "follow_reduction"]

from typing import Any

from torch import Tensor

from outgrow.evolve.coupling.labels import Labels
from outgrow.evolve.coupling.trace import Trace, op_name

REDUCTIONS = (
    "sum",
    "mean",
    "amax",
    "amin",
    "max",
    "min",
    "prod",
    "var",
    "std",
    "var_mean",
    "std_mean",
    "argmax",
    "argmin",
    "logsumexp",
    "linalg_vector_norm",
    "any",
    "all",
)
"""Names of ATen ops whose dims argument stands second, or third for a norm."""


def follow_reduction(
    trace: Trace, func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], results: Any
) -> None:
    """Keep the dims that are kept; the others have a statistic along them."""
    outputs = [
        one for one in (results if isinstance(results, tuple) else (results,)) if isinstance(one, Tensor)
    ]
    tensors = [one for one in args if isinstance(one, Tensor)]
    if len(tensors) > 1:  # max(a, b), seen in inference mode, treats every element apart
        from outgrow.evolve.coupling.rules.elementwise import follow_elementwise

        follow_elementwise(trace, tensors, outputs)
        return
    x = trace.labels(args[0])
    trace.use_all(x)
    count = len(x.extents)
    place = 2 if "norm" in op_name(func) else 1
    given = args[place] if len(args) > place else None
    if isinstance(given, bool):  # var(x, unbiased), likewise
        given = None
    chosen = [given] if isinstance(given, int) else list(given) if given else list(range(count))
    dims = {dim % count for dim in chosen} if count else set()
    for dim in dims:
        x.extents[dim].reduce(trace.module, op_name(func))
    for tensor in outputs:
        kept = tensor.dim() == count and count > 0
        fresh = trace.fresh(tensor, "is a statistic").extents
        extents = [
            fresh[dim] if kept and dim in dims else x.extents[dim]
            for dim in range(count)
            if kept or dim not in dims
        ]
        trace.label(tensor, Labels(extents=tuple(extents)))
