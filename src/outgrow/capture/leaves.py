"""The tensors within what modules take and return, each with a name."""

__all__ = ["Leaf", "find_leaves"]

import dataclasses
import numbers
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

_DEPTH = 16


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A tensor within a value, or something that may hold tensors and is not looked into."""

    name: str
    """Where it is: `logits`, `0`, `past_key_values.3.keys`; empty for the value itself."""
    tensor: Tensor | None
    """None where `reason` says why there is none."""
    reason: str = ""


def find_leaves(value: Any, name: str = "") -> Iterator[Leaf]:
    """Every tensor in mappings, tuples, lists, named tuples, dataclasses, `ModelOutput` and key-value caches.

    None, numbers, text and dtypes are passed over. Anything else comes without a tensor and with a reason.
    """
    return _walk(value, name, _DEPTH)


def _walk(value: Any, name: str, depth: int) -> Iterator[Leaf]:
    if isinstance(value, Tensor):
        yield Leaf(name, value)
        return
    if value is None or isinstance(value, numbers.Number | str | bytes | slice):
        return
    parts = _parts(value)
    if parts is None:
        kind = type(value)
        if kind.__module__ not in ("torch", "builtins"):  # torch's: dtypes, devices, layouts, sizes
            yield Leaf(name, None, f"a {kind.__module__}.{kind.__qualname__} is not looked into")
    elif depth == 0:
        yield Leaf(name, None, f"it is nested deeper than {_DEPTH}")
    else:
        for key, part in parts:
            yield from _walk(part, f"{name}.{key}" if name else key, depth - 1)


def _parts(value: Any) -> list[tuple[str, Any]] | None:
    if isinstance(value, Mapping):  # also ModelOutput
        return [(str(key), part) for key, part in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, tuple | list):
        return [(str(index), part) for index, part in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return _cache_parts(value)


def _cache_parts(value: Any) -> list[tuple[str, Any]] | None:
    """Keys and values of a key-value cache as transformers builds them, known by its looks."""
    layers = getattr(value, "layers", None)
    if isinstance(layers, list) and layers and all(hasattr(layer, "keys") for layer in layers):
        return [
            (f"{index}.{part}", getattr(layer, part, None))
            for index, layer in enumerate(layers)
            for part in ("keys", "values")
            if isinstance(getattr(layer, part, None), Tensor)
        ]
    return None
