"""How everything looks on a terminal: tables on stdout; errors, notes and progress on stderr. The only user
of rich.

Honours NO_COLOR, `--quiet` and output that is not a terminal: then there is no colour and no live line.
"""

__all__ = [
    "LiveLine",
    "can_clear",
    "clear",
    "error",
    "headline",
    "is_quiet",
    "live",
    "note",
    "picture",
    "progress",
    "quiet_option",
    "table",
    "width",
    "wrote",
]

import errno
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import click
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from outgrow.cli.live_line import LiveLine
from outgrow.events import Listener, Progress
from outgrow.quantities import format_bytes

_QUIET = "outgrow.quiet"
_FEWEST_COLUMNS = 20
_FEWEST, _GAP = 12, 2
# Nothing, a dash for nothing, or a number with a unit: `1,024`, `-3`, `4e+06`, `98%`, `2.31 GB/s`.
_NUMBER = re.compile(r"|-|[+-]?[\d,.]*\d(e[+-]?\d+)?(%| ?[A-Za-zµ/]+)?")
_Function = TypeVar("_Function", bound=Callable[..., Any])


def quiet_option(command: _Function) -> _Function:
    """Give a command its own `--quiet`, which means the same as `outgrow --quiet COMMAND`."""

    def remember(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        context.meta[_QUIET] = value or is_quiet()

    option = click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=remember,
        help="Say nothing on stderr but errors.",
    )
    return option(command)


def can_clear() -> bool:
    """Whether stdout is a terminal on which a table can be drawn anew."""
    console = _console(sys.stdout)
    return console.is_terminal and not console.is_dumb_terminal


def clear() -> None:
    """Empty the terminal that stdout leads to."""
    _console(sys.stdout).clear()


def is_quiet() -> bool:
    """Whether the user asked for silence on stderr."""
    context = click.get_current_context(silent=True)
    return bool(context is not None and context.meta.get(_QUIET, False))


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    styles: Sequence[str | None] | None = None,
    right: Sequence[str] | None = None,
) -> None:
    """Print a table on stdout.

    The columns of these names are aligned right; where `right` is left out, those whose every cell looks like
    a number. `styles` has one for each row: `bold red`, `dim`.
    """
    if right is None:
        right = [
            column
            for index, column in enumerate(columns)
            if rows and all(_NUMBER.fullmatch(str(row[index])) for row in rows)
        ]
    drawn = _columns(columns, right)
    for row, style in zip(rows, styles or [None] * len(rows), strict=True):
        drawn.add_row(*(Text(str(cell)) for cell in row), style=style)
    _draw(title, drawn, least=_fit(drawn))


def _fit(drawn: Table) -> int:
    """Give the heads of numbers several lines where the terminal is narrow, and say how many columns it takes
    at least: where it has fewer, lines that the terminal folds are better than letters below each other."""
    least = 0
    for column in drawn.columns:
        widest = max((cell_len(str(cell)) for cell in column.cells), default=0)
        words = str(column.header).split() or [""]
        least += _GAP + max(widest, *map(cell_len, words)) if column.no_wrap else _GAP + min(widest, _FEWEST)
    console = _console(sys.stdout)
    if console.measure(drawn, options=console.options.update(max_width=10**6)).maximum > console.width:
        for column in drawn.columns:
            if column.no_wrap:
                column.header = Text("\n".join(str(column.header).split()))
    return least


def _columns(columns: Sequence[str], right: Sequence[str]) -> Table:
    """A table without rows. Where the terminal is narrow numbers stay whole, and names go on in the next
    line: cut off they would all look alike."""
    drawn = Table(box=None, pad_edge=False)
    for column in columns:
        is_number = column in right
        drawn.add_column(
            Text(column),
            justify="right" if is_number else "left",
            header_style="dim",
            no_wrap=is_number,
            overflow="ellipsis" if is_number else "fold",
        )
    return drawn


def picture(title: str, rows: Sequence[tuple[str, object]]) -> None:
    """Print pairs of a name and a value on stdout, under a title."""
    drawn = Table(box=None, pad_edge=False, show_header=False)
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column()
    for name, value in rows:
        drawn.add_row(Text(name), Text(str(value)))
    _draw(title, drawn)


def headline(message: str, style: str | None) -> None:
    """Print one line on stdout in a style; it is not folded."""
    _console(sys.stdout).print(Text(message, style=style or ""), soft_wrap=True)


def width() -> int:
    """Columns of the terminal that stdout leads to."""
    return _console(sys.stdout).width


def error(message: str, *, hint: str | None = None, kind: str = "Error") -> None:
    """Print an error and its hint on stderr, also under `--quiet`."""
    console = _console(sys.stderr)
    console.print(Text.assemble((f"{kind}: ", "bold red"), message), soft_wrap=True)
    if hint:
        console.print(Text.assemble(("  Hint: ", "bold"), hint), soft_wrap=True)


def note(message: str) -> None:
    """Print one line on stderr, unless quiet."""
    if not is_quiet():
        _console(sys.stderr).print(Text(message), soft_wrap=True)


def wrote(path: object) -> None:
    """Say on stderr that a file was written beside the result, unless quiet."""
    note(f"wrote {path}")


@contextmanager
def progress() -> Iterator[Listener]:
    """A listener that draws `Progress` events on stderr while the block runs; mute if quiet or no tty."""
    console = _console(sys.stderr)
    if is_quiet() or not console.is_terminal:
        yield lambda _event: None
        return
    bars = Bars(
        TextColumn("{task.description}"), BarColumn(),
        TextColumn("{task.fields[amount]}"), TimeRemainingColumn(), TextColumn("{task.fields[item]}"),
        console=console, transient=True,
    )  # fmt: skip
    tasks: dict[str, TaskID] = {}

    def draw(event: object, /) -> None:
        if not isinstance(event, Progress):
            return
        shown = {"completed": event.done, "total": event.total, "amount": _amount(event), "item": event.item}
        if event.task in tasks:
            bars.update(tasks[event.task], **shown)  # type: ignore[arg-type]
        else:
            tasks[event.task] = bars.add_task(event.task, **shown)  # type: ignore[arg-type]

    with bars:
        yield draw


@contextmanager
def live() -> Iterator[LiveLine]:
    """A line on stderr to rewrite while the block runs, and text on stdout that streams above it.

    Without a terminal, or if quiet, there is no line and text goes straight to stdout.
    """
    console = _console(sys.stderr)
    is_drawn = console.is_terminal and not console.is_dumb_terminal and not is_quiet()
    line = LiveLine(
        out=sys.stdout,
        err=sys.stderr if is_drawn else None,
        is_shared=is_drawn and sys.stdout.isatty(),
        width=console.width,
        is_dim=console.color_system is not None,
    )
    try:
        yield line
    finally:
        line.finish()


class _Console(Console):
    """A console that leaves closed pipes to `main`: rich would end the process with 1, which is an answer."""

    def on_broken_pipe(self) -> NoReturn:
        """Called where the error is at hand."""
        raise BrokenPipeError(errno.EPIPE, "the reader is gone")


def _console(stream: Any) -> Console:
    """A console for the stream as it is now: tests exchange `sys.stdout`. rich itself honours NO_COLOR."""
    console = _Console(file=stream, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        # rich would fold tables at 80 columns, which breaks whatever reads them next.
        console.width = 200
    else:
        # COLUMNS=0 says nothing, and in a few columns rich draws nothing: lines that the terminal folds do.
        console.width = max(console.width, _FEWEST_COLUMNS) if console.width else 80
    return console


def _draw(title: str, drawn: Table, *, least: int = 0) -> None:
    console = _console(sys.stdout)
    console.width = max(console.width, least)
    with console.capture() as captured:
        if title:
            console.print(Text(title, style="bold"))
        console.print(drawn)
    # rich fills every line with blanks to the table's width, which is noise in a file.
    sys.stdout.write("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")


def _amount(event: Progress) -> str:
    if event.unit == "bytes":
        total = f" / {format_bytes(event.total)}" if event.total is not None else ""
        return f"{format_bytes(event.done)}{total}"
    total = f" / {event.total}" if event.total is not None else ""
    return f"{event.done}{total} {event.unit}"
