"""Arguments of ops as JSON: numbers, dtypes, devices, and references to values that were computed before."""

__all__ = ["Reference", "decode", "encode", "references"]

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from outgrow.errors import InputError

_OWN_DEVICE = "*"
"""Stands for the device that the model was on: a loaded model may be moved to another."""
_TORCH_WORDS = {"dtype": torch.dtype, "layout": torch.layout, "memory_format": torch.memory_format}


@dataclass(frozen=True, slots=True)
class Reference:
    """A value that an input or an earlier step of a graph gave."""

    number: int
    """Which one."""


def encode(value: Any, number_of: Callable[[Any], int | None], device: torch.device) -> Any:
    """What stands for `value` in JSON; `number_of` knows which values are references.

    Raises:
        InputError: there is no way to write it down.
    """
    number = number_of(value)
    if number is not None:
        return {"value": number}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, complex):
        return {"complex": [repr(value.real), repr(value.imag)]}
    if isinstance(value, list | tuple):
        return [encode(each, number_of, device) for each in value]
    if isinstance(value, torch.device):
        return {"device": _OWN_DEVICE if value == device or value.type == device.type else str(value)}
    for word, kind in _TORCH_WORDS.items():
        if isinstance(value, kind):
            return {word: str(value).removeprefix("torch.")}
    raise InputError(
        f"an op is called with a {type(value).__name__}, which an archive cannot hold",
        hint="save with graph=False: edits and weights, to be put onto the model's own class",
    )


def decode(value: Any, device: torch.device) -> Any:
    """The argument that `encode` wrote; values computed before are `Reference` still.

    Raises:
        ValueError: it makes no sense.
    """
    if isinstance(value, list):
        return [decode(each, device) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError(f"{value!r} is no argument")
    ((word, held),) = value.items()
    if word == "value" and type(held) is int:
        return Reference(held)
    if word == "float" and isinstance(held, str):
        return float(held)
    if word == "complex" and isinstance(held, list) and len(held) == 2:
        return complex(float(held[0]), float(held[1]))
    if word == "device" and isinstance(held, str):
        return device if held == _OWN_DEVICE else torch.device(held)
    if word in _TORCH_WORDS and isinstance(held, str):
        named = getattr(torch, held, None)
        if isinstance(named, _TORCH_WORDS[word]):
            return named
    raise ValueError(f"{value!r} is no argument")


def references(value: Any) -> Iterator[int]:
    """The numbers of all values that a decoded argument refers to."""
    if isinstance(value, Reference):
        yield value.number
    elif isinstance(value, list):
        for each in value:
            yield from references(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from references(each)
