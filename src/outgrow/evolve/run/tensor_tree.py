"""Nested state, as optimizers have it, taken apart into JSON and tensors and put together again."""

__all__ = ["pack", "unpack"]

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from outgrow.errors import InputError


def pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The JSON of `value`; its tensors go to `tensors`.

    Takes dicts with any keys of the kinds below, lists, tuples, tensors, numbers, text, bool and None.

    Raises:
        InputError: it holds something else.
    """
    if isinstance(value, Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = value.detach()
        return {"tensor": name}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, Mapping):
        return {"dict": [[pack(key, tensors), pack(each, tensors)] for key, each in value.items()]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [pack(each, tensors) for each in value]}
    raise InputError(
        f"a {type(value).__name__} cannot be part of a checkpoint",
        hint="state may hold tensors, numbers, text, lists, tuples and dicts",
    )


def unpack(held: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `pack` took apart.

    Raises:
        ValueError: it makes no sense.
        KeyError: a tensor is missing.
    """
    if not isinstance(held, dict):
        return held
    if len(held) != 1:
        raise ValueError(f"{held!r} is no packed state")
    ((kind, content),) = held.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "float":
        return float(content)
    if kind == "dict":
        return {unpack(key, tensors): unpack(each, tensors) for key, each in content}
    if kind in ("list", "tuple"):
        items = [unpack(each, tensors) for each in content]
        return items if kind == "list" else tuple(items)
    raise ValueError(f"{kind!r} is no packed state")
