"""What a test says of two runs."""

__all__ = ["assert_same_run"]

from collections.abc import Sequence
from typing import Any

from outgrow.compare.comparison import compare
from outgrow.compare.readers.opening import Source
from outgrow.compare.report.words import as_text


def assert_same_run(expected: Source, actual: Source | Sequence[Source], **options: Any) -> None:
    """Raise AssertionError, with the first tensor that differs and its neighbours, unless both runs match.

    Too few pairs to say is a failure, too. `options` are those of `compare`.

    Raises:
        AssertionError: the verdict is not `match`.
        InputError: as `compare`.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    with compare(expected=expected, actual=actual, **options) as comparison:
        if comparison.verdict != "match":
            raise AssertionError(as_text(comparison))
