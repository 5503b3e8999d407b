"""What a call wants to look at: which sides of a row, and which window of each."""

__all__ = ["Look", "Looking", "View", "sides_of", "tolerance_of", "view_of"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from outgrow.capture.recording import Record, Refusal
from outgrow.compare.comparison import Comparison
from outgrow.compare.finding import Finding
from outgrow.compare.pair import Lone
from outgrow.compare.view.kept_sides import KeptSides
from outgrow.compare.view.listing import Listing
from outgrow.compare.view.plain import shown
from outgrow.compare.view.side import Side, aligned_sides, own_side
from outgrow.compare.view.spec import Spec
from outgrow.compare.view.tolerance import judged_tolerance
from outgrow.compare.view.window import Window
from outgrow.errors import InputError

Look = tuple[Side, Spec]
View = Literal["aligned", "own"]
_ALL = Spec(fixed=(), flat=True)


def view_of(body: Mapping[str, Any]) -> View:
    """Aligned where a call does not say.

    Raises:
        InputError: it says something else.
    """
    view = body.get("view", "aligned")
    if view == "aligned":
        return "aligned"
    if view == "own":
        return "own"
    raise InputError("the view is neither 'aligned' nor 'own'", hint="give one of them")


def sides_of(
    comparison: Comparison, row: int, view: View, *, rank: int = 0, kept: KeptSides | None = None
) -> tuple[Side | None, Side | None]:
    """The expected tensor of a row and the actual one, where they are there; `rank` is of the stored ones.
    `kept` is of the same comparison.

    Raises:
        InputError: there is no such row or rank, or the row is of something that was refused.
        StoreError: the bytes cannot be read.
    """
    entry = Listing(comparison)[row]
    if isinstance(entry, Lone):
        record = _record(entry)
        side = own_side(_ranked((record,), rank))
        return (side, None) if entry.actual is None else (None, side)
    if view == "aligned":
        if rank:
            raise InputError(f"rank is {rank}", hint="only the stored tensors are looked at by rank")
        return aligned_sides(entry) if kept is None else kept.aligned(entry)
    return own_side(entry.pair.expected), own_side(_ranked(entry.pair.actual, rank))


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """A window of each side that has one."""

    expected: Look | None
    actual: Look | None
    tolerance: tuple[float, float]
    """`rtol` and `atol` up to which numbers do not differ."""

    @property
    def both(self) -> tuple[Look | None, Look | None]:
        """Expected and actual."""
        return self.expected, self.actual

    @property
    def windows(self) -> tuple[Window | None, Window | None]:
        """What both show."""
        expected, actual = (None if look is None else Window(*look) for look in self.both)
        return expected, actual

    def wanted(self, which: str) -> Look:
        """That of one side.

        Raises:
            InputError: there is none.
        """
        look = self.expected if which == "expected" else self.actual
        if look is None:
            raise InputError(
                f"there is no {which} tensor to look at", hint="look at the other side, or give its window"
            )
        return look

    @classmethod
    def whole(
        cls, comparison: Comparison, row: int, view: View, *, rank: int = 0, kept: KeptSides | None = None
    ) -> Self:
        """All of both sides, each as one line.

        Raises:
            InputError, StoreError: as `sides_of`.
        """
        sides = sides_of(comparison, row, view, rank=rank, kept=kept)
        expected, actual = (None if side is None else (side, _ALL) for side in sides)
        return cls(expected=expected, actual=actual, tolerance=tolerance_of(comparison, row))

    @classmethod
    def of(
        cls, comparison: Comparison, row: int, body: Mapping[str, Any], *, kept: KeptSides | None = None
    ) -> Self:
        """What `view`, `expected` and `actual` of a call say. A row of one side takes either window.

        Raises:
            InputError: there is no such row, nothing to look at in it, or the windows are none.
            StoreError: the bytes cannot be read.
        """
        view, tolerance = view_of(body), tolerance_of(comparison, row)
        entry = Listing(comparison)[row]
        if isinstance(entry, Lone):
            record = _record(entry)
            names = ("expected", "actual") if entry.actual is None else ("actual", "expected")
            spec = Spec.parse(next((body[name] for name in names if body.get(name) is not None), None))
            look = (own_side(_ranked((record,), spec.rank)), spec)
            is_expected = entry.actual is None
            return cls(
                expected=look if is_expected else None,
                actual=None if is_expected else look,
                tolerance=tolerance,
            )
        if view == "aligned":
            spec = Spec.parse(body.get("expected"))
            expected, actual = sides_of(comparison, row, view, rank=spec.rank, kept=kept)
            assert expected is not None
            assert actual is not None
            return cls(expected=(expected, spec), actual=(actual, spec), tolerance=tolerance)
        return cls(
            expected=_own(body.get("expected"), (entry.pair.expected,)),
            actual=_own(body.get("actual"), entry.pair.actual),
            tolerance=tolerance,
        )


def tolerance_of(comparison: Comparison, row: int) -> tuple[float, float]:
    """`rtol` and `atol` that the user gave for a row, else what the judge allows it; 0 where neither is.

    Raises:
        InputError: there is no such row.
    """
    entry = Listing(comparison)[row]
    if not isinstance(entry, Finding):
        return 0.0, 0.0
    if comparison.rules is None:
        return judged_tolerance(entry)
    return comparison.rules.tolerance(entry.pair.expected_name)


def _record(lone: Lone) -> Record:
    entry = lone.expected or lone.actual
    if isinstance(entry, Refusal):
        raise InputError(f"{shown(entry.entry)!r} was refused", hint=shown(entry.reason))
    assert entry is not None
    return entry


def _own(window: object, records: tuple[Record, ...]) -> Look | None:
    if window is None:
        return None
    spec = Spec.parse(window)
    return own_side(_ranked(records, spec.rank)), spec


def _ranked(records: tuple[Record, ...], rank: int) -> Record:
    if rank >= len(records):
        raise InputError(f"rank is {rank}, but there are {len(records)}", hint="ranks are counted from 0")
    return records[rank]
