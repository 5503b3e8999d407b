"""Schedulers follow by themselves, because no change makes a parameter group or takes one away."""

__all__ = ["check_schedulers", "schedulers_of"]

from collections.abc import Sequence
from typing import Any

from torch import optim

from outgrow.errors import InputError


def schedulers_of(given: Any) -> tuple[Any, ...]:
    """The schedulers in what a caller gave: None, one or several."""
    if given is None:
        return ()
    return tuple(given) if isinstance(given, list | tuple) else (given,)


def check_schedulers(schedulers: Sequence[Any], optimizers: Sequence[optim.Optimizer]) -> None:
    """See that each scheduler is one of these optimizers'.

    Raises:
        InputError: it is another's, or no scheduler.
    """
    for scheduler in schedulers:
        if not hasattr(scheduler, "step"):
            raise InputError(
                f"scheduler is a {type(scheduler).__name__}",
                hint="give a torch.optim.lr_scheduler, or a list",
            )
        own = getattr(scheduler, "optimizer", None)
        if own is not None and optimizers and not any(own is one for one in optimizers):
            raise InputError(
                f"the {type(scheduler).__name__} is of another optimizer than the one that was given",
                hint="give the optimizer that the scheduler was made of",
            )
