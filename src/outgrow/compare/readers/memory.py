"""Tensors, arrays and numbers that are in memory already."""

__all__ = ["read_memory"]

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from outgrow.compare.readers.advice import SAVE_PLAIN
from outgrow.compare.readers.dtypes import known_dtype
from outgrow.compare.readers.file_reader import FileContent
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.tree import Branch, Leaf, Part, Understood, flatten, scalar_leaf
from outgrow.errors import InputError

# What says how tensors were made, and holds no numbers itself.
_SETTINGS = (str, bytes, torch.dtype, torch.device, torch.layout)
_CODES = {torch.quint8: torch.uint8, torch.qint8: torch.int8, torch.qint32: torch.int32}


def read_memory(source: Tensor | Mapping[str, Any], limits: Limits) -> FileContent:
    """All tensors in a dict, nested as it likes, or just one. They are read when asked for, as they are then.

    Raises:
        InputError: there are more than `limits` allow.
    """
    return flatten(source, _understand, entry="(in memory)", limits=limits)


def _understand(value: object) -> Understood:
    if value is None or isinstance(value, _SETTINGS):
        return Leaf()
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, np.ndarray | np.generic):
        return Leaf((_array(np.asarray(value)),))
    if isinstance(value, bool | int | float | complex):
        return scalar_leaf(value)
    if isinstance(value, Mapping):
        return Branch((key if isinstance(key, str) else str(key), child) for key, child in value.items())
    if isinstance(value, list | tuple):
        return Branch(value, list_length=len(value))
    if isinstance(value, torch.nn.Module):
        raise InputError("is a module: give its state_dict()", hint="write model.state_dict() in its place")
    raise InputError(
        f"is a {type(value).__name__}; only tensors, numbers and plain containers are compared",
        hint=SAVE_PLAIN,
    )


def _tensor(tensor: Tensor) -> Leaf:
    if tensor.is_meta:
        raise InputError(
            "is a meta tensor: it has a shape and no numbers",
            hint="load its weights first: a model from the meta device has none yet",
        )
    if tensor.is_nested:
        raise InputError(
            "is a nested tensor: give its parts, as from unbind()",
            hint="write list(tensor.unbind()) in its place",
        )
    kind = type(tensor).__name__
    is_wrapper: bool = is_traceable_wrapper_subclass(tensor)
    if is_wrapper or kind == "FakeTensor":
        raise InputError(
            f"is a {kind}, which holds no plain numbers: give its full tensor",
            hint="write tensor.full_tensor() for a DTensor; other kinds have calls of their own",
        )
    shape = tuple(tensor.shape)
    if tensor.is_quantized:
        if tensor.dtype not in _CODES:
            raise InputError(
                f"is quantized to {tensor.dtype}, whose codes are not read",
                hint="write tensor.dequantize() in its place",
            )
        numbers = Part(torch.float32, shape, lambda: tensor.detach().dequantize().cpu())
        codes = Part(_CODES[tensor.dtype], shape, lambda: tensor.detach().int_repr().cpu(), ".codes")
        return Leaf((numbers, codes))
    dtype = known_dtype(str(tensor.dtype).removeprefix("torch."))
    return Leaf((Part(dtype, shape, lambda: _plain(tensor)),))


def _plain(tensor: Tensor) -> Tensor:
    plain = tensor.detach()
    if plain.layout is not torch.strided:
        plain = plain.to_dense()
    if type(plain) is not Tensor:
        plain = plain.as_subclass(Tensor)
    return plain.cpu().resolve_conj().resolve_neg()


def _array(array: np.ndarray[Any, Any]) -> Part:
    dtype = known_dtype(array.dtype.name)

    def read() -> Tensor:
        # A copy: torch takes neither foreign byte orders nor negative strides, and warns of what cannot be
        # written to.
        native = np.array(array, dtype=array.dtype.newbyteorder("="), order="C", copy=True)
        if array.dtype.kind == "V":  # bfloat16 and float8 of the package ml_dtypes
            width = {1: np.uint8, 2: np.int16}[dtype.itemsize]
            return torch.from_numpy(native.view(width)).view(dtype)
        return torch.from_numpy(native)

    return Part(dtype, tuple(array.shape), read)
