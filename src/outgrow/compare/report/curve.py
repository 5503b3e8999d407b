"""The error of each pair along the run: as a picture, and as a line of text for terminals."""

__all__ = ["Point", "draw_curve", "points_of", "spark"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from outgrow.compare.comparison import Comparison
from outgrow.compare.report.words import error_text
from outgrow.markup import escaped

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 1040, 300, 64, 16, 20, 46
_LOWEST, _HIGHEST = -9, 1
_BLOCKS = "▁▂▃▄▅▆▇█"
STYLE = """\
.curve text { font: 12px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--soft); }
.curve .grid { stroke: var(--line); stroke-width: 1; }
.curve .path { fill: none; stroke: var(--soft); stroke-width: 1.2; opacity: .55; }
.curve .first { stroke: var(--differs); stroke-width: 1.5; stroke-dasharray: 4 3; }
.curve .ok { fill: var(--ok); } .curve .differs { fill: var(--differs); }
.curve .inherited { fill: var(--inherited); } .curve .healed { fill: var(--healed); }
.curve .strong { fill: var(--ink); font-weight: 600; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One pair on the curve."""

    name: str
    error: float | None
    """Relative error; infinite where NaN stands against a number; None where it could not be measured."""
    status: Literal["ok", "differs", "inherited", "healed"]


def points_of(comparison: Comparison) -> tuple[Point, ...]:
    """One for each finding, in order of execution."""
    return tuple(
        Point(
            name=finding.pair.expected_name,
            error=None if finding.measures is None else finding.measures.relative_error,
            status=finding.judged.status,
        )
        for finding in comparison.findings
    )


def spark(points: Sequence[Point], width: int) -> tuple[str, str]:
    """The curve as a line of blocks at most `width` wide, each showing its worst pair, and below it a mark at
    the first pair that went wrong. Equal pairs are a dot at the bottom."""
    if not points:
        return "", ""
    columns = min(width, len(points))
    shares = [
        points[column * len(points) // columns : (column + 1) * len(points) // columns]
        for column in range(columns)
    ]
    line = "".join(_block(max(_height(point.error) for point in share)) for share in shares)
    first = next((index for index, share in enumerate(shares) if any(_is_wrong(p) for p in share)), None)
    return line, "" if first is None else " " * first + "^"


def draw_curve(points: Sequence[Point]) -> str:
    """The curve as the text of an `<svg>` element for a page that has `STYLE` and its colours."""
    if not points:
        return ""
    across = _WIDTH - _LEFT - _RIGHT
    step = across / max(len(points) - 1, 1)
    places = [(_LEFT + index * step, _y(point.error)) for index, point in enumerate(points)]
    parts = [
        f'<svg class="curve" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'aria-label="Relative error of each pair, in order of execution">',
        *_grid(),
    ]
    first = next((index for index, point in enumerate(points) if _is_wrong(point)), None)
    if first is not None:
        x = places[first][0]
        parts.append(f'<line class="first" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
        side, anchor = (8, "start") if x < _WIDTH * 0.6 else (-8, "end")
        label = escaped(points[first].name)
        parts.append(
            f'<text class="strong" x="{x + side:.1f}" y="{_TOP + 10}" text-anchor="{anchor}">{label}</text>'
        )
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts.append(f'<polyline class="path" points="{path}"/>')
    # A dot for each pair of a small run; in a large one the line shows what is right.
    crowded = len(points) > 600
    for point, (x, y) in zip(points, places, strict=True):
        if crowded and point.status == "ok":
            continue
        what = f"{escaped(point.name)}: {error_text(point.error)}, {point.status}"
        radius = 5 if point.status == "differs" else 3
        place = f'class="{point.status}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"'
        parts.append(f"<circle {place}><title>{what}</title></circle>")
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 10}">first tensor</text>')
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 10}" text-anchor="end">last tensor</text>')
    middle = _LEFT + across / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">order of execution</text>')
    return "\n".join([*parts, "</svg>"])


def _grid() -> list[str]:
    parts = []
    for exponent in range(_LOWEST, _HIGHEST + 1, 2):
        y = _y(10.0**exponent)
        name = "equal" if exponent == _LOWEST else f"1e{exponent:+d}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{name}</text>')
    return parts


def _is_wrong(point: Point) -> bool:
    return point.status == "differs"


def _height(error: float | None) -> float:
    """Between 0 for equal and 1 for an error of 10 or no number at all, by its logarithm."""
    if error == 0:
        return 0.0
    if error is None or not math.isfinite(error):
        return 1.0
    return min(max((math.log10(error) - _LOWEST) / (_HIGHEST - _LOWEST), 0.02), 1.0)


def _y(error: float | None) -> float:
    return _HEIGHT - _BOTTOM - _height(error) * (_HEIGHT - _BOTTOM - _TOP)


def _block(height: float) -> str:
    return "·" if height == 0 else _BLOCKS[min(int(height * len(_BLOCKS)), len(_BLOCKS) - 1)]
