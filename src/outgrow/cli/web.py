"""`outgrow web`: two runs, side by side in a browser."""

__all__ = ["web"]

import threading
import webbrowser
from pathlib import Path

import click

from outgrow.cli import render
from outgrow.errors import InputError


@click.command()
@click.argument("expected", metavar="[EXPECTED", type=click.Path(path_type=Path), required=False)
@click.argument("actual", metavar="ACTUAL...]", type=click.Path(path_type=Path), nargs=-1)
@click.option("--port", default=5000, show_default=True, type=click.IntRange(0, 65535), help="0 takes any.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The page may open what lies below; may be repeated.",
)
@click.option(
    "--map", "map_file", type=click.Path(path_type=Path), metavar="FILE", help="As in `outgrow compare`."
)
@click.option("--static", envvar="OUTGROW_WEB_STATIC", type=click.Path(path_type=Path), hidden=True)
@render.quiet_option
def web(
    expected: Path | None, actual: tuple[Path, ...], port: int, no_browser: bool, roots: tuple[Path, ...],
    map_file: Path | None, static: Path | None,
) -> None:  # fmt: skip
    """Look at two runs in a browser: the verdict, every tensor, every number.

    With EXPECTED and ACTUAL the page opens on the verdict; without, on two drop zones. Nothing leaves this
    machine: the server listens on 127.0.0.1 alone and answers only who has the URL that it prints.
    """
    if expected is not None and not actual:
        raise InputError("there is no actual run", hint="give both runs, or none and drop them on the page")
    for path in (*([expected] if expected else []), *actual, *roots):
        if not path.exists():
            raise InputError(f"{str(path)!r} does not exist", hint="check the spelling")
    try:
        from outgrow.compare.web import Options, open_server
    except ImportError as err:
        raise InputError(
            f"the page needs {err.name}, which is not installed", hint="pip install 'outgrow[web]'"
        ) from err
    name_map = None
    if map_file is not None:
        from outgrow.compare.names import parse_name_map  # which loads torch

        name_map = parse_name_map(map_file)
    options = Options(
        expected=expected, actual=actual, name_map=name_map, port=port, roots=roots, static=static
    )
    with open_server(options) as server:
        click.echo(server.url)
        # While nobody waits for it.
        threading.Thread(target=_load, daemon=True).start()
        if not no_browser:
            threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
        server.serve()


def _load() -> None:
    import outgrow.compare.comparison  # noqa: F401 - loads torch
