"""A plan as one picture: a pass as a strip of all weights in order of use, and what is in memory. Pure."""

__all__ = ["draw_plan"]

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from xml.sax.saxutils import escape

from outgrow.quantities import format_bytes, format_rate, format_seconds
from outgrow.stream.plan import Plan
from outgrow.stream.prediction import Prediction
from outgrow.stream.preview import Preview
from outgrow.stream.weights import Piece

_WIDTH = 960
_LEFT = 32
_SPAN = _WIDTH - 2 * _LEFT
# Width of a character as a part of its size: an upper bound on average for the fonts in the style below.
_GLYPH = 0.60
_LAYER = re.compile(r"^(?P<stack>.*?\.)(?P<number>\d+)\.(?P<rest>.+)$")
_NAMES = {"resident": "stays in memory", "streamed": "streams from disk", "rows": "read by row"}
_STYLE = """\
  .page { fill: #ffffff; } .ink { fill: #1c2430; } .soft { fill: #5b6675; }
  .line { stroke: #9aa5b1; fill: none; }
  .resident { fill: #1f6fb2; } .streamed { fill: #f0a030; } .rows { fill: #58a07c; }
  .window { fill: #f6c888; }
  .empty { fill: #e6eaef; } .edge { fill: none; stroke: #9aa5b1; }
  text { font-family: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-size: 13px; }
  .title { font-size: 20px; font-weight: 600; } .head { font-size: 14px; font-weight: 600; }
  .small { font-size: 11px; } .middle { text-anchor: middle; } .end { text-anchor: end; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #12161c; } .ink { fill: #e8edf3; } .soft { fill: #a0acb9; } .line { stroke: #5b6675; }
    .resident { fill: #4f9fe0; } .streamed { fill: #e09a35; } .rows { fill: #62b389; }
    .window { fill: #8a6a3a; }
    .empty { fill: #29313b; } .edge { stroke: #5b6675; }
  }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Neighbouring bytes of one weight in one state."""

    name: str
    state: str
    """`resident`, `streamed` or `rows`."""
    nbytes: int


def draw_plan(preview: Preview) -> str:
    """The picture as the text of an SVG file, readable on light and on dark ground.

    From top to bottom: all weights and what of them is in memory, to one scale; the pass as a strip, every
    weight as wide as its bytes; one layer enlarged; the legend; the figures.
    """
    plan, runs = preview.plan, _runs(preview)
    parts = [_title(preview), *_memory_bars(plan, 84)]
    parts += [_text(_LEFT, 196, "One pass, weight after weight", "head ink")]
    parts += [_text(_WIDTH - _LEFT, 196, "width: bytes", "small soft end")]
    parts += [*_strip(runs, 208, 56), *_brackets(runs, 264)]
    top = 318
    layer = _middle_layer(runs)
    if layer:
        number, members = layer
        parts += [_text(_LEFT, top + 12, f"Layer {number}, enlarged", "head ink")]
        parts += [*_strip(members, top + 24, 40), *_weight_names(members, top + 64)]
        top += 112
    states = [state for state in _NAMES if any(run.state == state for run in runs)]
    parts += [*_legend(states, plan, top), *_figures(preview, top + 44)]
    height = top + 44 + 24 * 4 + 8
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(_headline(preview))}</title>',
        f'<desc id="description">{escape(_description(preview, runs))}</desc>',
        f"<style>\n{_STYLE}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{height}"/>',
        *parts,
        "</svg>\n",
    ])  # fmt: skip


def _runs(preview: Preview) -> list[_Run]:
    """The pass in order of use, neighbours of one weight in one state as one."""
    plan = preview.plan
    found = [
        _Run(name=piece.weight.name, state=_state(plan, piece), nbytes=piece.nbytes)
        for index in preview.order
        for piece in plan.pieces_of[index]
    ]
    merged = []
    for (name, state), group in groupby(found, key=lambda run: (run.name, run.state)):
        merged.append(_Run(name=name, state=state, nbytes=sum(run.nbytes for run in group)))
    return merged


def _state(plan: Plan, piece: Piece) -> str:
    if piece.index in plan.resident:
        return "resident"
    return "rows" if piece.weight.index in plan.gathered else "streamed"


def _headline(preview: Preview) -> str:
    weights, budget = preview.plan.weights_bytes, preview.plan.budget_bytes
    return f"{preview.name}: {format_bytes(weights)} of weights within {format_bytes(budget)}"


def _description(preview: Preview, runs: Sequence[_Run]) -> str:
    plan = preview.plan
    by_row = sum(run.nbytes for run in runs if run.state == "rows")
    rows = f" Of tables on disk ({format_bytes(by_row)}) single rows are read." if by_row else ""
    dtype = str(preview.dtype).removeprefix("torch.")
    return (
        f"{preview.architecture} in {dtype}: {len(preview.weights)} weights in order of use as a strip. "
        f"{format_bytes(plan.resident_bytes)} stay in memory, spread evenly over the pass; "
        f"{format_bytes(plan.pass_bytes)} stream from disk in each pass through a window of "
        f"{format_bytes(plan.window_bytes)}.{rows}"
    )


def _title(preview: Preview) -> str:
    room = int(_SPAN / (20 * _GLYPH)) - 40
    name = _shortened(preview.name, room)
    dtype = str(preview.dtype).removeprefix("torch.")
    line = f"{preview.architecture}, {dtype}, {len(preview.weights)} weights"
    share = preview.plan.budget_bytes / max(preview.plan.weights_bytes, 1)
    budget = f"a budget of {format_bytes(preview.plan.budget_bytes)}"
    budget += f" ({share:.0%} of its weights)" if share < 1 else " (all of its weights)"
    return "\n".join([
        _text(_LEFT, 40, f"{name}, {budget}", "title ink"),
        _text(_LEFT, 62, line, "soft"),
    ])  # fmt: skip


def _memory_bars(plan: Plan, top: float) -> Iterator[str]:
    """All weights, and under them what is in memory, to the same scale."""
    label, left = 92, _LEFT + 100
    scale = (_WIDTH - _LEFT - left) / max(plan.weights_bytes, plan.budget_bytes, 1)
    yield _text(left - 12, top + 17, "All weights", "ink end")
    yield _box(left, top, plan.weights_bytes * scale, 24, "empty")
    inside = left + 10
    yield _text(inside, top + 17, format_bytes(plan.weights_bytes), "ink")
    below = top + 36
    yield _text(left - 12, below + 17, "In memory", "ink end")
    at = float(left)
    for nbytes, style in (
        (plan.resident_bytes, "resident"),
        (plan.window_bytes + plan.staging_bytes, "window"),
    ):
        yield _box(at, below, nbytes * scale, 24, style)
        at += nbytes * scale
    yield _box(left, below, plan.budget_bytes * scale, 24, "edge")
    words = f"{format_bytes(plan.reserved_bytes)}: {format_bytes(plan.resident_bytes)} stay"
    if plan.window_bytes:
        words += f", {format_bytes(plan.window_bytes)} are the window that the rest passes through"
    end = left + max(plan.budget_bytes, plan.reserved_bytes) * scale + 10
    if end + len(words) * 13 * _GLYPH < _WIDTH - label + 60:
        yield _text(end, below + 17, words, "soft")
    else:
        yield _text(left, below + 42, words, "soft")


def _strip(runs: Sequence[_Run], top: float, height: float) -> Iterator[str]:
    """Runs as boxes side by side, over the whole width. Those of one weight say its name when pointed at."""
    total = sum(run.nbytes for run in runs) or 1
    at = 0
    yield _box(_LEFT, top, _SPAN, height, "empty")
    for name, members in groupby(_visible(runs, total), key=lambda run: run.name):
        boxes, words = [], []
        for run in members:
            # A hair of ground between weights shows where one ends, as long as they are wide enough for it.
            width = run.nbytes / total * _SPAN
            boxes.append(
                _box(_LEFT + at / total * _SPAN, top, width - (0.5 if width > 4 else 0), height, run.state)
            )
            words.append(f"{format_bytes(run.nbytes)} {_NAMES[run.state]}")
            at += run.nbytes
        yield f"<g><title>{escape(name)}: {escape(', '.join(words))}</title>{''.join(boxes)}</g>"


def _visible(runs: Sequence[_Run], total: int) -> Iterator[_Run]:
    """Runs that are too narrow to see one by one are joined by state, within a weight or even a layer."""
    if len(runs) > _SPAN / 2:
        runs = [replace(run, name="".join(_group_of(run))) for run in runs]
    for _, group in groupby(runs, key=lambda run: run.name):
        members = list(group)
        if len(members) <= 2 or min(run.nbytes for run in members) / total * _SPAN >= 0.7:
            yield from members
            continue
        for state in _NAMES:
            nbytes = sum(run.nbytes for run in members if run.state == state)
            if nbytes:
                yield replace(members[0], state=state, nbytes=nbytes)


def _group_of(run: _Run) -> tuple[str, str]:
    """Stack and layer number of a weight, or its module's name where it is in no layer."""
    found = _LAYER.match(run.name)
    if found:
        return found["stack"], found["number"]
    words = run.name.split(".")
    return "", words[-2] if len(words) > 1 else words[-1]


def _brackets(runs: Sequence[_Run], top: float) -> Iterator[str]:
    """Under the strip: where each layer lies, and its number where it does not touch the one before."""
    total = sum(run.nbytes for run in runs) or 1
    at, free, numbers_free = 0.0, float("-inf"), float("-inf")
    first_number = True
    for (stack, label), group in groupby(runs, key=_group_of):
        width = sum(run.nbytes for run in group) / total * _SPAN
        left, middle = _LEFT + at, _LEFT + at + width / 2
        at += width
        if stack:
            text = f"layer {label}" if first_number else label
            half = len(text) * 11 * _GLYPH / 2
            if width > 3:
                yield f'<path class="line" d="M{left + 1:.1f} {top + 5} v4 h{width - 2:.1f} v-4"/>'
            start = max(middle - half, _LEFT + 6) if first_number else middle - half
            if start > numbers_free and start + 2 * half <= _WIDTH - _LEFT + 12:
                yield _text(start + half, top + 22, text, "small soft middle")
                numbers_free, first_number = start + 2 * half + 8, False
        else:
            half = len(label) * 11 * _GLYPH / 2
            # Outside of layers the name goes a line lower, within the picture's margins.
            center = min(max(middle, _LEFT + half), _WIDTH - _LEFT - half)
            if width >= 2 and center - half > free:
                yield f'<path class="line" d="M{middle:.1f} {top + 3} V{top + 25}"/>'
                yield _text(center, top + 37, label, "small ink middle")
                free = center + half + 8


def _middle_layer(runs: Sequence[_Run]) -> tuple[str, list[_Run]] | None:
    layers: dict[tuple[str, str], list[_Run]] = {}
    for run in runs:
        key = _group_of(run)
        if key[0]:
            layers.setdefault(key, []).append(run)
    if not layers:
        return None
    keys, middle = list(layers), len(layers) // 2
    usual = _resident_share(runs)
    # One that is like the others: what stays of it is about what stays of the whole. Of those the middle one.
    key = min(
        keys,
        key=lambda key: (round(abs(_resident_share(layers[key]) - usual), 1), abs(keys.index(key) - middle)),
    )
    return key[1], layers[key]


def _resident_share(runs: Sequence[_Run]) -> float:
    resident = sum(run.nbytes for run in runs if run.state == "resident")
    return resident / max(sum(run.nbytes for run in runs), 1)


def _weight_names(runs: Sequence[_Run], top: float) -> Iterator[str]:
    """Names under the enlarged layer, where they fit; the others show when pointed at."""
    total = sum(run.nbytes for run in runs) or 1
    at, free = 0.0, float("-inf")
    for name, group in groupby(runs, key=lambda run: run.name):
        width = sum(run.nbytes for run in group) / total * _SPAN
        words = name.split(".")
        label = words[-2] if words[-1] in ("weight", "bias") and len(words) > 1 else words[-1]
        half = len(label) * 11 * _GLYPH / 2
        middle = _LEFT + at + width / 2
        at += width
        if width >= 2 * half and middle - half > free:
            yield _text(middle, top + 16, label, "small soft middle")
            free = middle + half + 6


def _legend(states: Sequence[str], plan: Plan, top: float) -> Iterator[str]:
    at = float(_LEFT)
    entries = [(state, _NAMES[state]) for state in states]
    if plan.window_bytes:
        entries.append(("window", "window: memory that streamed weights pass through"))
    for style, words in entries:
        yield _box(at, top, 14, 14, style)
        yield _text(at + 21, top + 12, words, "ink")
        at += 21 + len(words) * 13 * _GLYPH + 14


def _figures(preview: Preview, top: float) -> Iterator[str]:
    """Four lines: the plan's bytes and what they come to."""
    plan = preview.plan
    rows = [
        ("Reads in each pass", f"{format_bytes(plan.pass_bytes)} of {format_bytes(plan.weights_bytes)}"),
        ("Least budget", format_bytes(preview.least_bytes)),
        ("Predicted", _predicted(preview.prediction)),
        ("Because of", _reason(preview.prediction)),
    ]
    for number, (name, value) in enumerate(rows):
        yield _text(_LEFT, top + 24 * number + 12, name, "soft")
        yield _text(_LEFT + 150, top + 24 * number + 12, value, "ink")


def _predicted(prediction: Prediction) -> str:
    seconds = prediction.seconds_per_token
    if seconds is None:
        return f"nothing, since the disk was {prediction.bandwidth_source}"
    limit = "disk" if prediction.limit == "disk" else "processor"
    return f"{format_seconds(seconds)} a token: the {limit} is the limit"


def _reason(prediction: Prediction) -> str:
    computing = f"computing {format_seconds(prediction.compute_seconds)} (estimated)"
    if prediction.read_seconds is None or prediction.bytes_per_second is None:
        return computing
    rate = f"{format_rate(prediction.bytes_per_second)} ({prediction.bandwidth_source})"
    return f"reading {format_seconds(prediction.read_seconds)} at {rate}; {computing}"


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _box(x: float, y: float, width: float, height: float, style: str) -> str:
    return f'<rect class="{style}" x="{x:.2f}" y="{y:g}" width="{max(width, 0.05):.2f}" height="{height:g}"/>'


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:g}">{escape(text)}</text>'
