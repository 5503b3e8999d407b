"""The growth of a model as one picture: its layers over time, accuracy below, decisions marked. Pure."""

__all__ = ["draw_growth"]

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from outgrow.evolve.run.lanes import Lane, lanes_of
from outgrow.markup import crop_end, crop_start, escaped, svg_page, svg_text
from outgrow.quantities import format_count

_WIDTH, _LEFT, _RIGHT, _TOP = 1100, 150, 112, 104
_SPAN = _WIDTH - _LEFT - _RIGHT
_BANDS = 330
_GAP = 13
_THINNEST = 3.0
_RAMP = 9.0
_CHART = 150
_LINE = 21
_MOST_LINES = 16
_TICKS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999)
_HUES = ((36, 123, 160), (74, 108, 181), (119, 95, 176), (168, 84, 150), (203, 84, 108), (217, 116, 72))
_STYLE = """\
  .grid { stroke: #e3e8ee; } .when { stroke: #9aa5b1; stroke-dasharray: 2 4; }
  .mark { fill: #ffffff; stroke: #1c2430; stroke-width: 1.5; } .none { fill: #9aa5b1; }
  .undone { stroke: #c2410c; stroke-width: 2; }
  .curve { fill: none; stroke: #2b8a5b; stroke-width: 2.2; stroke-linejoin: round; }
  .under { fill: #2b8a5b; opacity: .12; } .test { fill: #2b8a5b; stroke: #ffffff; stroke-width: 2; }
  .number { font-size: 10px; font-weight: 600; text-anchor: middle; }
"""
_DARK = """\
    .grid { stroke: #29313b; } .when { stroke: #5b6675; }
    .mark { fill: #12161c; stroke: #e8edf3; } .none { fill: #5b6675; }
    .curve { stroke: #62b389; } .under { fill: #62b389; } .test { fill: #62b389; stroke: #12161c; }
"""


def draw_growth(
    entries: Sequence[Mapping[str, Any]], *, title: str, budget_flops: float | None = None
) -> str:
    """The picture of a run's log as the text of an SVG file, readable on light and on dark ground.

    From left to right training FLOPs. A band for each layer, in the order of the model, as thick as it is
    wide; below them accuracy on the validation split, and on the test split where it was opened; every
    decision a number, explained at the bottom.
    """
    lanes = lanes_of(entries)
    most = max([budget_flops or 0.0, *(float(entry["flops"]) for entry in entries)]) or 1.0
    places, bottom = _places(lanes)
    made = [entry for entry in entries if entry["kind"] == "decision"]
    chart = bottom + 44
    parts = [*_header(entries, title)]
    parts += _marks_below(made, lanes, places, most, chart + _CHART)
    for place, lane in enumerate(lanes):
        parts += _band(lane, places[place], _scale(lanes), most, _hue(place, len(lanes)))
    parts += _accuracy(entries, most, chart)
    parts += _marks(made, lanes, places, most)
    parts += _rolled_back(entries, most, chart)
    at = chart + _CHART + 56
    parts += _explained(made, at)
    height = at + _LINE * (1 + min(len(made), _MOST_LINES + 1)) + 8
    return svg_page(
        parts,
        width=_WIDTH,
        height=height,
        title=title,
        description=_description(lanes, made),
        style=_STYLE,
        dark=_DARK,
    )


def _header(entries: Sequence[Mapping[str, Any]], title: str) -> Iterator[str]:
    first, last = entries[0], entries[-1]
    changes = sum(entry["kind"] == "decision" and entry["is_made"] for entry in entries)
    told = [
        f"{first['parameters']:,} to {last['parameters']:,} parameters",
        format_count(changes, "change"),
        f"{last['steps']:,} steps",
    ]
    accuracy = [entry["accuracy"] for entry in entries if "accuracy" in entry]
    if accuracy:
        what = "on the test split" if last["kind"] == "test" else "on the validation split so far"
        told.append(f"accuracy {accuracy[-1]:.1%} {what}")
    yield svg_text(_LEFT, 40, title, "title ink")
    yield svg_text(_LEFT, 64, "  ·  ".join(told), "soft")


def _scale(lanes: Sequence[Lane]) -> float:
    """Pixels of one channel."""
    room = _BANDS - _GAP * len(lanes)
    return max(room, 8 * len(lanes)) / max(sum(lane.most for lane in lanes), 1)


def _places(lanes: Sequence[Lane]) -> tuple[list[float], float]:
    """The middle line of each lane, and where they end."""
    places, at, scale = [], float(_TOP), _scale(lanes)
    for lane in lanes:
        # A lane is as high as its label needs.
        height = max(lane.most * scale, _THINNEST, 9.0)
        places.append(at + height / 2)
        at += height + _GAP
    return places, at


def _x(flops: float, most: float) -> float:
    return _LEFT + _SPAN * flops / most


def _thickness(width: int, scale: float) -> float:
    return max(width * scale, _THINNEST) if width else 0.0


def _band(lane: Lane, middle: float, scale: float, most: float, colour: str) -> Iterator[str]:
    """A shape that is symmetric around its middle line, with short ramps where the width changes."""
    upper: list[tuple[float, float]] = []
    ends = [begin for begin, _ in lane.spans[1:]] + [most]
    before = 0.0
    for number, ((begin, width), end) in enumerate(zip(lane.spans, ends, strict=True)):
        half = _thickness(width, scale) / 2
        left, right = _x(begin, most), _x(end, most)
        ramp = min(_RAMP, (right - left) / 2) if number or begin else 0.0
        upper += [(left, half if not ramp else before), (left + ramp, half), (right, half)]
        before = half
    path = f"M{upper[0][0]:.1f},{middle - upper[0][1]:.1f}"
    path += "".join(_curve(one, two, middle, -1) for one, two in pairwise(upper))
    turned = upper[::-1]
    path += f"L{turned[0][0]:.1f},{middle + turned[0][1]:.1f}"
    path += "".join(_curve(one, two, middle, 1) for one, two in pairwise(turned))
    what = f"{lane.name} ({lane.kind}): {lane.first} to {lane.last} wide"
    yield f'<path d="{path}Z" fill="{colour}"><title>{escaped(what)}</title></path>'
    yield svg_text(_LEFT - 12, middle + 4, crop_start(lane.name, 18), "ink end")
    changed = f"{lane.first} → {lane.last}" if lane.first != lane.last else f"{lane.last}"
    yield svg_text(_LEFT + _SPAN + 12, middle + 4, changed if lane.last else f"{lane.first} → gone", "soft")


def _curve(one: tuple[float, float], two: tuple[float, float], middle: float, side: int) -> str:
    (x0, half0), (x1, half1) = one, two
    if half0 == half1 or x0 == x1:
        return f"L{x1:.1f},{middle + side * half1:.1f}"
    bend = (x0 + x1) / 2
    y0, y1 = middle + side * half0, middle + side * half1
    return f"C{bend:.1f},{y0:.1f} {bend:.1f},{y1:.1f} {x1:.1f},{y1:.1f}"


def _accuracy(entries: Sequence[Mapping[str, Any]], most: float, top: float) -> Iterator[str]:
    yield svg_text(_LEFT, top - 12, "Accuracy", "head ink")
    ticks = _ticks(entries)

    def y_of(accuracy: float) -> float:
        return top + _CHART * (1 - _height(accuracy, ticks[-1]))

    for share in ticks:
        y = y_of(share)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + _SPAN}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield svg_text(_LEFT - 12, y + 4, f"{share * 100:g}%", "small soft end")
    points = [
        (_x(entry["flops"], most), y_of(entry["accuracy"]))
        for entry in entries
        if entry["kind"] == "evaluation"
    ]
    if points:
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        foot = top + _CHART
        yield f'<polygon class="under" points="{points[0][0]:.1f},{foot} {line} {points[-1][0]:.1f},{foot}"/>'
        yield f'<polyline class="curve" points="{line}"/>'
    for entry in entries:
        if entry["kind"] == "test":
            x, y = _x(entry["flops"], most), y_of(entry["accuracy"])
            yield f'<circle class="test" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>'
            yield svg_text(x + 12, y + 4, f"{entry['accuracy']:.1%} test", "ink")
    for share in (0.0, 0.5, 1.0):
        x = _LEFT + _SPAN * share
        anchor = "" if share == 0 else " middle" if share < 1 else " end"
        yield svg_text(x, top + _CHART + 18, f"{_flops(most * share)}", f"small soft{anchor}")
    yield svg_text(_LEFT + _SPAN / 4, top + _CHART + 18, "training FLOPs →", "small soft middle")


def _ticks(entries: Sequence[Mapping[str, Any]]) -> list[float]:
    """Accuracies to draw lines at, up to one that nothing reaches."""
    best = max((entry["accuracy"] for entry in entries if "accuracy" in entry), default=0.0)
    return [tick for tick, before in zip(_TICKS, (0.0, *_TICKS), strict=False) if before <= best]


def _height(accuracy: float, most: float) -> float:
    """Between 0 and 1, by the logarithm of the errors: halving them counts the same everywhere."""
    return min(math.log(max(1 - accuracy, 1e-9)) / math.log(1 - most), 1.0)


def _marks_below(
    made: Sequence[Mapping[str, Any]],
    lanes: Sequence[Lane],
    places: Sequence[float],
    most: float,
    bottom: float,
) -> Iterator[str]:
    """A dashed line from each change down to the curve."""
    for entry in made:
        if entry["is_made"]:
            x = _x(entry["flops"], most)
            yield f'<line class="when" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 14}" y2="{bottom:.1f}"/>'


def _marks(
    made: Sequence[Mapping[str, Any]], lanes: Sequence[Lane], places: Sequence[float], most: float
) -> Iterator[str]:
    """The number of each decision on the layer that it changed, or a dot above where it changed nothing."""
    for number, entry in enumerate(made, start=1):
        x = _x(entry["flops"], most)
        what = f"<title>{escaped(_sentence(number, entry))}</title>"
        if not entry["is_made"]:
            yield f'<circle class="none" cx="{x:.1f}" cy="{_TOP - 14}" r="3.5">{what}</circle>'
            continue
        y = _changed_at(entry, lanes, places)
        yield f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="8.5">{what}</circle>'
        yield svg_text(x, y + 3.5, str(number), "number ink")


def _changed_at(entry: Mapping[str, Any], lanes: Sequence[Lane], places: Sequence[float]) -> float:
    """The middle of the lane that changed then; above all of them where none is known."""
    flops = float(entry["flops"])
    site = (entry["candidate"] or {}).get("site", "")
    changed = [
        place for place, lane in enumerate(lanes) if any(begin == flops for begin, _ in lane.spans[1:])
    ]
    changed += [place for place, lane in enumerate(lanes) if lane.spans[0][0] == flops > 0]
    named = [place for place in changed if lanes[place].name == site]
    found = named or changed
    return places[found[0]] if found else _TOP - 14.0


def _rolled_back(entries: Sequence[Mapping[str, Any]], most: float, chart: float) -> Iterator[str]:
    for entry in entries:
        if entry["kind"] == "rollback":
            x, y = _x(entry["flops"], most), _TOP - 14
            what = f"<title>{escaped('taken back: ' + entry['reason'])}</title>"
            d = f"M{x - 5:.1f},{y - 5} l10,10 m0,-10 l-10,10"
            yield f'<path class="undone" d="{d}">{what}</path>'


def _explained(made: Sequence[Mapping[str, Any]], top: float) -> Iterator[str]:
    """A line for each decision: its number, what it changed and why."""
    if not made:
        return
    yield svg_text(_LEFT, top, "Decisions", "head ink")
    # Where there are too many, those that changed something are worth more.
    numbered = list(enumerate(made, start=1))
    shown = numbered
    if len(made) > _MOST_LINES:
        shown = sorted(sorted(numbered, key=lambda one: not one[1]["is_made"])[:_MOST_LINES])
    for line, (number, entry) in enumerate(shown, start=1):
        y = top + _LINE * line
        style = "ink" if entry["is_made"] else "soft"
        yield svg_text(_LEFT + 14, y, str(number), f"{style} end")
        yield svg_text(_LEFT + 28, y, crop_end(entry["label"], 34), style)
        yield svg_text(_LEFT + 270, y, crop_end(entry["reason"], 92), "soft")
    if len(shown) < len(made):
        y = top + _LINE * (len(shown) + 1)
        yield svg_text(_LEFT + 28, y, f"and {len(made) - len(shown)} more, in the log", "soft")


def _sentence(number: int, entry: Mapping[str, Any]) -> str:
    return f"{number}: {entry['label']} ({entry['reason']})"


def _description(lanes: Sequence[Lane], made: Sequence[Mapping[str, Any]]) -> str:
    widths = ", ".join(f"{lane.name} from {lane.first} to {lane.last}" for lane in lanes)
    changes = "; ".join(_sentence(number, entry) for number, entry in enumerate(made, start=1))
    return f"Widths of the layers over training: {widths}. Decisions: {changes or 'none'}."


def _hue(place: int, count: int) -> str:
    """A colour between those of `_HUES`, from the first layer to the last."""
    at = place / max(count - 1, 1) * (len(_HUES) - 1)
    low = min(int(at), len(_HUES) - 2)
    mixed = (round(a + (b - a) * (at - low)) for a, b in zip(_HUES[low], _HUES[low + 1], strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _flops(count: float) -> str:
    for unit, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}FLOP"
    return f"{count:.3g} FLOP" if count else "0"
