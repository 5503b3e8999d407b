"""The tensors that a model gives, found in whatever holds them, and how far two sets of them are apart."""

__all__ = ["output_tensors", "relative_change"]

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from outgrow.evolve.errors import CannotCheck

_NOT_OUTPUTS = frozenset({"past_key_values", "cache_params"})
"""Caches are the model's own notes: their shapes follow its heads."""
_FILLING = 1e4
"""The least number that masks fill in for "never"."""
_APART = 100
"""How many times the largest of the others such a number is."""


def output_tensors(output: Any, name: str = "output") -> dict[str, Tensor]:
    """Name to tensor, for tensors in tuples, lists, mappings and dataclasses, at any depth.

    Raises:
        CannotCheck: one of them is sparse or nested.
    """
    if isinstance(output, Tensor):
        if output.is_nested or output.layout is not torch.strided:
            raise CannotCheck(
                f"{name} is a {'nested' if output.is_nested else 'sparse'} tensor: nothing can be compared",
                hint="let the model give a dense tensor (to_dense, to_padded_tensor)",
            )
        return {name: output}
    if isinstance(output, Mapping):
        items = [(f"{name}.{key}", value) for key, value in output.items() if key not in _NOT_OUTPUTS]
    elif isinstance(output, tuple | list):
        items = [(f"{name}[{place}]", value) for place, value in enumerate(output)]
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        fields = [field.name for field in dataclasses.fields(output) if field.name not in _NOT_OUTPUTS]
        items = [(f"{name}.{field}", getattr(output, field)) for field in fields]
    else:
        return {}
    return {each: tensor for key, value in items for each, tensor in output_tensors(value, key).items()}


def relative_change(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> float:
    """The largest of `max |actual - expected| / max |expected|` over the tensors.

    Of a tensor that is zero everywhere, the largest absolute change; of integers and booleans, the share of
    the elements that differ. inf where names, shapes, dtypes or the places that are not finite differ. Large
    numbers that stand far apart from all others, as masks fill them in (-1e9), are compared for themselves:
    beside them every change would look like rounding.
    """
    if actual.keys() != expected.keys():
        return float("inf")
    return max((_change(actual[name], expected[name]) for name in expected), default=0.0)


def _change(actual: Tensor, expected: Tensor) -> float:
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return float("inf")
    if not expected.numel() or torch.equal(actual, expected):
        return 0.0
    if not expected.is_floating_point() and not expected.is_complex():
        return float((actual != expected).double().mean())
    one, two = _wide(actual), _wide(expected)
    finite = two.isfinite()
    if not torch.equal(one.isfinite(), finite) or not torch.equal(
        one[~finite].nan_to_num(), two[~finite].nan_to_num()
    ):
        return float("inf")
    if not finite.any():
        return 0.0
    return _relative((one[finite] - two[finite]).abs(), two[finite].abs())


def _relative(change: Tensor, magnitude: Tensor) -> float:
    """The largest change over the largest magnitude, apart for what masks have filled in."""
    scale = float(magnitude.max())
    small = magnitude < scale / _APART
    if scale >= _FILLING and bool(small.any()):
        below = float(magnitude[small].max())
        if 0 < below * _APART < float(magnitude[~small].min()):
            return max(_relative(change[part], magnitude[part]) for part in (small, ~small))
    return float(change.max()) / (scale or 1.0)


def _wide(tensor: Tensor) -> Tensor:
    given = torch.view_as_real(tensor.detach()) if tensor.is_complex() else tensor.detach()
    return given.double()
