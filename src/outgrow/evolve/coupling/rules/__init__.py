"""What each ATen op means for the dims that flow through it."""

__all__ = ["follow"]

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.labels import Labels
from outgrow.evolve.coupling.rules.contractions import contraction_rules
from outgrow.evolve.coupling.rules.elementwise import ELEMENTWISE, UNIFORM, follow_elementwise
from outgrow.evolve.coupling.rules.layouts import layout_rules
from outgrow.evolve.coupling.rules.lookups import lookup_rules
from outgrow.evolve.coupling.rules.normalisations import normalisation_rules
from outgrow.evolve.coupling.rules.reductions import REDUCTIONS, follow_reduction
from outgrow.evolve.coupling.rules.selections import selection_rules
from outgrow.evolve.coupling.rules.spatial import SPATIAL, follow_spatial
from outgrow.evolve.coupling.rules.views import view_rules
from outgrow.evolve.coupling.trace import Trace, op_name

_Rule = Callable[[Trace, Any, tuple[Any, ...], dict[str, Any], Any], None]
_RULES: dict[str, _Rule] = {
    **contraction_rules,
    **layout_rules,
    **lookup_rules,
    **normalisation_rules,
    **selection_rules,
    **view_rules,
    **dict.fromkeys(REDUCTIONS, follow_reduction),
    **dict.fromkeys(SPATIAL, follow_spatial),
}


def follow(trace: Trace, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], results: Any) -> None:
    """Label what an op gave."""
    name = op_name(func)
    rule = _RULES.get(name)
    written = trace.labels(args[0]) if name.endswith("_") and isinstance(args[0], Tensor) else None
    inputs = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    outputs = [one for one in tree_leaves(results) if isinstance(one, Tensor)]
    if rule is not None:
        rule(trace, func, args, kwargs, results)
    elif torch.Tag.pointwise in func.tags or name in ELEMENTWISE:
        follow_elementwise(trace, inputs, outputs)
    elif name in UNIFORM:
        for tensor in outputs:
            trace.label(tensor, Labels(extents=tuple(_uniform_extent(size) for size in tensor.shape)))
    elif not any(one.dim() for one in inputs):
        for tensor in outputs:
            trace.label(tensor, trace.fresh(tensor, "is made within the model"))
    else:
        why = f"{trace.who} calls aten::{name}, of which nothing is known"
        trace.refuse(inputs, why)
        for tensor in outputs:
            trace.label(tensor, trace.fresh(tensor, why))
    if written is not None and written.weight is not None:
        trace.label(args[0], written)  # what is written into stays the weight that it is


def _uniform_extent(size: int) -> Extent:
    # Every index holds the same, so more of them may be asked for; whether they are shows when it is tried.
    return Extent(size, frozen="has one index only" if size == 1 else None)
