"""What a graph does with sizes, beside ATen ops on tensors: a few functions of Python, by name."""

__all__ = ["size_function", "size_function_name"]

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch

_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **{
        name: getattr(operator, name)
        for name in ("add", "eq", "floordiv", "ge", "getitem", "gt", "le", "lt", "mod", "mul", "ne", "neg")
    },
    **{name: getattr(operator, name) for name in ("pow", "sub", "truediv")},
    "sym_float": float,
    "sym_int": int,
    "sym_max": max,
    "sym_min": min,
}
_NAMES: Mapping[Any, str] = {
    getattr(torch if name.startswith("sym_") else operator, name): name for name in _FUNCTIONS
}


def size_function(name: str) -> Callable[..., Any] | None:
    """The function of that name; None where there is none."""
    return _FUNCTIONS.get(name)


def size_function_name(function: Any) -> str | None:
    """The name of what stands in a traced graph; None where it has none here."""
    try:
        return _NAMES.get(function)
    except TypeError:  # what cannot be hashed is no function
        return None
