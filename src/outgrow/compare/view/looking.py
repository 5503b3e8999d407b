"""What a call wants to look at: which sides of a row, and which window of each."""

__all__ = ["Looking"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from outgrow.capture.recording import Record, Refusal
from outgrow.compare.comparison import Comparison
from outgrow.compare.finding import Finding
from outgrow.compare.view.listing import Listing
from outgrow.compare.view.plain import shown
from outgrow.compare.view.side import Side, aligned_sides, own_side
from outgrow.compare.view.spec import Spec
from outgrow.errors import InputError

Look = tuple[Side, Spec]


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
    def of(cls, comparison: Comparison, row: int, body: Mapping[str, Any]) -> Self:
        """What `view`, `expected` and `actual` of a call say. A row of one side takes either window.

        Raises:
            InputError: there is no such row, nothing to look at in it, or the windows are none.
            StoreError: the bytes cannot be read.
        """
        view = _view(body)
        entry = Listing(comparison)[row]
        if not isinstance(entry, Finding):
            record = entry.expected or entry.actual
            if isinstance(record, Refusal):
                raise InputError(f"{shown(record.entry)!r} was refused", hint=shown(record.reason))
            assert record is not None
            name: Literal["expected", "actual"] = "actual" if entry.expected is None else "expected"
            other = "expected" if entry.expected is None else "actual"
            spec = Spec.parse(body.get(other) if body.get(name) is None else body[name])
            look = (own_side(_ranked((record,), spec)), spec)
            return cls(
                expected=look if name == "expected" else None,
                actual=look if name == "actual" else None,
                tolerance=(0.0, 0.0),
            )
        rules = comparison.rules
        tolerance = (0.0, 0.0) if rules is None else rules.tolerance(entry.pair.expected_name)
        if view == "aligned":
            spec = Spec.parse(body.get("expected"))
            if spec.rank:
                raise InputError(f"rank is {spec.rank}", hint="only the stored tensors are looked at by rank")
            expected, actual = aligned_sides(entry)
            return cls(expected=(expected, spec), actual=(actual, spec), tolerance=tolerance)
        return cls(
            expected=_own(body.get("expected"), (entry.pair.expected,)),
            actual=_own(body.get("actual"), entry.pair.actual),
            tolerance=tolerance,
        )


def _view(body: Mapping[str, Any]) -> str:
    view = body.get("view", "aligned")
    if view not in ("aligned", "own"):
        raise InputError("the view is neither 'aligned' nor 'own'", hint="give one of them")
    return str(view)


def _own(window: object, records: tuple[Record, ...]) -> Look | None:
    if window is None:
        return None
    spec = Spec.parse(window)
    return own_side(_ranked(records, spec)), spec


def _ranked(records: tuple[Record, ...], spec: Spec) -> Record:
    if spec.rank >= len(records):
        raise InputError(
            f"rank is {spec.rank}, but there are {len(records)}", hint="ranks are counted from 0"
        )
    return records[spec.rank]
