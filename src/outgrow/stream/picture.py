"""A plan as one picture: a pass as a strip of all weights in order of use, and what is in memory. Pure."""

__all__ = ["draw_plan"]

from collections.abc import Iterator, Sequence

from outgrow.markup import crop_end, svg_page, svg_rect, svg_text
from outgrow.quantities import format_bytes, format_rate, format_seconds
from outgrow.stream.picture_strip import (
    GLYPH,
    LEFT,
    NAMES,
    SPAN,
    WIDTH,
    Run,
    brackets,
    runs_of,
    strip,
    usual_layer,
    weight_names,
)
from outgrow.stream.plan import Plan
from outgrow.stream.prediction import Prediction
from outgrow.stream.preview import Preview

_STYLE = """\
  .line { stroke: #9aa5b1; fill: none; } .window { fill: #f6c888; }
  .resident { fill: #1f6fb2; } .streamed { fill: #f0a030; } .rows { fill: #58a07c; }
  .empty { fill: #e6eaef; } .edge { fill: none; stroke: #9aa5b1; }
"""
_DARK = """\
    .line { stroke: #5b6675; } .window { fill: #8a6a3a; }
    .resident { fill: #4f9fe0; } .streamed { fill: #e09a35; } .rows { fill: #62b389; }
    .empty { fill: #29313b; } .edge { stroke: #5b6675; }
"""


def draw_plan(preview: Preview) -> str:
    """The picture as the text of an SVG file, readable on light and on dark ground.

    From top to bottom: all weights and what of them is in memory, to one scale; the pass as a strip, every
    weight as wide as its bytes; one layer enlarged; the legend; the figures.
    """
    plan, runs = preview.plan, runs_of(preview)
    parts = [_title(preview), *_memory_bars(plan, 84)]
    parts += [svg_text(LEFT, 196, "One pass, weight after weight", "head ink")]
    parts += [svg_text(WIDTH - LEFT, 196, "width: bytes", "small soft end")]
    parts += [*strip(runs, 208, 56), *brackets(runs, 264)]
    top = 318
    layer = usual_layer(runs)
    if layer:
        number, members = layer
        parts += [svg_text(LEFT, top + 12, f"Layer {number}, enlarged", "head ink")]
        parts += [*strip(members, top + 24, 40), *weight_names(members, top + 64)]
        top += 112
    states = [state for state in NAMES if any(run.state == state for run in runs)]
    parts += [*_legend(states, plan, top), *_figures(preview, top + 44)]
    height = top + 44 + 24 * 4 + 8
    return svg_page(
        parts,
        width=WIDTH,
        height=height,
        title=_headline(preview),
        description=_description(preview, runs),
        style=_STYLE,
        dark=_DARK,
    )


def _headline(preview: Preview) -> str:
    weights, budget = preview.plan.weights_bytes, preview.plan.budget_bytes
    return f"{preview.name}: {format_bytes(weights)} of weights within {format_bytes(budget)}"


def _description(preview: Preview, runs: Sequence[Run]) -> str:
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
    room = int(SPAN / (20 * GLYPH)) - 40
    name = crop_end(preview.name, room)
    dtype = str(preview.dtype).removeprefix("torch.")
    line = f"{preview.architecture}, {dtype}, {len(preview.weights)} weights"
    share = preview.plan.budget_bytes / max(preview.plan.weights_bytes, 1)
    budget = f"a budget of {format_bytes(preview.plan.budget_bytes)}"
    budget += f" ({share:.0%} of its weights)" if share < 1 else " (all of its weights)"
    return "\n".join([
        svg_text(LEFT, 40, f"{name}, {budget}", "title ink"),
        svg_text(LEFT, 62, line, "soft"),
    ])  # fmt: skip


def _memory_bars(plan: Plan, top: float) -> Iterator[str]:
    """All weights, and under them what is in memory, to the same scale."""
    label, left = 92, LEFT + 100
    scale = (WIDTH - LEFT - left) / max(plan.weights_bytes, plan.budget_bytes, 1)
    yield svg_text(left - 12, top + 17, "All weights", "ink end")
    yield svg_rect(left, top, plan.weights_bytes * scale, 24, "empty")
    inside = left + 10
    yield svg_text(inside, top + 17, format_bytes(plan.weights_bytes), "ink")
    below = top + 36
    yield svg_text(left - 12, below + 17, "In memory", "ink end")
    at = float(left)
    for nbytes, style in (
        (plan.resident_bytes, "resident"),
        (plan.window_bytes + plan.staging_bytes, "window"),
    ):
        yield svg_rect(at, below, nbytes * scale, 24, style)
        at += nbytes * scale
    yield svg_rect(left, below, plan.budget_bytes * scale, 24, "edge")
    words = f"{format_bytes(plan.reserved_bytes)}: {format_bytes(plan.resident_bytes)} stay"
    if plan.window_bytes:
        words += f", {format_bytes(plan.window_bytes)} are the window that the rest passes through"
    end = left + max(plan.budget_bytes, plan.reserved_bytes) * scale + 10
    if end + len(words) * 13 * GLYPH < WIDTH - label + 60:
        yield svg_text(end, below + 17, words, "soft")
    else:
        yield svg_text(left, below + 42, words, "soft")


def _legend(states: Sequence[str], plan: Plan, top: float) -> Iterator[str]:
    at = float(LEFT)
    entries = [(state, NAMES[state]) for state in states]
    if plan.window_bytes:
        entries.append(("window", "window: memory that streamed weights pass through"))
    for style, words in entries:
        yield svg_rect(at, top, 14, 14, style)
        yield svg_text(at + 21, top + 12, words, "ink")
        at += 21 + len(words) * 13 * GLYPH + 14


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
        yield svg_text(LEFT, top + 24 * number + 12, name, "soft")
        yield svg_text(LEFT + 150, top + 24 * number + 12, value, "ink")


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
