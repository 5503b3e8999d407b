"""`outgrow record`: run somebody's script and record every model that it calls."""

__all__ = ["record"]

import signal
import subprocess
import sys
from pathlib import Path

import click

from outgrow.cli import render
from outgrow.cli.interruption import Terminated
from outgrow.cli.output_files import check_empty
from outgrow.cli.value_completion import complete_list, complete_names_or_paths
from outgrow.errors import InputError
from outgrow.quantities import format_bytes, format_count, parse_bytes

_KINDS = ("outputs", "inputs", "gradients", "parameters", "optimizer")


@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), default="recording", show_default=True, metavar="DIR",
    help="Where the recording goes: a folder that is not there yet.",
)  # fmt: skip
@click.option("--only", default="*", show_default=True, metavar="GLOB", help="Only modules whose names fit.")
@click.option(
    "--kinds", default="outputs", show_default=True, metavar="NAME,NAME",
    shell_complete=complete_list(*_KINDS),
    help=f"What of them, with commas between: {', '.join(_KINDS)}.",
)  # fmt: skip
@click.option(
    "--max-bytes", metavar="SIZE", show_default="no limit", help="Most bytes to record: 500MB, 2GiB."
)
@click.argument(
    "command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="PROGRAM...",
    shell_complete=complete_names_or_paths(),
)  # fmt: skip
@render.quiet_option
def record(out: Path, only: str, kinds: str, max_bytes: str | None, command: tuple[str, ...]) -> int:
    """Run PROGRAM and record every model that it calls: outgrow record -- python train.py.

    The program is not changed and its output is its own.

    Exit code: that of the program, but 2 where it ended well and called no module, so that there is nothing
    to compare.
    """
    wanted = [kind.strip() for kind in kinds.split(",")]
    unknown = [kind for kind in wanted if kind not in _KINDS]
    if unknown:
        raise InputError(f"there is no kind {unknown[0]!r} to record", hint=f"kinds are {', '.join(_KINDS)}")
    limit = None if max_bytes is None else parse_bytes(max_bytes)
    check_empty(out)
    # A folder of the package alone: neither torch nor the rest of capture is needed before the end.
    from outgrow.capture.bootstrap import environment

    options = {"path": str(out.absolute()), "only": only, "kinds": wanted, "max_bytes": limit}
    code = _run(command, environment(options))
    return _conclude(out, only, code)


def _run(command: tuple[str, ...], environment: dict[str, str]) -> int:
    """Run the command to its end, and through Ctrl-C; its exit code, as a shell would give it."""
    try:
        child = subprocess.Popen(command, env=environment)
    except OSError as err:
        raise InputError(
            f"cannot run {command[0]!r}: {err.strerror or err}",
            hint="write it as in `outgrow record -- python script.py`",
        ) from err
    with child:
        try:
            code = child.wait()
        except (KeyboardInterrupt, Terminated) as err:
            # A terminal sends Ctrl-C to both of us; whoever sends a signal to this process alone means the
            # script as well. It may clean up for as long as it likes.
            if isinstance(err, Terminated):
                child.terminate()
            elif not sys.stdin.isatty():
                child.send_signal(signal.SIGINT)
            child.wait()
            raise
    return code if code >= 0 else 128 - code


def _conclude(out: Path, only: str, code: int) -> int:
    from outgrow.capture import is_recording, open_own

    if not is_recording(out):
        ending = "" if code == 0 else f", and ended with exit code {code}"
        message = f"the script called no module, so that nothing is recorded{ending}"
        if code == 0:
            raise InputError(
                message,
                hint="modules are seen in Pythons that import outgrow and read PYTHONPATH (not `python -I`)",
            )
        render.note(message)
        return code
    with open_own(out) as recording:
        count = len(recording.records)
        size = format_bytes(sum(record.nbytes for record in recording.records))
        refused = recording.refused
    if code == 0 and not count:
        raise InputError(
            f"nothing is recorded: no module that was called fits {only!r}" if only != "*" else
            "nothing is recorded: no module that was called gave a tensor",
            hint=f"the notes are in {str(out)!r}; leave --only out to see all names",
        )  # fmt: skip
    render.note(f"{format_count(count, 'tensor')}, {size}, recorded in {out}")
    for refusal in refused[:5]:
        render.note(f"not recorded: {refusal.entry or 'the model'}: {refusal.reason}")
    if len(refused) > 5:
        render.note(f"and {len(refused) - 5} more, listed in {out}")
    return code
