"""The strip of a plan's picture: boxes for weights, names of layers under it, one layer enlarged. Pure."""

__all__ = [
    "GLYPH",
    "LEFT",
    "NAMES",
    "SPAN",
    "WIDTH",
    "Run",
    "brackets",
    "runs_of",
    "strip",
    "usual_layer",
    "weight_names",
]

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from outgrow.markup import escaped, svg_rect, svg_text
from outgrow.quantities import format_bytes
from outgrow.stream.plan import Plan
from outgrow.stream.preview import Preview
from outgrow.stream.weights import Piece

# Of the picture, its margins, and what is between them, in pixels.
WIDTH = 960
LEFT = 32
SPAN = WIDTH - 2 * LEFT
# Width of a character as a part of its size: an upper bound on average for the fonts in the style below.
GLYPH = 0.60
NAMES = {"resident": "stays in memory", "streamed": "streams from disk", "rows": "read by row"}
_LAYER = re.compile(r"^(?P<stack>.*?\.)(?P<number>\d+)\.(?P<rest>.+)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Neighbouring bytes of one weight in one state."""

    name: str
    """Qualified name of the weight."""
    state: str
    """`resident`, `streamed` or `rows`."""
    nbytes: int
    """How many."""


def runs_of(preview: Preview) -> list[Run]:
    """The pass in order of use, neighbours of one weight in one state as one."""
    plan = preview.plan
    found = [
        Run(name=piece.weight.name, state=_state(plan, piece), nbytes=piece.nbytes)
        for index in preview.order
        for piece in plan.pieces_of[index]
    ]
    merged = []
    for (name, state), group in groupby(found, key=lambda run: (run.name, run.state)):
        merged.append(Run(name=name, state=state, nbytes=sum(run.nbytes for run in group)))
    return merged


def _state(plan: Plan, piece: Piece) -> str:
    if piece.index in plan.resident:
        return "resident"
    return "rows" if piece.weight.index in plan.gathered else "streamed"


def strip(runs: Sequence[Run], top: float, height: float) -> Iterator[str]:
    """Runs as boxes side by side, over the whole width. Those of one weight say its name when pointed at."""
    total = sum(run.nbytes for run in runs) or 1
    at = 0
    yield svg_rect(LEFT, top, SPAN, height, "empty")
    for name, members in groupby(_visible(runs, total), key=lambda run: run.name):
        boxes, words = [], []
        for run in members:
            # A hair of ground between weights shows where one ends, as long as they are wide enough for it.
            width = run.nbytes / total * SPAN
            boxes.append(
                svg_rect(LEFT + at / total * SPAN, top, width - (0.5 if width > 4 else 0), height, run.state)
            )
            words.append(f"{format_bytes(run.nbytes)} {NAMES[run.state]}")
            at += run.nbytes
        yield f"<g><title>{escaped(name)}: {escaped(', '.join(words))}</title>{''.join(boxes)}</g>"


def _visible(runs: Sequence[Run], total: int) -> Iterator[Run]:
    """Runs that are too narrow to see one by one are joined by state, within a weight or even a layer."""
    if len(runs) > SPAN / 2:
        runs = [replace(run, name="".join(_group_of(run))) for run in runs]
    for _, group in groupby(runs, key=lambda run: run.name):
        members = list(group)
        if len(members) <= 2 or min(run.nbytes for run in members) / total * SPAN >= 0.7:
            yield from members
            continue
        for state in NAMES:
            nbytes = sum(run.nbytes for run in members if run.state == state)
            if nbytes:
                yield replace(members[0], state=state, nbytes=nbytes)


def brackets(runs: Sequence[Run], top: float) -> Iterator[str]:
    """Under the strip: where each layer lies, and its number where it does not touch the one before."""
    total = sum(run.nbytes for run in runs) or 1
    at, free, numbers_free = 0.0, float("-inf"), float("-inf")
    first_number = True
    for (stack, label), group in groupby(runs, key=_group_of):
        width = sum(run.nbytes for run in group) / total * SPAN
        left, middle = LEFT + at, LEFT + at + width / 2
        at += width
        if stack:
            text = f"layer {label}" if first_number else label
            half = len(text) * 11 * GLYPH / 2
            if width > 3:
                yield f'<path class="line" d="M{left + 1:.1f} {top + 5} v4 h{width - 2:.1f} v-4"/>'
            start = max(middle - half, LEFT + 6) if first_number else middle - half
            if start > numbers_free and start + 2 * half <= WIDTH - LEFT + 12:
                yield svg_text(start + half, top + 22, text, "small soft middle")
                numbers_free, first_number = start + 2 * half + 8, False
        else:
            half = len(label) * 11 * GLYPH / 2
            # Outside of layers the name goes a line lower, within the picture's margins.
            center = min(max(middle, LEFT + half), WIDTH - LEFT - half)
            if width >= 2 and center - half > free:
                yield f'<path class="line" d="M{middle:.1f} {top + 3} V{top + 25}"/>'
                yield svg_text(center, top + 37, label, "small ink middle")
                free = center + half + 8


def _group_of(run: Run) -> tuple[str, str]:
    """Stack and layer number of a weight, or its module's name where it is in no layer."""
    found = _LAYER.match(run.name)
    if found:
        return found["stack"], found["number"]
    words = run.name.split(".")
    return "", words[-2] if len(words) > 1 else words[-1]


def usual_layer(runs: Sequence[Run]) -> tuple[str, list[Run]] | None:
    """Number and runs of a layer that is like the others; None where there are no layers."""
    layers: dict[tuple[str, str], list[Run]] = {}
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


def _resident_share(runs: Sequence[Run]) -> float:
    resident = sum(run.nbytes for run in runs if run.state == "resident")
    return resident / max(sum(run.nbytes for run in runs), 1)


def weight_names(runs: Sequence[Run], top: float) -> Iterator[str]:
    """Names under the enlarged layer, where they fit; the others show when pointed at."""
    total = sum(run.nbytes for run in runs) or 1
    at, free = 0.0, float("-inf")
    for name, group in groupby(runs, key=lambda run: run.name):
        width = sum(run.nbytes for run in group) / total * SPAN
        words = name.split(".")
        label = words[-2] if words[-1] in ("weight", "bias") and len(words) > 1 else words[-1]
        half = len(label) * 11 * GLYPH / 2
        middle = LEFT + at + width / 2
        at += width
        if width >= 2 * half and middle - half > free:
            yield svg_text(middle, top + 16, label, "small soft middle")
            free = middle + half + 6
