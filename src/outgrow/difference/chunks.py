"""Tensors of any strides, piece by piece in row-major order."""

__all__ = ["chunks", "unravel"]

from collections.abc import Iterator

from torch import Tensor


def chunks(actual: Tensor, expected: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Both as flat parts of at most `size` elements in row-major order; no more than a part is copied."""
    if actual.numel() <= size:
        if actual.numel():
            yield actual.reshape(-1), expected.reshape(-1)
        return
    rows = size // (actual.numel() // actual.shape[0])
    for start in range(0, actual.shape[0], max(1, rows)):
        stop = min(start + max(1, rows), actual.shape[0])
        yield from chunks(actual[start] if not rows else actual[start:stop],
                           expected[start] if not rows else expected[start:stop], size)  # fmt: skip


def unravel(flat: int | None, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The index in `shape` of an element that is counted in row-major order."""
    if flat is None:
        return None
    index = []
    for size in reversed(shape):
        flat, position = divmod(flat, size)
        index.append(position)
    return tuple(reversed(index))
