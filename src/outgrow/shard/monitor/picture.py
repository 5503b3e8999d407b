"""An instruction log as one picture: a lane for each worker, time from left to right. Pure."""

__all__ = ["draw_timeline"]

import itertools
import math
from collections.abc import Sequence
from typing import Any, Final

from outgrow.markup import svg_page, svg_text
from outgrow.quantities import format_seconds
from outgrow.shard.monitor.activity import Stretch, stretches_of

WIDTH: Final = 1000
LEFT: Final = 120
RIGHT: Final = 20
SPAN: Final = WIDTH - LEFT - RIGHT
LANE: Final = 30
LEVELS: Final = 11
COLOURS: Final = ("#1f6fb2", "#f0a030", "#58a07c", "#b5537a", "#7a68b8", "#3f9aa6")
"""Of segments, the busiest first; the last of the legend is everything else."""
OTHER: Final = "#8793a1"
_STYLE: Final = "  .lane { fill: #e6eaef; } .grid { stroke: #c3cbd4; }\n"
_DARK: Final = "    .lane { fill: #29313b; } .grid { stroke: #3b4653; }\n"


def draw_timeline(events: Sequence[dict[str, Any]], title: str) -> str:
    """The picture as the text of an SVG file, readable on light and on dark ground."""
    world_size = int(events[0]["world_size"])
    stretches = stretches_of(events)
    first = min((one.started for one in stretches), default=0.0)
    last = max((one.ended for one in stretches), default=first)
    scale = SPAN / max(last - first, 1e-9)
    colours = _colours(stretches)
    bottom = 92 + LANE * world_size
    parts = [
        svg_text(20, 34, title, "title ink"),
        svg_text(20, 56, _summary(stretches, last - first), "soft"),
        *_grid(first, last, scale, bottom),
    ]
    for worker in range(world_size):
        own = [one for one in stretches if one.worker == worker]
        parts += _lane(worker, own, 84 + LANE * worker, first, last, scale, colours)
    parts += _legend(colours, stretches, bottom + 26)
    height = bottom + 26 + 20 * (len(colours) + 2)
    return svg_page(parts, width=WIDTH, height=height, title=title, style=_STYLE, dark=_DARK)


def _colours(stretches: Sequence[Stretch]) -> dict[tuple[int, int | None], str]:
    """The segments that took longest, with a colour each."""
    seconds: dict[tuple[int, int | None], float] = {}
    for one in stretches:
        if one.kind == "CALL":
            key = (one.session, one.segment)
            seconds[key] = seconds.get(key, 0.0) + one.ended - one.started
    longest = sorted(seconds, key=lambda key: -seconds[key])[: len(COLOURS)]
    return dict(zip(longest, COLOURS, strict=False))


def _lane(
    worker: int,
    stretches: Sequence[Stretch],
    top: int,
    first: float,
    last: float,
    scale: float,
    colours: dict[tuple[int, int | None], str],
) -> list[str]:
    busy = sum(one.ended - one.started for one in stretches) / max(last - first, 1e-9)
    parts = [
        svg_text(20, top + 16, f"worker {worker}", "ink"),
        svg_text(LEFT - 8, top + 16, f"{min(busy, 1.0):.0%}", "small soft end"),
        f'<rect class="lane" x="{LEFT}" y="{top}" width="{SPAN}" height="{LANE - 8}"/>',
    ]
    return parts + _boxes(stretches, top, first, scale, colours)


def _boxes(
    stretches: Sequence[Stretch],
    top: int,
    first: float,
    scale: float,
    colours: dict[tuple[int, int | None], str],
) -> list[str]:
    """Half a pixel after the other: as high as the worker was busy there, in the colour that took most of it.

    Logs hold hundreds of thousands of messages; a lane never has more boxes than half pixels.
    """
    columns: list[dict[str, float]] = [{} for _ in range(SPAN * 2 + 1)]
    for one in stretches:
        colour = colours.get((one.session, one.segment), OTHER) if one.kind == "CALL" else OTHER
        left, right = (one.started - first) * scale * 2, (one.ended - first) * scale * 2
        for column in range(int(left), min(int(right), SPAN * 2) + 1):
            share = max(min(right, column + 1) - max(left, column), 0.0)
            columns[column][colour] = columns[column].get(colour, 0.0) + share
    heights = [
        (max(column, key=lambda colour: column[colour]), math.ceil(min(sum(column.values()), 1.0) * LEVELS))
        if column
        else (OTHER, 0)
        for column in columns
    ]
    parts = []
    at = 0
    for (colour, level), group in itertools.groupby(heights):
        count = len(list(group))
        if level:
            height = (LANE - 8) * level / LEVELS
            parts.append(
                f'<rect x="{LEFT + at / 2:.1f}" y="{top + LANE - 8 - height:.1f}" width="{count / 2:.1f}" '
                f'height="{height:.1f}" fill="{colour}"/>'
            )
        at += count
    return parts


def _grid(first: float, last: float, scale: float, bottom: int) -> list[str]:
    parts = []
    for part in range(6):
        at = LEFT + SPAN * part / 5
        label = format_seconds((last - first) * part / 5)
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="78" x2="{at:.1f}" y2="{bottom}"/>')
        parts.append(svg_text(at, 74, label, "small soft middle"))
    return parts


def _legend(colours: dict[tuple[int, int | None], str], stretches: Sequence[Stretch], top: int) -> list[str]:
    parts = []
    shown = [*colours.items(), (None, OTHER)]
    for place, (key, colour) in enumerate(shown):
        own = [one for one in stretches if one.worker == 0 and _key(one, colours) == key]
        y = top + 20 * place
        name = (
            "everything else: what is sent, placed and fetched"
            if key is None
            else own[0].title
            if own
            else ""
        )
        seconds = format_seconds(sum(one.ended - one.started for one in own))
        parts.append(f'<rect x="{LEFT}" y="{y - 11}" width="14" height="14" fill="{colour}"/>')
        parts.append(svg_text(LEFT + 22, y, f"{name}: {len(own)} times, {seconds} on worker 0", "soft"))
    return parts


def _key(one: Stretch, colours: dict[tuple[int, int | None], str]) -> tuple[int, int | None] | None:
    key = (one.session, one.segment)
    return key if one.kind == "CALL" and key in colours else None


def _summary(stretches: Sequence[Stretch], seconds: float) -> str:
    messages = {one.sequence for one in stretches}
    instructions = sum(one.instructions for one in stretches if one.worker == 0)
    return f"{format_seconds(seconds)}, {len(messages):,} messages, {instructions:,} instructions"
