"""The one way in which every operator changes a model: change, check, carry over, or take everything back."""

__all__ = ["Outcome", "make_edit", "perform"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from torch import nn

from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.carry.replicas import agreed
from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.edits.inverse import Inverse, inverse_of
from outgrow.evolve.edits.promise import Promised, check_promise, outputs_before, refuse_unsteady
from outgrow.evolve.errors import NotExact
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.surgery.surgery import Surgery
from outgrow.evolve.transactions.random_state import RandomState

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a change did to the outputs."""

    promise: str
    """The promise that was held."""
    change: float
    """How far the outputs moved, relatively."""
    checked: tuple[str, ...]
    """The modes in which they were compared."""
    inverse: Inverse
    """The way back."""
    average: Inverse | None
    """The way back for the average of the model; None where there is none."""


def perform(
    model: nn.Module,
    inputs: ExampleInputs,
    change: Callable[[Surgery], object],
    *,
    promise: str | Promised,
    followers: Followers,
) -> Outcome:
    """Change `model` in place and check what was promised.

    After any exception, Ctrl-C included, the model, its optimizer and its averages are as they were.

    Args:
        model: what is changed.
        inputs: what it is called with to compare its outputs.
        change: makes the change; everything was decided before.
        promise: the weakest promise that is allowed, for a change that is exact by its arithmetic; a
            `Promised` says more.
        followers: what is trained with the model.

    Raises:
        CannotCheck: the outputs cannot be compared; nothing has changed.
        NotExact: they moved further than is allowed.
    """
    promised = promise if isinstance(promise, Promised) else Promised(allow=promise)
    return _performed(model, inputs, change, promised, followers, lambda outcome: outcome)


def make_edit(
    model: nn.Module,
    inputs: ExampleInputs,
    change: Callable[[Surgery], object],
    *,
    operator: str,
    site: str,
    arguments: Mapping[str, Any],
    promised: Promised,
    followers: Followers,
) -> Edit:
    """`perform`, and the edit that says what was done; an operator returns it at once."""
    return _performed(
        model,
        inputs,
        change,
        promised,
        followers,
        lambda outcome: Edit(
            operator=operator,
            site=site,
            arguments=arguments,
            promise=outcome.promise,
            change=outcome.change,
            checked=outcome.checked,
            inverse=outcome.inverse,
            average=outcome.average,
        ),
    )


def _performed(
    model: nn.Module,
    inputs: ExampleInputs,
    change: Callable[[Surgery], object],
    promised: Promised,
    followers: Followers,
    build: Callable[[Outcome], Result],
) -> Result:
    """The result is built before the last moment at which everything can be taken back."""
    followers.check(model)
    inner = unwrapped(model)
    random_state = RandomState.now()
    inverses: list[Inverse] = []

    def recorded(surgery: Surgery) -> None:
        # Called for the model, and again for its average.
        change(surgery)
        inverses.append(inverse_of(surgery))

    surgery = Surgery(inner)
    try:
        with agreed(model, surgery):
            before = outputs_before(inner, inputs)
            recorded(surgery)
            checked = check_promise(inner, inputs, before, promise=promised)
            followers.follow(surgery, recorded, inputs=inputs, promise=promised, random_state=random_state)
        followers.renew(model)
        return build(
            Outcome(
                promise=checked.promise,
                change=checked.change,
                checked=checked.modes,
                inverse=inverses[0],
                average=inverses[1] if len(inverses) > 1 else None,
            )
        )
    except BaseException as error:
        surgery.take_back()
        followers.renew(model)
        if isinstance(error, NotExact):
            refuse_unsteady(inner, inputs, before)
        raise
