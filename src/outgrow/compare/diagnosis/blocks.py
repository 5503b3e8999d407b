"""Which block of the actual tensor answers which of the expected one."""

__all__ = ["Mapping", "best_mapping", "map_blocks"]

from dataclasses import dataclass

import torch
from torch import Tensor

from outgrow.compare.diagnosis.context import Context, explains

MAX_BLOCKS = 512
MIN_NUMBERS = 16
"""Numbers in a block: fewer could look alike by chance."""
MAX_NUMBERS = 4096
"""Numbers of a block that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Blocks of a dim, found elsewhere."""

    dim: int
    block: int
    """Entries of the dim in a block."""
    sources: tuple[int, ...]
    """For each block of the actual tensor which expected block it holds."""
    left: float
    """Relative error that this leaves."""

    @property
    def is_permutation(self) -> bool:
        """Whether each expected block is there once."""
        return len(set(self.sources)) == len(self.sources)


def map_blocks(context: Context, dim: int, count: int) -> Mapping | None:
    """The best mapping of `count` blocks of a dim; None where it is the identity or explains nothing."""
    expected = _as_blocks(context.expected_window, dim, count)
    if expected.shape[1] < MIN_NUMBERS:
        return None
    actual = _as_blocks(context.actual_window, dim, count)
    step = max(1, expected.shape[1] // MAX_NUMBERS)
    expected, actual = expected[:, ::step], actual[:, ::step]
    squares = (expected * expected).sum(1)
    total = float(squares.sum())
    if total == 0:
        return None
    distances = (actual * actual).sum(1)[:, None] + squares[None] - 2 * actual @ expected.T
    # Where two blocks are equal, for example of repeated heads, the one in its own place answers.
    own = torch.diagonal(distances).clone()
    best, sources = distances.min(1)
    tie = own <= best + 1e-12 * (total / count) + (context.allowed**2) * squares
    sources = torch.where(tie, torch.arange(count), sources)
    chosen = distances.gather(1, sources[:, None]).clamp(min=0)
    left = float((chosen.sum() / total).sqrt())
    error = float((own.clamp(min=0).sum() / total).sqrt())
    if bool(tie.all()) or not explains(left, error, context.allowed):
        return None
    return Mapping(
        dim=dim, block=expected_size(context, dim) // count, sources=tuple(sources.tolist()), left=left
    )


def best_mapping(context: Context) -> Mapping | None:
    """The mapping with the fewest blocks that explains the difference, over all dims."""
    found = []
    for dim, size in enumerate(context.expected_window.shape):
        if size != context.expected.shape[dim]:
            continue  # the window holds only a part of this dim
        for count in (count for count in range(2, min(size, MAX_BLOCKS) + 1) if size % count == 0):
            mapping = map_blocks(context, dim, count)
            if mapping is not None:
                found.append(mapping)
                break
    return min(found, key=lambda mapping: len(mapping.sources), default=None)


def expected_size(context: Context, dim: int) -> int:
    """Entries of a dim of the window."""
    return context.expected_window.shape[dim]


def _as_blocks(tensor: Tensor, dim: int, count: int) -> Tensor:
    """`[blocks, numbers]`."""
    return tensor.movedim(dim, 0).reshape(count, -1)
