"""What one model took in every room, as an SVG: bars of memory and time, and whether the promise was kept."""

__all__ = ["draw_rooms", "found_text", "promise_text"]

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from outgrow.markup import crop_end, svg_page, svg_rect, svg_text
from outgrow.quantities import format_bytes, format_seconds

if TYPE_CHECKING:
    from outgrow.cli.one_model_in_four_rooms import Row

_WIDTH, _MARGIN, _TOP, _LINE = 1016, 24, 92, 58
_BARS, _BAR = 362, 220
_WORDS = _BARS + _BAR + 96
_STYLE = """\
  .memory { fill: #1f6fb2; } .time { fill: #e08a1e; } .line { stroke: #d5dbe2; }
  .kept { fill: #2f7a57; font-weight: 600; } .broken { fill: #b92b24; font-weight: 600; }
"""
_DARK = """\
    .memory { fill: #4f9fe0; } .time { fill: #e09a35; } .line { stroke: #2e3640; }
    .kept { fill: #62b389; } .broken { fill: #f0776f; }
"""


def promise_text(row: "Row") -> str:
    """What was promised, and of which recording where it is not the first."""
    return row.promise if row.like == "resident" else f"{row.promise} to {row.like}"


def found_text(row: "Row") -> str:
    """How many tensors are equal, and how far the others are off."""
    equal = f"{row.equal:,} of {row.pairs:,} equal"
    if row.equal == row.pairs:
        return equal
    share = "" if row.share_of_rounding is None else f", {row.share_of_rounding:.2f} of rounding"
    return f"{equal}, farthest {row.largest_error:.1e}{share}"


def draw_rooms(rows: "Sequence[Row]") -> str:
    """The text of an SVG file, readable on light and on dark ground; bars are shares of the largest."""
    kept = sum(row.is_kept for row in rows)
    described = ", ".join(f"{row.room} {'kept' if row.is_kept else 'not kept'}" for row in rows)
    return svg_page(
        _parts(rows, f"{kept} of {len(rows)} promises kept"),
        width=_WIDTH,
        height=_TOP + _LINE * len(rows) + 12,
        title="One model in four rooms",
        description=f"{kept} of {len(rows)} promises kept: {described}.",
        style=_STYLE,
        dark=_DARK,
    )


def _parts(rows: "Sequence[Row]", verdict: str) -> Iterator[str]:
    yield svg_text(_MARGIN, 38, "One model in four rooms", "title ink")
    yield svg_text(_WIDTH - _MARGIN, 38, verdict, "head ink end")
    yield svg_rect(_BARS, 58, 12, 12, "memory")
    yield svg_text(_BARS + 18, 68, "memory", "small soft")
    yield svg_rect(_BARS + 84, 58, 12, 12, "time")
    yield svg_text(_BARS + 102, 68, "seconds of a pass", "small soft")
    most_bytes = max((row.memory_bytes for row in rows), default=1) or 1
    most_seconds = max((row.seconds for row in rows), default=1.0) or 1.0
    for index, row in enumerate(rows):
        y = _TOP + _LINE * index
        yield f'<line class="line" x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{y - 8}" y2="{y - 8}"/>'
        yield svg_text(_MARGIN, y + 14, row.room, "head ink")
        yield svg_text(_MARGIN, y + 32, crop_end(row.how, 56), "small soft")
        wide, long = _BAR * row.memory_bytes / most_bytes, _BAR * row.seconds / most_seconds
        yield svg_rect(_BARS, y + 3, max(wide, 1), 14, "memory")
        yield svg_text(_BARS + wide + 8, y + 15, format_bytes(row.memory_bytes), "ink")
        yield svg_rect(_BARS, y + 23, max(long, 1), 9, "time")
        yield svg_text(_BARS + long + 8, y + 32, format_seconds(row.seconds), "small soft")
        kind, mark = ("kept", "✓") if row.is_kept else ("broken", "✗")
        words = f"{mark} {promise_text(row)}" if row.is_kept else f"{mark} not {promise_text(row)}"
        yield svg_text(_WORDS, y + 14, words, kind)
        yield svg_text(_WORDS, y + 32, crop_end(found_text(row), 54), "small soft")
