"""Tensors from numbers: `tensor`, `from_numpy`, `randn`, `rand`, `zeros`, `ones`, and `cat`."""

__all__ = ["cat", "from_numpy", "ones", "rand", "randn", "tensor", "zeros"]

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outgrow.errors import InputError
from outgrow.shard.client.device import DEVICE
from outgrow.shard.interface.dtypes import as_torch_dtype, float32
from outgrow.shard.interface.reference_tensor import ReferenceTensor, as_reference


def tensor(data: Any, dtype: Any = float32, requires_grad: bool = False) -> ReferenceTensor:
    """A tensor from nested lists, in `dtype`, or from a numpy array or another tensor, in its own dtype.

    Raises:
        InputError: numbers of a kind that torch has none for.
    """
    if isinstance(data, Tensor):
        return as_reference(data.detach().to(DEVICE, copy=True), requires_grad=requires_grad)
    if not isinstance(data, np.ndarray):
        return as_reference(
            torch.tensor(data, dtype=as_torch_dtype(dtype)).to(DEVICE), requires_grad=requires_grad
        )
    return from_numpy(data, requires_grad=requires_grad)


def from_numpy(array: Any, requires_grad: bool = False) -> ReferenceTensor:
    """A tensor with the contents that the array has now; changing it afterwards changes nothing.

    Raises:
        InputError: an array of objects, text, dates or another dtype that torch has none for.
    """
    array = np.asarray(array)
    try:
        local = torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))
    except TypeError as err:
        raise InputError(
            f"a numpy array of dtype {array.dtype} has no counterpart in torch",
            hint="convert it first: array.astype('float32')",
        ) from err
    return as_reference(local.reshape(array.shape).to(DEVICE), requires_grad=requires_grad)


def randn(*shape: Any, dtype: Any = float32, requires_grad: bool = False) -> ReferenceTensor:
    """Normal random numbers, from torch's own generator: `torch.manual_seed` gives the same ones again."""
    return _sent(torch.randn(_sizes(shape), dtype=as_torch_dtype(dtype)), requires_grad)


def rand(*shape: Any, dtype: Any = float32, requires_grad: bool = False) -> ReferenceTensor:
    """Random numbers from [0, 1); see `randn`."""
    return _sent(torch.rand(_sizes(shape), dtype=as_torch_dtype(dtype)), requires_grad)


def zeros(*shape: Any, dtype: Any = float32, requires_grad: bool = False) -> ReferenceTensor:
    """Zeros; they are made where they are needed, not sent."""
    made = torch.zeros(_sizes(shape), dtype=as_torch_dtype(dtype), device=DEVICE)
    return as_reference(made, requires_grad=requires_grad)


def ones(*shape: Any, dtype: Any = float32, requires_grad: bool = False) -> ReferenceTensor:
    """Ones; see `zeros`."""
    made = torch.ones(_sizes(shape), dtype=as_torch_dtype(dtype), device=DEVICE)
    return as_reference(made, requires_grad=requires_grad)


def cat(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """The tensors joined along an axis, with gradients.

    Raises:
        InputError: there are none.
    """
    if not len(tensors):
        raise InputError("cat() was given no tensors", hint="give it at least one")
    return torch.cat(list(tensors), dim=axis)


def _sent(local: Tensor, requires_grad: bool) -> ReferenceTensor:
    return as_reference(local.to(DEVICE), requires_grad=requires_grad)


def _sizes(shape: tuple[Any, ...]) -> tuple[int, ...]:
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    return tuple(int(size) for size in shape)
