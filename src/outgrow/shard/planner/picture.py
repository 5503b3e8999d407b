"""How a step runs as one SVG: its layers, how each tensor is held, and where workers exchange what."""

__all__ = ["picture"]

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from outgrow.markup import crop_start, escaped
from outgrow.quantities import format_bytes
from outgrow.shard.planner.explanation import kind_text, placement_text, used_candidate

WORKERS: Final = ("#4C78A8", "#F2A241", "#5BA56B", "#B279A2", "#D66A6A", "#62AEB8", "#D9B93B", "#9D755D")
"""A colour for each worker, in turn."""
_INK, _SOFT, _LINE, _TALK = "#1F2937", "#6B7280", "#CBD5E1", "#C2410C"
_TIMES = " \u00d7 "
_WIDTH, _ROW, _TOP = 1080, 66, 150
_FORWARD, _WEIGHT, _BACKWARD, _TEXT = 372, 476, 706, 760


def picture(answer: Mapping[str, Any], names: Mapping[int, str] | None = None, *, cycle: int = 0) -> str:
    """An SVG of the plan that runs; `answer` is what the workers say to `explain`, `names` as in the text."""
    world, cycles = answer["world_size"], answer["cycles"]
    used = used_candidate(cycles[cycle]) if cycle < len(cycles) else None
    stages = [] if used is None else used["details"].get("stages", [])
    candidates = cycles[cycle]["candidates"] if cycle < len(cycles) else []
    bottom = _TOP + _ROW * max(1, len(stages)) + 46
    height = bottom + 60 + 40 * len(candidates)
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="Inter, Helvetica, Arial, sans-serif">',
        _arrowheads(),
        _tag("rect", width=_WIDTH, height=height, fill="#FFFFFF"),
        *_header(used, world),
    ]
    if stages:
        parts += _columns()
        parts += _lanes(stages)
        for number, stage in enumerate(stages):
            name = (names or {}).get(stage["input"], stage["name"])
            parts += _stage(stage, name, _TOP + _ROW * number, world)
        parts += _groups(stages)
    else:
        text = "One worker does everything with all cores." if used else "Nothing has repeated yet."
        parts.append(_text(40, _TOP + 20, text, size=15, fill=_SOFT))
    parts += _bars(candidates, cycles[cycle]["used"] if candidates else None, bottom)
    return "\n".join([*parts, "</svg>"])


# The page


def _header(used: Mapping[str, Any] | None, world: int) -> list[str]:
    title = f"One step on {world} worker{'s' if world != 1 else ''}"
    parts = [_text(40, 48, title, size=24, weight=600)]
    if used is not None:
        told = [kind_text(used["kind"]), f"predicted {used['predicted_seconds'] * 1e3:.1f} ms"]
        if used.get("measured_seconds"):
            told.append(f"measured {used['measured_seconds'] * 1e3:.1f} ms")
        holders = "it" if used["kind"] == "solo" else "each"
        told.append(f"{format_bytes(used['state_bytes'])} of state on {holders}")
        parts.append(_text(40, 74, "  ·  ".join(told), size=14, fill=_SOFT))
    x = _WIDTH - 428
    for placement, label in (("S(0)", "cut"), ("R", "whole on each"), ("P(sum)", "to be added up")):
        parts += _glyph(x, 34, 30, 20, placement, 2, min(world, 8))
        parts.append(_text(x + 40, 49, label, size=12, fill=_SOFT))
        x += 60 + 7 * len(label) + 14
    parts.append(_line(x - 352, 74, x - 316, 74, stroke=_TALK, stroke_width=5))
    parts.append(_text(x - 308, 78, "workers exchange; the thicker, the more bytes", size=12, fill=_SOFT))
    return parts


def _columns() -> list[str]:
    heads = (
        (54, "layer", "start"),
        (_FORWARD, "forward", "middle"),
        (_WEIGHT, "parameter", "start"),
        (_BACKWARD, "backward", "middle"),
        (_TEXT + 26, "update", "start"),
    )
    parts = [_text(x, _TOP - 26, word, size=12, fill=_SOFT, anchor=anchor) for x, word, anchor in heads]
    parts.append(_line(40, _TOP - 16, _WIDTH - 40, _TOP - 16, stroke=_LINE))
    return parts


def _lanes(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Down on the left, up on the right; red and thick where workers exchange what flows there."""
    parts, last = [], len(stages) - 1
    for number, stage in enumerate(stages):
        y = _TOP + _ROW * number
        start, stop = y + 46, y + _ROW + 8
        if number < last:
            parts.append(_flow(_FORWARD, start, stop, stage["forward"]))
            parts.append(_flow(_BACKWARD, stop, start - 4, stages[number + 1]["backward"]))
        else:
            path = f"M{_FORWARD} {y + 46} v14 q0 16 16 16 H{_BACKWARD - 16} q16 0 16 -16 v-8"
            width, colour, head = _stroke(stage["forward"])
            width = min(width, 6.0)
            parts.append(
                _tag(
                    "path", d=path, fill="none", stroke=colour, stroke_width=width, marker_end=f"url(#{head})"
                )
            )
            parts.append(
                _text((_FORWARD + _BACKWARD) / 2, y + 71, "loss", size=12, fill=_SOFT, anchor="middle")
            )
        if stage["forward"]:
            parts.append(_talk(_FORWARD - 14, y + _ROW - 5, stage["forward"], anchor="end"))
        if stage["backward"]:
            parts.append(_talk(_BACKWARD + 14, y + 2, stage["backward"], anchor="start"))
    return parts


def _stage(stage: Mapping[str, Any], name: str, y: float, world: int) -> list[str]:
    shape = stage["shape"]
    size = f"{_TIMES.join(map(str, shape))}  ·  {format_bytes(stage['bytes'])}"
    parts = [
        _text(54, y + 22, crop_start(name, 36), size=14, weight=600),
        _text(54, y + 40, f"{stage['op']}  ·  {size}", size=12, fill=_SOFT),
        *_glyph(_FORWARD - 21, y + 12, 42, 28, stage["output"], 3, world),
        *_glyph(_WEIGHT, y + 8, 104, 36, stage["placement"], len(shape), world),
        _text(_WEIGHT + 114, y + 23, placement_text(stage["placement"]), size=11, fill=_INK),
        _text(_WEIGHT + 114, y + 38, f"{format_bytes(stage['rank_bytes'])} each", size=11, fill=_SOFT),
        _tag("circle", cx=_BACKWARD, cy=y + 26, r=4.5, fill="#FFFFFF", stroke=_SOFT, stroke_width=1.5),
    ]
    start, stop, middle = _BACKWARD + 10, _TEXT + 14, y + 26
    width, colour, _ = _stroke(stage["update"])
    parts.append(
        _line(start, middle, stop, middle, stroke=colour if stage["update"] else _LINE, stroke_width=width)
    )
    if stage["update"]:
        parts.append(_talk(_TEXT + 26, y + 30, stage["update"], anchor="start"))
    else:
        parts.append(_text(_TEXT + 26, y + 30, "nothing is exchanged", size=12, fill=_SOFT))
    return parts


def _groups(stages: Sequence[Mapping[str, Any]]) -> list[str]:
    """A bracket beside stages that repeat."""
    parts = []
    for group in sorted({stage["group"] for stage in stages if stage["repeats"] > 1}):
        rows = [number for number, stage in enumerate(stages) if stage["group"] == group]
        top, bottom = _TOP + _ROW * rows[0] + 6, _TOP + _ROW * rows[-1] + 50
        times = stages[rows[0]]["repeats"]
        parts.append(
            _tag("path", d=f"M46 {top} H40 V{bottom} H46", fill="none", stroke=_SOFT, stroke_width=1.5)
        )
        middle = (top + bottom) / 2
        turned = f"translate(31 {middle}) rotate(-90)"
        word = _tag(
            "text", f"\u00d7 {times}", text_anchor="middle", font_size=12, font_weight=600, fill=_SOFT
        )
        parts.append(_tag("g", word, transform=turned))
    return parts


def _bars(candidates: Sequence[Mapping[str, Any]], used: int | None, y: float) -> list[str]:
    """What each candidate was predicted to take, and took."""
    if not candidates:
        return []
    times = [max(plan["predicted_seconds"], plan.get("measured_seconds") or 0.0) for plan in candidates]
    scale = 560 / max(*times, 1e-9)
    parts = [
        _line(40, y + 4, _WIDTH - 40, y + 4, stroke=_LINE),
        _text(40, y + 30, "candidates: predicted above, measured below", size=12, fill=_SOFT),
    ]
    for number, plan in enumerate(candidates):
        top, is_used = y + 46 + 40 * number, number == used
        colour = WORKERS[0] if is_used else "#94A3B8"
        parts.append(_text(40, top + 18, kind_text(plan["kind"]), size=14, weight=600 if is_used else 400))
        for below, seconds in ((0, plan["predicted_seconds"]), (12, plan.get("measured_seconds"))):
            if seconds:
                opacity = 0.4 if below == 0 else 1.0
                box = {
                    "x": 220,
                    "y": top + 2 + below,
                    "width": max(1.0, seconds * scale),
                    "height": 10,
                    "rx": 2,
                }
                parts.append(_tag("rect", **box, fill=colour, fill_opacity=opacity))
                label = f"{seconds * 1e3:.1f} ms"
                parts.append(_text(228 + seconds * scale, top + 11 + below, label, size=10, fill=_SOFT))
    return parts


# Small things


def _glyph(x: float, y: float, width: float, height: float, text: str, dims: int, world: int) -> list[str]:
    """A tensor as it is held: stripes of the workers' colours, cards behind each other, or a sum of cards."""
    if text.startswith("S("):
        across = int(text[2:-1]) == 0 and dims > 1
        parts = []
        for rank in range(world):
            low, high = rank / world, (rank + 1) / world
            box = (x, y + height * low, width, height * (high - low)) if across else None
            box = box or (x + width * low, y, width * (high - low), height)
            parts.append(_box(*box, WORKERS[rank % len(WORKERS)]))
        return [*parts, _frame(x, y, width, height)]
    if text.startswith("O("):
        return [
            _box(x, y, width, height, WORKERS[int(text[2:-1]) % len(WORKERS)]),
            _frame(x, y, width, height),
        ]
    cards, parts = min(world, 4), []
    step = 9.0 / max(1, cards - 1) if cards > 1 else 0.0
    for card in reversed(range(cards)):
        at = (
            x + step * card,
            y + step * card * 0.7,
            width - step * (cards - 1),
            height - step * 0.7 * (cards - 1),
        )
        fill = WORKERS[card % len(WORKERS)]
        parts += [
            _box(*at, "#FFFFFF", opacity=1.0),
            _box(*at, fill, opacity=0.25 if text == "R" else 0.12),
            _frame(*at, fill),
        ]
    if text != "R":
        middle = (x + width / 2 - 4, y + height / 2 + 4)
        parts.append(_text(*middle, "+", size=18, weight=600, fill=_INK, anchor="middle"))
    return parts


def _box(x: float, y: float, width: float, height: float, fill: str, *, opacity: float = 0.75) -> str:
    return _tag("rect", x=x, y=y, width=width, height=height, fill=fill, fill_opacity=opacity)


def _frame(x: float, y: float, width: float, height: float, colour: str = "#FFFFFF") -> str:
    return _tag(
        "rect", x=x, y=y, width=width, height=height, rx=2, fill="none", stroke=colour, stroke_width=1.2
    )


def _stroke(moves: Sequence[Mapping[str, Any]]) -> tuple[float, str, str]:
    """Width, colour and head of an arrow along which so much is exchanged."""
    total = sum(move["bytes"] for move in moves)
    if not moves:
        return 1.5, "#94A3B8", "calm"
    return min(16.0, 2.5 + 2.4 * max(0.0, math.log10(max(total, 1) / 1000))), _TALK, "talk"


def _flow(x: float, start: float, stop: float, moves: Sequence[Mapping[str, Any]]) -> str:
    """An arrow straight down or up; its head grows with it."""
    width, colour, _ = _stroke(moves)
    half, head = width / 2, width / 2 + 4
    neck = stop - math.copysign(min(11.0, 5 + width / 2), stop - start)
    points = [
        (-half, start),
        (-half, neck),
        (-head, neck),
        (0.0, stop),
        (head, neck),
        (half, neck),
        (half, start),
    ]
    return _tag("polygon", points=" ".join(f"{x + dx:g},{y:g}" for dx, y in points), fill=colour)


def _line(x1: float, y1: float, x2: float, y2: float, **attributes: str | float) -> str:
    return _tag("line", x1=x1, y1=y1, x2=x2, y2=y2, **attributes)


def _tag(name: str, inside: str = "", /, **attributes: str | float) -> str:
    """An element; `stroke_width=1` is written `stroke-width="1"`."""
    told = " ".join(
        f'{key.replace("_", "-")}="{value if isinstance(value, str) else f"{value:g}"}"'
        for key, value in attributes.items()
    )
    return f"<{name} {told}/>" if not inside else f"<{name} {told}>{inside}</{name}>"


def _talk(x: float, y: float, moves: Sequence[Mapping[str, Any]], *, anchor: str) -> str:
    names: dict[str, list[int]] = {}
    for move in moves:
        names.setdefault(move["collective"].replace("_", "-"), []).append(move["bytes"])
    told = [
        f"{name} {format_bytes(sum(sizes))}" + (f" in {len(sizes)}" if len(sizes) > 1 else "")
        for name, sizes in names.items()
    ]
    return _text(x, y, ", ".join(told), size=12, weight=600, fill=_TALK, anchor=anchor)


def _text(
    x: float, y: float, text: str, *, size: int, fill: str = _INK, weight: int = 400, anchor: str = "start"
) -> str:
    style: dict[str, str | float] = {"font_size": size, "font_weight": weight, "fill": fill}
    return _tag("text", escaped(text), x=x, y=y, **style, text_anchor=anchor)


def _arrowheads() -> str:
    heads = ""
    for name, colour, size in (("calm", "#94A3B8", 9), ("talk", _TALK, 14)):
        # In the user's units: a thick arrow needs no head as much thicker.
        inside = _tag("path", d="M0 0L10 5L0 10z", fill=colour)
        shape: dict[str, str | float] = {"viewBox": "0 0 10 10", "refX": 8, "refY": 5, "orient": "auto"}
        sizes: dict[str, str | float] = {"markerWidth": size, "markerHeight": size}
        heads += _tag("marker", inside, id=name, markerUnits="userSpaceOnUse", **shape, **sizes)
    return f"<defs>{heads}</defs>"
