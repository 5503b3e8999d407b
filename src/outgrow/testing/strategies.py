"""Hypothesis strategies: tensors of every dtype and of odd shapes, with any bits in them."""

__all__ = ["DTYPES", "shapes", "tensor_dicts", "tensor_of_bytes", "tensors"]

import math
from collections.abc import Sequence

import torch
from hypothesis import strategies as st
from torch import Tensor

from outgrow.store.header import DTYPES as STORE_DTYPES

DTYPES: Sequence[torch.dtype] = tuple(STORE_DTYPES.values())
"""Every dtype that a checkpoint can hold."""

_SIZES = (0, 1, 2, 3, 5, 7, 13)


def shapes(*, max_dims: int = 3) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of 0 to `max_dims` dims whose sizes are 0, 1 and small primes."""
    return st.lists(st.sampled_from(_SIZES), max_size=max_dims).map(tuple)


def tensor_of_bytes(data: bytes, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """A tensor with exactly these bits; booleans take the lowest bit of each byte."""
    if dtype == torch.bool:
        data = bytes(byte & 1 for byte in data)
    flat = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)
    return flat.view(dtype).reshape(shape)


@st.composite
def tensors(
    draw: st.DrawFn,
    *,
    dtypes: Sequence[torch.dtype] = DTYPES,
    like: st.SearchStrategy[tuple[int, ...]] | None = None,
) -> Tensor:
    """Tensors with any bits at all, so also NaN of every kind, infinities, subnormals and -0.0."""
    dtype = draw(st.sampled_from(dtypes))
    shape = draw(shapes() if like is None else like)
    if dtype == getattr(torch, "float4_e2m1fn_x2", None) and not shape:
        shape = (1,)
    nbytes = math.prod(shape) * dtype.itemsize
    # Few distinct bytes make equal neighbours, zeros and NaN likely; hypothesis shrinks them well.
    pattern = draw(st.binary(min_size=1, max_size=max(1, min(nbytes, 32))))
    return tensor_of_bytes((pattern * (nbytes // len(pattern) + 1))[:nbytes], dtype, shape)


def tensor_dicts(*, max_size: int = 5) -> st.SearchStrategy[dict[str, Tensor]]:
    """Tensors by name, as a checkpoint file holds them."""
    names = st.text(max_size=12).filter("__metadata__".__ne__)
    return st.dictionaries(names, tensors(), max_size=max_size)
