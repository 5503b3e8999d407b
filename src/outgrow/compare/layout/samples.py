"""A few numbers of large tensors, fetched by position without copying the rest."""

__all__ = ["Numbers", "draw_positions"]

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from outgrow.compare.layout.chain import located
from outgrow.compare.layout.layout import Layout, Positions

# float8 and other narrow types have no indexing of their own; their bytes have.
_BY_SIZE = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class Numbers:
    """The numbers of one side, one tensor for each rank; nothing is copied until positions are asked for."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tuple(tensor.detach() for tensor in tensors)
        self._flat = [_flat(tensor) for tensor in self.tensors]

    def at(self, positions: Positions, layout: Layout | None = None) -> NDArray[np.float64]:
        """The numbers at `positions` of what `layout` makes of the tensors (None: of the only tensor)."""
        if layout is None:
            return self._of_rank(0, positions)
        total = None
        for ranks, places in located(layout, positions):
            if len(self.tensors) == 1:
                values = self._of_rank(0, places)
            elif (ranks == ranks[0]).all():
                values = self._of_rank(int(ranks[0]), places)
            else:
                values = np.empty(len(positions))
                for rank in range(len(self.tensors)):
                    here = ranks == rank
                    values[here] = self._of_rank(rank, places[here])
            total = values if total is None else total + values
        assert total is not None, "a layout has at least one summand"
        return total

    def _of_rank(self, rank: int, places: Positions) -> NDArray[np.float64]:
        tensor, flat = self.tensors[rank], self._flat[rank]
        if not tensor.is_contiguous():
            places = _through_strides(places, tuple(tensor.shape), tensor.stride())
        values = flat[torch.from_numpy(places)]
        if values.dtype != tensor.dtype:
            values = values.view(tensor.dtype)
        if values.is_complex():
            # One number that differs where either part differs, whatever permutes them.
            values = values.real.double() + 0.618 * values.imag.double()
        return values.double().numpy()


def draw_positions(shape: Sequence[int], count: int, *, seed: int, block: int = 1) -> Positions:
    """About `count` places in a tensor of that shape, uniformly, in runs of `block` neighbours: where tensors
    are still on the disk, neighbours come for free. All places where there are no more than that."""
    elements = math.prod(shape)
    if elements <= count:
        return np.arange(elements, dtype=np.int64)
    starts = np.random.default_rng(seed).integers(0, elements, size=-(-count // block), dtype=np.int64)
    places: Positions = np.minimum(starts[:, None] + np.arange(block, dtype=np.int64), elements - 1)
    return places.reshape(-1)


def _flat(tensor: Tensor) -> Tensor:
    extent = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    flat = tensor.as_strided((extent if tensor.numel() else 0,), (1,))
    narrow = _BY_SIZE.get(tensor.dtype.itemsize)
    is_indexed = tensor.dtype.itemsize > 1 or tensor.dtype in (torch.uint8, torch.int8, torch.bool)
    return flat if is_indexed or narrow is None else flat.view(narrow)


def _through_strides(places: Positions, shape: tuple[int, ...], strides: tuple[int, ...]) -> Positions:
    found: Positions = np.zeros_like(places)
    inner = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        found += places // inner % size * stride
        inner *= size
    return found
