"""Sparse tensors, made dense when they are read."""

__all__ = ["sparse_leaf"]

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from outgrow.compare.readers.advice import COPY_AGAIN
from outgrow.compare.readers.tree import Leaf, Part
from outgrow.errors import InputError, StoreError

_COMPRESSED = {
    "torch.sparse_csr": torch.sparse_csr,
    "torch.sparse_csc": torch.sparse_csc,
    "torch.sparse_bsr": torch.sparse_bsr,
    "torch.sparse_bsc": torch.sparse_bsc,
}


def sparse_leaf(layout: Any, data: Any, leaf_of: Callable[[Any], Leaf]) -> Leaf:
    """One part, dense; indices are checked when it is read, before anything is done by them.

    Raises:
        InputError: the layout is unknown, or its parts are no tensors.
    """
    if layout == "torch.sparse_coo" and isinstance(data, tuple) and len(data) in (3, 4):
        indices, values = (leaf_of(part).parts[0] for part in data[:2])
        shape = _shape(data[2])

        def make() -> Tensor:
            # Integers of one exact kind: summed where an index occurs twice.
            return torch.sparse_coo_tensor(indices.read(), values.read(), shape, check_invariants=True)
    elif layout in _COMPRESSED and isinstance(data, tuple) and len(data) == 4:
        outer, inner, values = (leaf_of(part).parts[0] for part in data[:3])
        shape = _shape(data[3])

        def make() -> Tensor:
            return torch.sparse_compressed_tensor(
                outer.read(),
                inner.read(),
                values.read(),
                shape,
                layout=_COMPRESSED[layout],
                check_invariants=True,
            )
    else:
        raise InputError(
            f"is sparse in a way that is not read: {str(layout)[:100]!r}",
            hint="save the tensor's to_dense() instead",
        )

    def read() -> Tensor:
        try:
            return make().to_dense()
        except (RuntimeError, IndexError, ValueError) as err:
            raise StoreError(
                f"a sparse tensor contradicts itself: {str(err).splitlines()[0]}", hint=COPY_AGAIN
            ) from err

    nbytes = math.prod(shape) * values.dtype.itemsize
    return Leaf((Part(values.dtype, shape, read, expanded_bytes=nbytes + values.expanded_bytes),))


def _shape(size: Any) -> tuple[int, ...]:
    size = getattr(size, "arguments", size)
    if isinstance(size, tuple) and len(size) == 1 and isinstance(size[0], tuple | list):
        size = size[0]
    if not isinstance(size, tuple | list) or not all(
        type(part) is int and 0 <= part < 2**62 for part in size
    ):
        raise InputError("is sparse with a shape that is no tuple of counts", hint=COPY_AGAIN)
    if math.prod(max(part, 1) for part in size) >= 2**62:
        raise InputError("has more elements than memory has addresses", hint=COPY_AGAIN)
    return tuple(size)
