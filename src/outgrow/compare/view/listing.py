"""All rows of a comparison in the order in which they are shown."""

__all__ = ["Listing"]

from bisect import bisect_left
from collections.abc import Iterator

from outgrow.compare.comparison import Comparison
from outgrow.compare.finding import Finding
from outgrow.compare.pair import Lone
from outgrow.errors import InputError


class Listing:
    """A row's number is its place: pairs in order of execution, and among them what has no partner.

    Costs nothing to make where all is paired, so that nobody has to keep it.
    """

    def __init__(self, comparison: Comparison) -> None:
        self._findings = comparison.findings
        self._lone = comparison.pairing.lone
        self._afters = [lone.after for lone in self._lone]
        self._lone_rows = [after + 1 + index for index, after in enumerate(self._afters)]

    def __len__(self) -> int:
        return len(self._findings) + len(self._lone)

    def __iter__(self) -> Iterator[Finding | Lone]:
        done = 0
        for lone in self._lone:
            yield from self._findings[done : lone.after + 1]
            done = lone.after + 1
            yield lone
        yield from self._findings[done:]

    def __getitem__(self, row: int) -> Finding | Lone:
        """What stands there.

        Raises:
            InputError: there is no such row.
        """
        if not 0 <= row < len(self):
            raise InputError(f"there is no row {row}; there are {len(self)}", hint="load the list again")
        place = bisect_left(self._lone_rows, row)
        if place < len(self._lone_rows) and self._lone_rows[place] == row:
            return self._lone[place]
        return self._findings[row - place]

    def row_of(self, index: int) -> int:
        """The row of a finding, by its index among the findings."""
        return index + bisect_left(self._afters, index)
