"""The pair that somebody looks at, kept from one slice to the next."""

__all__ = ["KeptSides"]

import threading

from outgrow.compare.finding import Finding
from outgrow.compare.view.side import Side, aligned_sides

_MOST_BYTES = 1 << 26


class KeptSides:
    """Both sides of the last pair of a comparison, laid out. What was packed is then unpacked once, and not
    again at each move of a slider; large tensors are not kept. Several threads may ask.

    Pages of a file are not kept either: to map them again costs nothing, and looks first whether the file is
    still the same.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[Finding, tuple[Side, Side]] | None = None

    def aligned(self, finding: Finding) -> tuple[Side, Side]:
        """As `aligned_sides`. Who asks for the same at the same time waits for the first one."""
        with self._lock:
            if self._kept is not None and self._kept[0] is finding:
                return self._kept[1]
            self._kept = None
            sides = aligned_sides(finding)
            records = (finding.pair.expected, *finding.pair.actual)
            is_small = sum(record.nbytes for record in records) <= _MOST_BYTES
            if is_small and all(record.is_unpacked for record in records):
                self._kept = finding, sides
            return sides
