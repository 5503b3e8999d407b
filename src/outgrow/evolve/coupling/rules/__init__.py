"""What each ATen op means for the dims that flow through it."""

__all__ = ["follow"]

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from outgrow.evolve.coupling.rules.contractions import CONTRACTION_RULES
from outgrow.evolve.coupling.rules.elementwise import follow_elementwise
from outgrow.evolve.coupling.rules.normalisations import NORMALISATION_RULES
from outgrow.evolve.coupling.rules.reductions import REDUCTIONS, follow_reduction
from outgrow.evolve.coupling.rules.selections import SELECTION_RULES
from outgrow.evolve.coupling.rules.spatial import SPATIAL, follow_spatial
from outgrow.evolve.coupling.rules.views import VIEW_RULES
from outgrow.evolve.coupling.trace import Trace

_Rule = Callable[[Trace, Any, tuple[Any, ...], dict[str, Any], Any], None]
_RULES: dict[str, _Rule] = {
    **CONTRACTION_RULES,
    **NORMALISATION_RULES,
    **SELECTION_RULES,
    **VIEW_RULES,
    **dict.fromkeys(REDUCTIONS, follow_reduction),
    **dict.fromkeys(SPATIAL, follow_spatial),
}


def follow(trace: Trace, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], results: Any) -> None:
    """Label what an op gave."""
    name = func._schema.name
    rule = _RULES.get(name.removeprefix("aten::"))
    inputs = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
    outputs = [one for one in tree_leaves(results) if isinstance(one, Tensor)]
    if rule is not None:
        rule(trace, func, args, kwargs, results)
    elif torch.Tag.pointwise in func.tags or name.removeprefix("aten::") in _ALSO_ELEMENTWISE:
        follow_elementwise(trace, inputs, outputs)
    elif not any(one.dim() for one in inputs):
        for tensor in outputs:
            trace.label(tensor, trace.fresh(tensor, "is made within the model"))
    else:
        why = f"{trace.module or 'the model'} calls {name}, of which nothing is known"
        trace.refuse(inputs, why)
        for tensor in outputs:
            trace.label(tensor, trace.fresh(tensor, why))


_ALSO_ELEMENTWISE = frozenset(
    {
        "copy_",
        "native_dropout",
        "bernoulli",
        "bernoulli_",
        "zeros_like",
        "ones_like",
        "empty_like",
        "full_like",
        "rand_like",
        "randn_like",
        "fill",
        "fill_",
        "zero_",
        "masked_fill",
        "masked_fill_",
        "nan_to_num",
        "_prelu_kernel",
        "rrelu_with_noise",
        "native_dropout_backward",
        "tril",
        "triu",
    }
)
"""Ops that treat every element apart, though torch does not tag them so."""
