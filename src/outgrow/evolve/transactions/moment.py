"""A moment of a training to which it can go back."""

__all__ = ["Moment", "Training"]

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.carry.optimizers import check_optimizers, optimizers_of
from outgrow.evolve.carry.schedulers import check_schedulers, schedulers_of
from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.transactions.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A model, and all that its training changes."""

    model: nn.Module
    """May be wrapped in `DistributedDataParallel`, or compiled."""
    optimizer: Any = None
    """Of the model, or a list of them."""
    scheduler: Any = None
    """Of the optimizer, or a list of them."""
    ema: Any = None
    """An `AveragedModel` of the model."""
    also: Iterable[Any] = ()
    """Whatever else training changes."""

    def __post_init__(self) -> None:
        """Refuse what does not belong together.

        Raises:
            InputError: the optimizer does not hold the model's parameters, or the scheduler is of another.
        """
        optimizers = optimizers_of(self.optimizer)
        check_optimizers(unwrapped(self.model), optimizers)
        check_schedulers(schedulers_of(self.scheduler), optimizers)
        object.__setattr__(self, "also", tuple(self.also))

    @property
    def roots(self) -> tuple[Any, ...]:
        """Everything on which what has to be remembered hangs."""
        average = () if self.ema is None else (self.ema,)
        return (
            self.model,
            *optimizers_of(self.optimizer),
            *schedulers_of(self.scheduler),
            *average,
            *self.also,
        )


class Moment:
    """Where a training stands; it can be put back there any number of times."""

    def __init__(self, training: Training, on: torch.device | str | None) -> None:
        self._model = training.model
        self._structure = _structure(training.model)
        self._snapshot = Snapshot(*training.roots, device=on)

    @property
    def nbytes(self) -> int:
        """Bytes of the copies."""
        return self._snapshot.nbytes

    def put_back(self) -> None:
        """Put everything back, bit for bit and in place; where Ctrl-C comes in between, all the same."""
        has_changed = _structure(self._model) != self._structure
        try:
            self._snapshot.put_back()
        except BaseException:
            self._snapshot.put_back()
            raise
        finally:
            if has_changed:
                Followers.renew(self._model)

    def put_back_random_state(self) -> None:
        """Put back the random numbers alone."""
        self._snapshot.random_state.put_back()


def _structure(model: nn.Module) -> list[tuple[Any, ...]]:
    """What reducers and compiled code were built for."""
    modules = [(name, id(module)) for name, module in model.named_modules()]
    weights = [
        (name, id(tensor), tensor.data_ptr(), tensor.shape, tensor.requires_grad)
        for name, tensor in model.named_parameters()
    ]
    return [*modules, *weights]
