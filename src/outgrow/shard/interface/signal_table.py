"""All signals of a program, from files and from its own lines."""

__all__ = ["Config"]

import os
from pathlib import Path
from typing import Any

from outgrow.errors import nearest_names
from outgrow.shard.interface.signal_config import ConfigurationError, SignalConfig
from outgrow.shard.interface.signal_file import read_signals


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
