"""What a signal says about placement: values, checked when they are made."""

__all__ = ["ConfigurationError", "ShardConfig", "SignalConfig"]

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from outgrow.errors import InputError


class ConfigurationError(InputError):
    """A file of signals, or a signal made by a program, says what cannot be."""


@dataclass(frozen=True, slots=True)
class ShardConfig:
    """How tensors lie with the workers."""

    axis: int = 0
    """Which dim is cut; below zero it counts from the back."""
    workers: Any = None
    """Numbers of the workers meant, as a tuple; None for all. One alone holds the whole tensor."""
    replicated: bool = False
    """Every worker holds the whole tensor; `axis` then means nothing."""

    def __post_init__(self) -> None:
        if isinstance(self.axis, bool) or not isinstance(self.axis, int):
            raise ConfigurationError(
                f"axis is {self.axis!r}, expected a whole number", hint="axis: 0 cuts the first dim"
            )
        if not isinstance(self.replicated, bool):
            raise ConfigurationError(
                f"replicated is {self.replicated!r}, expected true or false", hint="leave it out for false"
            )
        if self.workers is None:
            return
        if isinstance(self.workers, (str, bytes)) or not isinstance(self.workers, Iterable):
            raise ConfigurationError(
                f"workers is {self.workers!r}, expected a list of numbers", hint="workers: [0, 1]"
            )
        workers = tuple(self.workers)
        if not workers or any(
            isinstance(one, bool) or not isinstance(one, int) or one < 0 for one in workers
        ):
            raise ConfigurationError(
                f"workers is {list(workers)!r}, expected at least one number, none below zero",
                hint="leave it out for all workers",
            )
        if len(set(workers)) < len(workers):
            raise ConfigurationError(
                f"workers names one twice: {list(workers)!r}", hint="name each worker once"
            )
        object.__setattr__(self, "workers", workers)


@dataclass(frozen=True, slots=True)
class SignalConfig:
    """What happens between `signal.context(name)` and its end."""

    shard: ShardConfig | None = None
    """Where tensors made there lie; None leaves it to the planner."""
    backward_signal: str | None = None
    """The signal for gradients; None for the same as forwards."""
    compile: bool = False
    """Kept for files of the predecessor; steps that repeat become verified programs in any case."""

    def __post_init__(self) -> None:
        if self.shard is not None and not isinstance(self.shard, ShardConfig):
            raise ConfigurationError(
                f"shard is {self.shard!r}, expected a ShardConfig", hint="gt.ShardConfig(axis=0)"
            )
        if self.backward_signal is not None and not isinstance(self.backward_signal, str):
            raise ConfigurationError(
                f"backward_signal is {self.backward_signal!r}, expected the name of a signal",
                hint="leave it out for the same as forwards",
            )
        if not isinstance(self.compile, bool):
            raise ConfigurationError(
                f"compile is {self.compile!r}, expected true or false", hint="leave it out for false"
            )
