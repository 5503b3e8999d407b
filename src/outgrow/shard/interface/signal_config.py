"""What a signal says about placement: values, checked when they are made."""

__all__ = ["Config", "ConfigurationError", "ShardConfig", "SignalConfig"]

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outgrow.errors import InputError, nearest_names


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


class Config:
    """All signals of a program, by name."""

    def __init__(self) -> None:
        self.signals: dict[str, SignalConfig] = {}
        self._places: dict[str, str] = {}

    def load(self, config_file: str | os.PathLike[str]) -> None:
        """Add the signals of a YAML file; of two with one name the later counts.

        Raises:
            ConfigurationError: the file is not there or says what cannot be; the error names file and line.
        """
        from outgrow.shard.interface.signal_file import read_signals

        path = Path(config_file)
        for name, (signal, line) in read_signals(path, self.signals).items():
            self.signals[name] = signal
            self._places[name] = f"{path}, line {line}"

    def load_from_env(self, env_var: str = "GT_CONFIG") -> None:
        """Load the file that an environment variable names, if it is set."""
        named = os.environ.get(env_var)
        if named:
            self.load(named)

    def get_signal(self, name: str) -> SignalConfig | None:
        """What a signal says; None where there is none of that name."""
        return self.signals.get(name)

    def has_signal(self, name: str) -> bool:
        """Whether there is one of that name."""
        return name in self.signals

    def register_signal(self, name: Any, config: Any) -> None:
        """Add a signal; it takes the place of one of the same name."""
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"the name of a signal is {name!r}, expected text", hint="'layer1'")
        if not isinstance(config, SignalConfig):
            raise ConfigurationError(
                f"signal {name!r} is {config!r}, expected a SignalConfig",
                hint="gt.SignalConfig(shard=gt.ShardConfig(axis=0))",
            )
        self.signals[name] = config
        self._places.pop(name, None)

    def clear(self) -> None:
        """Forget all signals."""
        self.signals.clear()
        self._places.clear()

    def title(self, name: str) -> str:
        """A signal's name and where it was defined, for errors."""
        return f"signal {name!r} ({self._places[name]})" if name in self._places else f"signal {name!r}"

    def nearest(self, name: str) -> str:
        """Known names that are most like `name`, for hints."""
        return ", ".join(nearest_names(name, self.signals)) or ", ".join(list(self.signals)[:5])
