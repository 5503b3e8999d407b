"""The `outgrow` command: find a command, run it, turn every failure into a message and an exit code."""

__all__ = ["COMMANDS", "CommandEntry", "main", "program"]

import errno
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import click

from outgrow import __version__
from outgrow.cli.interruption import Interruption, Terminated
from outgrow.errors import InputError, OutgrowError, nearest_names

_INTERRUPTED = 128 + 2
_BROKEN_PIPE = 128 + 13
_TERMINATED = 128 + 15
_COMPLETION_VARIABLE = "_OUTGROW_COMPLETE"
_EPILOG = """\
Exit codes: 0 done; 1 a fault in outgrow, or a check that came out false; 2 your input, files or machine, with
a hint; 3 too little to say (compare); 130 interrupted.

Shell completion: eval "$(_OUTGROW_COMPLETE=bash_source outgrow)" (or zsh_source, fish_source).
"""


_STREAM = "Stream (models larger than memory)"
_COMPARE = "Compare (two runs, and the first tensor that differs)"
_HERE = "This machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEntry:
    """Where a command lives, and what `outgrow --help` says of it without loading it."""

    attribute: str
    """`module:name` of the click command."""
    help: str
    """One line."""
    section: str = _HERE
    """Under which heading it stands in the help."""
    fault_code: int = 1
    """Exit code after a fault of ours: another one where 1 is an answer."""


COMMANDS = {
    "plan": CommandEntry(
        attribute="outgrow.cli.plan:plan",
        section=_STREAM,
        help="Show what a budget keeps and what it streams, before running.",
    ),
    "run": CommandEntry(
        attribute="outgrow.cli.run:run",
        section=_STREAM,
        help="Generate text with a model larger than the budget.",
    ),
    "store": CommandEntry(
        attribute="outgrow.cli.store:store", section=_STREAM, help="List, verify and convert checkpoints."
    ),
    "shard": CommandEntry(
        attribute="outgrow.cli.shard:shard",
        section="Shard (one program on many workers)",
        help="Serve workers to programs, and look at what they do.",
    ),
    "evolve": CommandEntry(
        attribute="outgrow.cli.evolve:evolve",
        section="Evolve (networks that grow while they train)",
        help="Train them, look at their growth, prove it.",
    ),
    "record": CommandEntry(
        attribute="outgrow.cli.record:record",
        section=_COMPARE,
        help="Run a script and record the models that it calls.",
    ),
    "compare": CommandEntry(
        attribute="outgrow.cli.compare:compare",
        section=_COMPARE,
        help="Compare two runs, and name the first tensor that differs.",
        fault_code=2,
    ),
    "web": CommandEntry(
        attribute="outgrow.cli.web:web",
        section=_COMPARE,
        help="Look at two runs in a browser: verdict, tensors, numbers.",
    ),
    "demo": CommandEntry(
        attribute="outgrow.cli.demo:demo",
        section=_HERE,
        help="See each of these with a real model, checked on the spot.",
    ),
    "doctor": CommandEntry(
        attribute="outgrow.cli.doctor:doctor",
        section=_HERE,
        help="Show what this machine has, and what each part can do here.",
    ),
}


# So that the sections stand in one column.
_WIDEST = max(map(len, COMMANDS))


class LazyGroup(click.Group):
    """A group that knows its commands from `COMMANDS` and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command; None where there is no such command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.attribute.partition(":")
        command = getattr(importlib.import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.attribute} is {command!r} and not a click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names; another word is an error that lists the nearest commands."""
        name = args[0]
        if name not in COMMANDS and not ctx.resilient_parsing and not name.startswith("-"):
            near = ", ".join(nearest_names(name, COMMANDS)) or ", ".join(COMMANDS)
            raise InputError(
                f"there is no command {name!r}", hint=f"did you mean: {near}? `outgrow --help` lists them"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        for section in dict.fromkeys(entry.section for entry in COMMANDS.values()):
            with formatter.section(section):
                formatter.write_dl(
                    [
                        (name.ljust(_WIDEST), entry.help)
                        for name, entry in COMMANDS.items()
                        if entry.section == section
                    ]
                )

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit codes and the completion hint."""
        formatter.write_paragraph()
        formatter.write_text(_EPILOG)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors.")
@click.version_option(__version__, "--version", prog_name="outgrow")
@click.pass_context
def program(context: click.Context, quiet: bool) -> None:
    """PyTorch for models that outgrow their machine."""
    context.meta["outgrow.quiet"] = quiet


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; `arguments` are those of the process where None.

    Never raises, except SystemExit while the shell asks for completions.
    """
    if _COMPLETION_VARIABLE in os.environ:
        program.main(prog_name="outgrow")
    _open_closed_outputs()
    interruption = Interruption()
    try:
        with interruption:
            return _report(arguments, interruption)
    except (KeyboardInterrupt, Terminated, click.Abort):
        return _stopped(interruption)


def _open_closed_outputs() -> None:
    """Give a process that was started without stdout or stderr (`>&-`) ones that lead nowhere, so that no
    file of ours becomes one of them."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))


def _report(arguments: Sequence[str] | None, interruption: Interruption) -> int:
    """Run the command and say how it failed, if it did."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(words)
        sys.stdout.flush()
    except click.Abort:
        raise
    # What is not ours to foresee must still end in an exit code and a way to report it.
    except Exception as err:
        if interruption.number is not None:
            return _stopped(interruption)  # the error is what became of the interruption on its way here
        if isinstance(err, OSError) and err.errno == errno.EPIPE:
            # The reader of our output is gone (`outgrow ... | head`): stop, as every tool does, and keep the
            # interpreter from flushing what is left on its way out.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return _BROKEN_PIPE
        name = next((word for word in words if not word.startswith("-")), "")
        return _fail(err, COMMANDS[name].fault_code if name in COMMANDS else 1)
    return code


def _stopped(interruption: Interruption) -> int:
    is_terminated = interruption.number == signal.SIGTERM
    _say("Terminated." if is_terminated else "Interrupted.")
    return _TERMINATED if is_terminated else _INTERRUPTED


def _run(arguments: list[str]) -> int:
    try:
        with program.make_context("outgrow", arguments) as context:
            outcome = program.invoke(context)
    except click.exceptions.Exit as err:
        return err.exit_code
    except SystemExit as err:
        if err.code is None or isinstance(err.code, int):
            return err.code or 0
        raise InputError(str(err.code)) from err
    # A command may return its exit code; click's own callbacks return None.
    return outcome if isinstance(outcome, int) else 0


def _fail(error: Exception, fault_code: int) -> int:
    """Say what went wrong on stderr, in one style, and give the exit code."""
    from outgrow.cli import render  # rich is loaded only where there is something to draw

    if isinstance(error, OutgrowError):
        render.error(error.message, hint=error.hint, kind=type(error).__name__)
        return 2
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        _say(error.format_message())
        return 2
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "outgrow"
        render.error(error.format_message(), hint=f"`{path} --help` shows how it is called")
        return 2
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
        where = error.filename or "the output"
        render.error(
            f"{where}: {error.strerror}", hint="free some space or choose a path that you may write to"
        )
        return 2
    _say("".join(traceback.format_exception(error)).rstrip())
    render.error(
        "this is a fault in outgrow, not in what you did",
        hint="please report it with the lines above and the output of `outgrow doctor --json`",
    )
    return fault_code


def _say(text: str) -> None:
    try:
        sys.stderr.write(text + "\n")
    except BrokenPipeError:
        return
