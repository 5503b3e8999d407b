"""The window as a ring of bytes: extents are taken one behind the other and come back in any order. No
I/O."""

__all__ = ["Ring"]

import itertools
from bisect import bisect_left, insort


class Ring:
    """Hands out extents of `nbytes` bytes of memory: each behind the last one taken, around the end to the
    beginning.

    What comes back can be taken again at once, wherever it lies. As pieces come back in nearly the order in
    which they were taken, there is one gap as a rule, and it moves around. A module that keeps a piece for
    long splits it; then the next gap that is large enough serves (next fit, Knuth, The Art of Computer
    Programming 1, section 2.5).
    """

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.used_bytes = 0
        """Bytes that are taken now, gaps not counted."""
        self._begins: list[int] = []  # in order; what is taken lies at _begins[i] up to _ends[_begins[i]]
        self._ends: dict[int, int] = {}
        self._behind = 0  # where the extent that was taken last ends

    @property
    def begins(self) -> tuple[int, ...]:
        """First byte of every extent that is taken, in order."""
        return tuple(self._begins)

    def take(self, nbytes: int, alignment: int) -> int | None:
        """The first byte of a new extent, a multiple of `alignment`; None where it does not fit now."""
        if nbytes > self.nbytes - self.used_bytes:
            return None
        begins = self._begins
        count = len(begins)
        # The gap before extent number `first` is the one behind the last extent taken, or one that swallowed
        # its place since: then it begins earlier, so that a fetch that was given up does not keep the place
        # of its successor.
        first = bisect_left(begins, self._behind)
        for turn in range(count + 1):
            at = (first + turn) % (count + 1)
            low = self._ends[begins[at - 1]] if at else 0
            high = begins[at] if at < count else self.nbytes
            begin = -(-low // alignment) * alignment
            if begin + nbytes <= high:
                insort(begins, begin)
                self._ends[begin] = self._behind = begin + nbytes
                self.used_bytes += nbytes
                return begin
        return None

    def give_back(self, begin: int) -> None:
        """Free the extent that begins at `begin`."""
        end = self._ends.pop(begin)
        del self._begins[bisect_left(self._begins, begin)]
        self.used_bytes -= end - begin

    def check(self) -> None:
        """Raise AssertionError where extents overlap or leave the ring."""
        assert sorted(self._ends) == self._begins, (self._ends, self._begins)
        spans = [(begin, self._ends[begin]) for begin in self._begins]
        assert all(0 <= begin < end <= self.nbytes for begin, end in spans), spans
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans)), spans
        assert self.used_bytes == sum(end - begin for begin, end in spans), (self.used_bytes, spans)
