"""What one model took in every room, as an SVG: bars of memory and time, and whether the promise was kept."""

__all__ = ["draw_rooms"]

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from outgrow.quantities import format_bytes, format_seconds

if TYPE_CHECKING:
    from outgrow.cli.one_model_in_four_rooms import Row

_WIDTH, _TOP, _LINE, _LEFT, _BAR = 860, 64, 52, 170, 380
_STYLE = """\
text { font: 13px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: #1c2430; }
.soft { fill: #5b6675; font-size: 12px; } .title { font-size: 16px; font-weight: 600; }
.room { font-weight: 600; } .memory { fill: #1f6fb2; } .time { fill: #e08a1e; }
.kept { fill: #2f7a57; font-weight: 600; } .broken { fill: #b92b24; font-weight: 600; }
"""


def draw_rooms(rows: "Sequence[Row]") -> str:
    """The text of an SVG file; bars are shares of the largest."""
    height = _TOP + _LINE * len(rows) + 16
    most_bytes = max((row.memory_bytes for row in rows), default=1) or 1
    most_seconds = max((row.seconds for row in rows), default=1.0) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        'aria-label="Memory and time of one model in every room">',
        f"<style>\n{_STYLE}</style>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text class="title" x="16" y="28">One model in four rooms</text>',
        f'<text class="soft" x="{_LEFT}" y="50">weights in memory (blue), seconds of a pass (orange)</text>',
    ]
    for index, row in enumerate(rows):
        y = _TOP + _LINE * index
        memory, seconds = format_bytes(row.memory_bytes), format_seconds(row.seconds)
        wide, long = _BAR * row.memory_bytes / most_bytes, _BAR * row.seconds / most_seconds
        kind, mark = ("kept", "✓ kept") if row.is_kept else ("broken", "✗ not kept")
        parts += [
            f'<text class="room" x="16" y="{y + 18}">{escape(row.room)}</text>',
            f'<rect class="memory" x="{_LEFT}" y="{y + 4}" width="{max(wide, 1):.1f}" height="14" rx="2"/>',
            f'<text x="{_LEFT + wide + 8:.1f}" y="{y + 16}">{memory}</text>',
            f'<rect class="time" x="{_LEFT}" y="{y + 22}" width="{max(long, 1):.1f}" height="8" rx="2"/>',
            f'<text class="soft" x="{_LEFT + long + 8:.1f}" y="{y + 30}">{seconds}</text>',
            f'<text class="{kind}" x="{_LEFT + _BAR + 90}" y="{y + 16}">{mark}</text>',
            f'<text class="soft" x="{_LEFT + _BAR + 90}" y="{y + 32}">{escape(row.promise)}</text>',
        ]
    return "\n".join([*parts, "</svg>\n"])
