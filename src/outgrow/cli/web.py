"""`outgrow web`: two runs, side by side in a browser."""

__all__ = ["web"]

import contextlib
import os
import resource
import signal
import sys
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from outgrow.cli import render
from outgrow.cli.display import has_display
from outgrow.cli.interruption import Terminated
from outgrow.cli.reading_limits import limit_options, map_option, read_limits
from outgrow.errors import InputError, OutgrowError, nearest_names
from outgrow.quantities import parse_bytes

if TYPE_CHECKING:
    from outgrow.compare.names import NameMap
    from outgrow.compare.web import Server

# The server takes a third of a second to come down; what keeps it longer is no reason to keep the terminal.
_LEAVE_SECONDS = 0.8
# torch stops everything else for a tenth of a second and more while it loads: by then the page is there.
_LOAD_SECONDS = 0.6

_MOST_FILES = 2**16


@click.command()
@click.argument("expected", type=click.Path(), metavar="[EXPECTED", required=False)
@click.argument("actual", type=click.Path(), metavar="ACTUAL...]", nargs=-1)
@click.option(
    "--port",
    default=5000,
    show_default=True,
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Port to listen at; 0 takes any that is free.",
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The page may open what lies below; may be repeated.",
)
@map_option
@click.option(
    "--max-upload", metavar="SIZE", default="64GiB", show_default=True, help="Most bytes of one upload."
)
@limit_options
@click.option("--static", envvar="OUTGROW_WEB_STATIC", type=click.Path(path_type=Path), hidden=True)
@render.quiet_option
def web(
    expected: str | None, actual: tuple[str, ...], port: int, no_browser: bool, roots: tuple[Path, ...],
    map_file: Path | None, max_upload: str, static: Path | None, **limits: Any,
) -> None:  # fmt: skip
    """Look at two runs in a browser: the verdict, every tensor, every number.

    With EXPECTED and ACTUAL the page opens on the verdict; without, on two drop zones. Nothing leaves this
    machine: the server listens on 127.0.0.1 alone and answers only who has the URL that it prints. Ctrl-C
    ends it.
    """
    if expected is not None and not actual:
        raise InputError("there is no actual run", hint="give both runs, or none and drop them on the page")
    runs = [_existing(given) for given in (*(() if expected is None else (expected,)), *actual)]
    max_upload_bytes = parse_bytes(max_upload)
    try:
        from outgrow.compare.web import Options, open_server
    except ImportError as err:
        raise InputError(
            f"the page needs {err.name}, which is not installed", hint="pip install 'outgrow[web]'"
        ) from err
    options = Options(
        expected=runs[0] if runs else None, actual=tuple(runs[1:]), name_map=_name_map(map_file),
        limits=read_limits(limits), port=port, roots=roots, static=static,
        max_upload_bytes=max_upload_bytes, max_session_bytes=4 * max_upload_bytes,
    )  # fmt: skip
    try:
        with open_server(options) as server:
            _serve(server, opens_browser=not no_browser)
    except KeyboardInterrupt:
        _leave(signal.SIGINT)
    except Terminated:
        _leave(signal.SIGTERM)


def _existing(given: str) -> Path:
    """The path of a run.

    Raises:
        InputError: it is empty, which pathlib takes for the folder that one is in, or nothing is there.
    """
    if not given:
        raise InputError("the path of a run is empty", hint="is a variable of the shell not set?")
    path = Path(given).expanduser()
    if path.exists():
        return path
    beside = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
    near = nearest_names(path.name, beside)
    names = ", ".join(map(repr, near))
    hint = f"in {str(path.parent)!r} there is {names}" if near else "see its spelling"
    raise InputError(f"{given!r} does not exist", hint=hint)


def _serve(server: "Server", *, opens_browser: bool) -> None:
    click.echo(server.url)
    sys.stdout.flush()
    _allow_files()
    loading = threading.Timer(_LOAD_SECONDS, _load)
    loading.daemon = True
    loading.start()
    if opens_browser and has_display():
        threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()

    def leave_soon(number: int) -> None:
        timer = threading.Timer(_LEAVE_SECONDS, _leave, [number])
        timer.daemon = True
        timer.start()

    server.serve(on_signal=leave_soon)


def _allow_files() -> None:
    """Each upload needs a descriptor, and the usual 1,024 are fewer than a dump may have files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _leave(number: int) -> NoReturn:
    """End the process. Its files go with it; to end threads that are in the middle of torch, and torch
    itself, would take a second, or more."""
    with contextlib.suppress(OSError):
        sys.stderr.write("Terminated.\n" if number == signal.SIGTERM else "Interrupted.\n")
        sys.stderr.flush()
    os._exit(128 + number)


def _name_map(file: Path | None) -> "NameMap | None":
    if file is None:
        return None
    from outgrow.compare.names import parse_name_map  # which loads torch

    return parse_name_map(file)


def _load() -> None:
    """What the first comparison needs: torch, the readers, and the kernel, compiled where it never was."""
    from outgrow.compare.web.loading import load

    load()
    from outgrow.compare.kernel import kernel_status

    # Whatever is wrong with it, the comparison that needs it says so.
    with contextlib.suppress(OutgrowError):
        kernel_status(build=True)
