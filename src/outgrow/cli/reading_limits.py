"""Options on dumps, alike in every command that reads two: the map, and how much a dump may ask for."""

__all__ = ["limit_options", "map_option", "read_limits"]

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from outgrow.quantities import parse_bytes

if TYPE_CHECKING:
    from outgrow.compare import Limits

_Function = TypeVar("_Function", bound=Callable[..., Any])

_options = (
    click.option("--max-bytes", metavar="SIZE", help="Most bytes that a dump may unpack to."),
    click.option("--max-ratio", type=float, metavar="X", help="Most bytes unpacked for each byte packed."),
    click.option("--max-entries", type=int, metavar="N", help="Most entries of an archive, folder or file."),
    click.option("--max-header-bytes", metavar="SIZE", help="Most bytes of a file's header or pickle."),
    click.option(
        "--max-expanded-bytes", metavar="SIZE", help="Most bytes of a file's tensors beyond those in it."
    ),
    click.option("--max-depth", type=int, metavar="N", help="Most levels of dicts and lists in a file."),
)


def map_option(command: _Function) -> _Function:
    """Give a command `--map`, which it gets as `map_file`."""
    return click.option(
        "--map",
        "map_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Which names answer which: `expected = actual` lines.",
    )(command)


def limit_options(command: _Function) -> _Function:
    """Give a command these options; it gets them by the names of the fields of `Limits`."""
    for option in reversed(_options):
        command = option(command)
    return command


def read_limits(given: Mapping[str, str | float | None]) -> "Limits | None":
    """What was given of them; None where nothing was, so that nobody loads torch for it.

    Raises:
        InputError: a size is none, or a limit is not positive.
    """
    found = {name: limit for name, limit in given.items() if limit is not None}
    if not found:
        return None
    from outgrow.compare import Limits  # which loads torch

    values: dict[str, Any] = {
        name: parse_bytes(limit) if isinstance(limit, str) else limit for name, limit in found.items()
    }
    return Limits(**values)
