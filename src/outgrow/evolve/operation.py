"""The one way in which every operator changes a model: change, check, carry over, or take everything back."""

__all__ = ["Outcome", "perform"]

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.followers import Followers
from outgrow.evolve.promise import check_promise, outputs_before
from outgrow.evolve.surgery import Surgery


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a change did to the outputs."""

    promise: str
    """The promise that was held."""
    change: float
    """How far the outputs moved, relatively."""


def perform(
    model: nn.Module,
    inputs: ExampleInputs,
    change: Callable[[Surgery], None],
    *,
    promise: str,
    followers: Followers,
) -> Outcome:
    """Change `model` in place and check what was promised.

    After any exception, Ctrl-C included, the model, its optimizer and its averages are as they were.

    Raises:
        NotExact: the outputs moved further than `promise` allows.
    """
    before = outputs_before(model, inputs)
    surgery = Surgery(model)
    try:
        change(surgery)
        moved = check_promise(model, inputs, before, promise=promise)
        followers.follow(surgery)
    except BaseException:
        surgery.take_back()
        raise
    return Outcome(promise=promise, change=moved)
