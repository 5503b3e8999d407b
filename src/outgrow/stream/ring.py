"""The window as a ring of bytes: extents are taken in order and come back in nearly the same order. No I/O."""

__all__ = ["Ring"]

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class _Extent:
    begin: int
    end: int
    is_free: bool = False


class Ring:
    """Hands out extents of `nbytes` bytes of memory, first in, first out.

    Extents may come back in any order; their bytes are used again once every older one has come back too.
    """

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self._extents: deque[_Extent] = deque()
        self._by_begin: dict[int, _Extent] = {}

    @property
    def used_bytes(self) -> int:
        """Bytes that nobody can take now, gaps included."""
        if not self._extents:
            return 0
        first, last = self._extents[0].begin, self._extents[-1].end
        return last - first if last > first else self.nbytes - first + last

    def take(self, nbytes: int, alignment: int) -> int | None:
        """The first byte of a new extent, a multiple of `alignment`; None where it does not fit now."""
        if nbytes > self.nbytes:
            return None
        begin = self._place(nbytes, alignment)
        if begin is None:
            return None
        extent = _Extent(begin, begin + nbytes)
        self._extents.append(extent)
        self._by_begin[begin] = extent
        return begin

    def give_back(self, begin: int) -> None:
        """Free the extent that begins at `begin`."""
        self._by_begin.pop(begin).is_free = True
        while self._extents and self._extents[0].is_free:
            self._extents.popleft()
        # The newest ones too: a fetch that was given up must not keep the place of the one that replaces it.
        while self._extents and self._extents[-1].is_free:
            self._extents.pop()

    def check(self) -> None:
        """Raise AssertionError where extents overlap or leave the ring."""
        spans = sorted((extent.begin, extent.end) for extent in self._extents)
        assert all(0 <= begin < end <= self.nbytes for begin, end in spans), spans
        assert all(end <= begin for (_, end), (begin, _) in zip(spans, spans[1:], strict=False)), spans
        live = sorted(extent.begin for extent in self._extents if not extent.is_free)
        assert live == sorted(self._by_begin), (live, self._by_begin)

    def _place(self, nbytes: int, alignment: int) -> int | None:
        if not self._extents:
            return 0
        first, last = self._extents[0].begin, self._extents[-1].end
        begin = -(-last // alignment) * alignment
        if last > first:
            if begin + nbytes <= self.nbytes:
                return begin
            return 0 if nbytes <= first else None
        return begin if begin + nbytes <= first else None
