"""Forms: what a tensor looks like, interned, so that a cache may look things up by identity."""

__all__ = ["Form", "contiguous_stride", "form_of", "form_of_tensor"]

import functools
from typing import Any

import torch

from outgrow.shard.instructions import TensorMeta


class Form:
    """One for each shape, stride and dtype: two tensors that look alike have the same form object.

    Hashing an object is an order of magnitude cheaper than hashing the nested tuples that it stands for.
    """

    __slots__ = ("dtype", "meta", "shape", "stride")

    def __init__(self, meta: TensorMeta) -> None:
        self.meta = meta
        self.shape, self.stride, self.dtype = meta

    @property
    def elements(self) -> int:
        """How many numbers a tensor of this form has."""
        return self.meta.elements

    def is_dense(self) -> bool:
        """Every element has its own place and there is no gap: in some order of dims it is contiguous."""
        expected = 1
        for stride, size in sorted(zip(self.stride, self.shape, strict=True)):
            if size == 1:
                continue
            if stride != expected:
                return self.elements == 0
            expected *= size
        return True


@functools.cache
def form_of(shape: tuple[int, ...], stride: tuple[int, ...], dtype: torch.dtype) -> Form:
    """The form of these sizes, strides (in elements) and dtype."""
    return Form(TensorMeta(shape, stride, dtype))


def form_of_tensor(tensor: Any) -> Form:
    """The form that a tensor, or a fake of one, has."""
    return form_of(tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)


def contiguous_stride(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a row-major tensor, in elements, as torch gives them."""
    stride, step = [0] * len(shape), 1
    for dim in range(len(shape) - 1, -1, -1):
        stride[dim] = step
        step *= max(1, shape[dim])
    return tuple(stride)
