"""Signals from YAML, strictly: every error names the file and the line."""

__all__ = ["read_signals"]

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from outgrow.errors import nearest_names
from outgrow.shard.interface.signal_config import ConfigurationError, ShardConfig, SignalConfig

_SIGNAL_KEYS: Final = ("shard", "backward", "compile")
_SHARD_KEYS: Final = ("axis", "workers", "replicated")


def read_signals(path: Path, known: Iterable[str] = ()) -> dict[str, tuple[SignalConfig, int]]:
    """The signals of a file with the line that each begins at.

    `known` are names that `backward` may refer to besides those of the file.

    Raises:
        ConfigurationError: no such file, no YAML, a key that means nothing, or a value that cannot be.
    """
    try:
        import yaml
    except ImportError as err:
        raise ConfigurationError(
            "a file of signals is YAML, and PyYAML is not installed", hint="pip install 'outgrow[shard]'"
        ) from err
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigurationError(
            f"the signals in {path} cannot be read: {err}",
            hint="GT_CONFIG and gt.load_config() name a YAML file",
        ) from err
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark is not None else str(path)
        problem = getattr(err, "problem", None) or str(err)
        raise ConfigurationError(f"{place}: no YAML: {problem}", hint="see docs/how-to/signals.md") from err
    reader = _Reader(path, yaml)
    if root is None:
        return {}
    found = {}
    for name, key, node in reader.entries(root, "the file", None):
        if name in found:
            raise reader.error(key, f"signal {name!r} is there twice", "give each its own name")
        found[name] = (reader.signal(name, node), key.start_mark.line + 1, node)
    names = {*known, *found}
    for name, (signal, _, node) in found.items():
        if signal.backward_signal is not None and signal.backward_signal not in names:
            near = ", ".join(nearest_names(signal.backward_signal, names)) or ", ".join(sorted(names)[:5])
            raise reader.error(
                reader.child(node, "backward"),
                f"signal {name!r} goes backward by {signal.backward_signal!r}, which is no signal",
                f"did you mean: {near}?",
            )
    return {name: (signal, line) for name, (signal, line, _) in found.items()}


class _Reader:
    """Nodes of one file, and errors that say where they are."""

    def __init__(self, path: Path, yaml: Any) -> None:
        self.path = path
        self.yaml = yaml

    def error(self, node: Any, message: str, hint: str) -> ConfigurationError:
        return ConfigurationError(f"{self.path}, line {node.start_mark.line + 1}: {message}", hint=hint)

    def entries(self, node: Any, what: str, allowed: tuple[str, ...] | None) -> list[tuple[str, Any, Any]]:
        """Keys, their nodes and their values' nodes."""
        expected = "names of signals" if allowed is None else ", ".join(allowed)
        if not isinstance(node, self.yaml.MappingNode):
            raise self.error(
                node, f"{what} is no mapping", f"write `key: value` lines; keys here are {expected}"
            )
        found = []
        seen = set()
        for key, value in node.value:
            name = self.value(key)
            if not isinstance(name, str) or (allowed is not None and name not in allowed):
                near = ", ".join(nearest_names(str(name), allowed or ()))
                raise self.error(
                    key,
                    f"{what} has a key {name!r} that means nothing",
                    f"did you mean {near}? possible are {expected}" if near else f"possible are {expected}",
                )
            if name in seen:
                raise self.error(key, f"{what} has the key {name!r} twice", "keep one of them")
            seen.add(name)
            found.append((name, key, value))
        return found

    def value(self, node: Any) -> Any:
        """The plain value of a node."""
        loader = self.yaml.SafeLoader("")
        try:
            return loader.construct_object(node, deep=True)
        except self.yaml.YAMLError as err:
            raise self.error(node, f"a value that cannot be: {err}", "use plain numbers and text") from err
        finally:
            loader.dispose()

    def child(self, node: Any, key: str) -> Any:
        """The node of a key."""
        return next(value for name, value in node.value if name.value == key)

    def signal(self, name: str, node: Any) -> SignalConfig:
        """One signal."""
        values: dict[str, Any] = {}
        for key, _, value in self.entries(node, f"signal {name!r}", _SIGNAL_KEYS):
            if key == "shard":
                values["shard"] = self.shard(name, value)
            else:
                field = "backward_signal" if key == "backward" else key
                values[field] = self.checked(value, field, lambda given: SignalConfig(**given))
        return SignalConfig(**values)

    def shard(self, name: str, node: Any) -> ShardConfig | None:
        """The `shard` of a signal; None for `shard: null`."""
        if self.value(node) is None:
            return None
        values = {
            key: self.checked(value, key, lambda given: ShardConfig(**given))
            for key, _, value in self.entries(node, f"'shard' of signal {name!r}", _SHARD_KEYS)
        }
        return ShardConfig(**values)

    def checked(self, node: Any, field: str, make: Any) -> Any:
        """A value that the field takes; the field's own error with the line in front."""
        value = self.value(node)
        try:
            make({field: value})
        except ConfigurationError as err:
            raise self.error(node, err.message, err.hint or "") from err
        return value
