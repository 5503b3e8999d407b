"""Train for a moment to see what a change is worth, and put everything back."""

__all__ = ["Failure", "Fork", "paired_forks", "run_fork"]

import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import InputError
from outgrow.evolve.transactions.finite import check_finite
from outgrow.evolve.transactions.moment import Moment, Training

Arm = Callable[[], Any] | None
"""A change of the model, or None for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a fork came to nothing."""

    kind: str
    """Name of the exception's class."""
    text: str
    """What it says."""
    traceback: str
    """Where it came from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """What came of training for a moment."""

    losses: tuple[float, ...]
    """One for each step that was made."""
    measured: Any
    """What `measure` gave; None without it, or where the fork failed before."""
    edit: Any
    """What the change of the model gave, an `Edit` for example."""
    seconds: float
    """Of change, steps and measure, without putting back."""
    failure: Failure | None
    """None where it came to its end."""


def run_fork(
    moment: Moment,
    train_step: Callable[[Any], Any],
    batches: Iterable[Any],
    *,
    edit: Arm = None,
    measure: Callable[[], Any] | None = None,
) -> Fork:
    """Change the model, train it on `batches`, measure, and go back to `moment`, where training stands.

    KeyboardInterrupt and whatever else is no `Exception` is raised, after everything was put back.
    """
    losses: list[float] = []
    measured = made = failure = None
    began = time.perf_counter()
    try:
        if edit is not None:
            made = edit()
            # The same random numbers for all, however many a change has drawn.
            moment.put_back_random_state()
        losses.extend(_loss(train_step(batch)) for batch in batches)
        if measure is not None:
            measured = measure()
    except Exception as error:
        failure = Failure(
            kind=type(error).__name__, text=str(error), traceback="".join(traceback.format_exception(error))
        )
    finally:
        seconds = time.perf_counter() - began
        moment.put_back()
    return Fork(losses=tuple(losses), measured=measured, edit=made, seconds=seconds, failure=failure)


def paired_forks(
    model: nn.Module,
    arms: Mapping[str, Arm],
    train_step: Callable[[Any], Any],
    batches: Iterable[Any],
    *,
    optimizer: Any = None,
    scheduler: Any = None,
    ema: Any = None,
    also: Iterable[Any] = (),
    measure: Callable[[], Any] | None = None,
    on: torch.device | str | None = "cpu",
) -> dict[str, Fork]:
    """Train every arm for a moment, all from the same beginning, on the same batches.

    Every arm begins with the same weights, moments and random numbers, and behind each everything is put
    back, bit for bit, also where it fails.

    Args:
        model: what is trained.
        arms: name to a change of the model; None for the arm that changes nothing.
        train_step: takes a batch, makes one step (forward, backward, `optimizer.step()`), gives the loss.
        batches: read once, into memory.
        optimizer: of the model, or a list of them.
        scheduler: of the optimizer, or a list of them.
        ema: an `AveragedModel` of the model.
        also: whatever else `train_step` changes: a `GradScaler`, a `torch.Generator`.
        measure: called behind the last step of each arm, for example the loss on held-out data.
        on: where the copies lie meanwhile; None for on the devices of the tensors themselves.

    Raises:
        InputError: there is no batch, or the optimizer does not hold the model's parameters.
    """
    same = list(batches)
    if not same:
        raise InputError("there are no batches to fork on", hint="give at least one")
    training = Training(model=model, optimizer=optimizer, scheduler=scheduler, ema=ema, also=also)
    moment = Moment(training, on)
    return {
        name: run_fork(moment, train_step, same, edit=edit, measure=measure) for name, edit in arms.items()
    }


def _loss(value: Any) -> float:
    if not isinstance(value, Tensor | float | int) or (isinstance(value, Tensor) and value.numel() != 1):
        raise InputError(
            f"train_step gave a {type(value).__name__} and no loss",
            hint="let it return the loss of the batch, as a number or as a tensor of one element",
        )
    check_finite(value)
    return float(value.detach() if isinstance(value, Tensor) else value)
