"""A comparison that calls read from while another one may take its place."""

__all__ = ["Loan", "gone"]

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from outgrow.compare.web.refusal import ApiError

if TYPE_CHECKING:
    from outgrow.compare.comparison import Comparison


class Loan:
    """Owns a comparison, and closes it when it is retired and the last reader has left.

    Closing under a reader would be worse than an error: the descriptor of an upload may have become that of
    another one, and its numbers would be taken for those of the first.
    """

    def __init__(self, comparison: "Comparison") -> None:
        self._comparison = comparison
        self._lock = threading.Lock()
        self._readers = 0
        self._is_retired = False

    @contextlib.contextmanager
    def reading(self) -> Iterator["Comparison"]:
        """The comparison, open until the end of the block.

        Raises:
            ApiError: another one has taken its place, before or meanwhile: what was read is out of date.
        """
        with self._lock:
            self._check()
            self._readers += 1
        try:
            yield self._comparison
        finally:
            with self._lock:
                self._readers -= 1
                is_last = self._is_retired and not self._readers
            if is_last:
                self._comparison.close()
        self._check()

    def retire(self) -> None:
        """Let nobody in any more; may be called twice."""
        with self._lock:
            is_last = not self._is_retired and not self._readers
            self._is_retired = True
        if is_last:
            self._comparison.close()

    def _check(self) -> None:
        if self._is_retired:
            raise gone()


def gone() -> ApiError:
    """What a call gets that came too late."""
    return ApiError(
        "another comparison has taken the place of this one", status=409, code="gone", hint="ask again"
    )
