"""outgrow itself, with a weight budget."""

__all__ = ["Outgrow", "as_json"]

import dataclasses
import enum
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.systems.system import System


class Outgrow(System):
    """`outgrow.stream.load(path, budget=…)`; options of the spec are handed on to it."""

    name = "outgrow"
    has_budget = True

    def load_libraries(self, spec: Any) -> None:
        super().load_libraries(spec)
        import outgrow.stream

        outgrow.stream.load  # noqa: B018  # a lazy attribute would be imported here

    def open(self, spec: Any) -> Any:
        import outgrow.stream

        return outgrow.stream.load(spec.model, budget=spec.budget_bytes, **spec.options)

    def statistics(self, model: Any) -> dict[str, Any] | None:
        import outgrow.stream

        found = as_json(outgrow.stream.statistics(model))
        return found if isinstance(found, dict) else {"value": found}

    def close(self, model: Any) -> None:
        import outgrow.stream

        close = getattr(outgrow.stream, "close", None)
        if close is not None:
            close(model)


def as_json(value: Any) -> Any:
    """Dataclasses, enums, paths and mappings as plain JSON values; anything else as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, enum.Enum):
        return as_json(value.value)
    if isinstance(value, list | tuple | set | frozenset):
        return [as_json(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.name if isinstance(value, Path) else str(value)
