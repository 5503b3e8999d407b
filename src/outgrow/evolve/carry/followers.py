"""Whatever has to learn of a change: optimizers, schedulers, averages, replicas, compiled code."""

__all__ = ["Followers"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from outgrow.evolve.carry.averages import check_average, follow_with_average
from outgrow.evolve.carry.compiled import forget_compiled
from outgrow.evolve.carry.optimizers import (
    check_optimizers,
    enrol_new,
    follow_with_optimizer,
    optimizers_of,
)
from outgrow.evolve.carry.replicas import rebuild_reducer
from outgrow.evolve.carry.schedulers import check_schedulers, schedulers_of
from outgrow.evolve.carry.wrappers import check_changeable, unwrapped
from outgrow.evolve.edits.promise import Promised
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.surgery.surgery import Surgery
from outgrow.evolve.transactions.random_state import RandomState


@dataclass(frozen=True, slots=True, kw_only=True)
class Followers:
    """What is trained together with a model and holds tensors of its shapes."""

    optimizer: Any = None
    """A `torch.optim.Optimizer`, a list of them, or None."""
    scheduler: Any = None
    """A learning-rate scheduler of that optimizer, a list of them, or None."""
    ema: Any = None
    """A `torch.optim.swa_utils.AveragedModel` of the model, a copy that is averaged by hand, or None."""

    def check(self, model: nn.Module) -> None:
        """See, before anything is changed, that all of them can follow.

        Raises:
            InputError: one is of another model, or holds only part of this one.
            CannotFollow: one is of a kind that cannot follow.
        """
        inner = unwrapped(model)
        check_changeable(model)
        optimizers = optimizers_of(self.optimizer)
        check_optimizers(inner, optimizers)
        check_schedulers(schedulers_of(self.scheduler), optimizers)
        if self.ema is not None:
            check_average(inner, self.ema)

    def follow(
        self,
        surgery: Surgery,
        change: Callable[[Surgery], object],
        *,
        inputs: ExampleInputs,
        promise: str | Promised,
        random_state: RandomState,
    ) -> None:
        """Make them fit the model as it is now; `surgery.take_back()` undoes it, too.

        Args:
            surgery: the change.
            change: what made it; for an average it is done again.
            inputs: what the promise is checked with.
            promise: what was held for the model, and is held for the average.
            random_state: as it was before the change.

        Raises:
            CannotFollow: part of their state cannot follow.
            NotExact: the outputs of the average moved further than `promise` allows.
        """
        names = {id(parameter): name for name, parameter in surgery.model.named_parameters()}
        optimizers = optimizers_of(self.optimizer)
        for optimizer in optimizers:
            follow_with_optimizer(surgery, optimizer, names)
        if optimizers:
            enrol_new(surgery, optimizers, names)
        if self.ema is not None:
            follow_with_average(
                surgery, self.ema, change, inputs=inputs, promise=promise, random_state=random_state
            )

    @staticmethod
    def renew(model: nn.Module) -> None:
        """After a change, or after one was taken back: what was built for the old shapes is built anew."""
        rebuild_reducer(model)
        forget_compiled()
