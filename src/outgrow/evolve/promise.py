"""What an operator promises of a model's outputs, checked on the spot."""

__all__ = ["PROMISES", "check_promise", "outputs_before"]

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from outgrow.evolve.errors import NotExact
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.outputs import output_tensors, relative_change
from outgrow.evolve.undisturbed import undisturbed

PROMISES = ("exact", "bounded", "lossy")
"""From the strictest on."""

_EXACT = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}
"""Relative change of the outputs up to which a change counts as rounding."""


def outputs_before(model: nn.Module, inputs: ExampleInputs) -> dict[str, Tensor]:
    """What the model gives in eval mode; the model is left as it was."""
    with undisturbed(model), torch.no_grad():
        model.eval()
        return {name: tensor.detach().clone() for name, tensor in output_tensors(inputs.call(model)).items()}


def check_promise(
    model: nn.Module, inputs: ExampleInputs, before: Mapping[str, Tensor], *, promise: str
) -> float:
    """How far the outputs have moved, relatively.

    Raises:
        NotExact: further than `promise` allows.
    """
    after = outputs_before(model, inputs)
    change = relative_change(after, before)
    dtypes = {parameter.dtype for parameter in model.parameters()} & _EXACT.keys()
    allowed = max((_EXACT[dtype] for dtype in dtypes), default=1e-5)
    if promise == "exact" and not change <= allowed:
        raise NotExact(
            f"the outputs moved by {change:.1e} relatively, and {allowed:.0e} is rounding",
            hint="the model is as it was; allow='bounded' makes the change all the same",
        )
    return change
