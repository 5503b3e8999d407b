"""The `outgrow` command: find a command, run it, turn every failure into a message and an exit code."""

__all__ = ["COMMANDS", "COMPLETION_VARIABLE", "CommandEntry", "main", "program"]

import errno
import os
import signal
import sys
from collections.abc import Sequence

import click

from outgrow import __version__
from outgrow.cli.command_group import CommandEntry, CommandGroup
from outgrow.cli.interruption import Interruption, Terminated
from outgrow.errors import InputError

_INTERRUPTED = 128 + 2
_BROKEN_PIPE = 128 + 13
_TERMINATED = 128 + 15
COMPLETION_VARIABLE = "_OUTGROW_COMPLETE"
_MORE = (
    ("outgrow help COMMAND", "Explains a command, as `outgrow COMMAND --help` does."),
    ("--json", "For scripts: prints one JSON object and nothing else; most commands take it."),
    ("docs/", "Tutorials, how-tos and the reference, in the source of outgrow."),
    (
        "Exit codes",
        "0 done; 1 a fault in outgrow, or a check that came out false; 2 your input, files or machine, "
        "with a hint; 3 too little to say (compare); 130 interrupted.",
    ),
)

_START = "Start here"
_STREAM = "Stream (models larger than memory)"
_COMPARE = "Compare (two runs, and the first tensor that differs)"


COMMANDS = {
    "demo": CommandEntry(
        attribute="outgrow.cli.demo:demo",
        section=_START,
        help="Show each room with a real model, checked on the spot.",
    ),
    "doctor": CommandEntry(
        attribute="outgrow.cli.doctor:doctor",
        section=_START,
        help="Show what this machine has, and what each room can do here.",
    ),
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
        help="Train networks that grow, look at their growth, and prove it.",
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
    "completion": CommandEntry(
        attribute="outgrow.cli.completion:completion",
        section="Your shell",
        help="Print what makes bash, zsh or fish complete these commands.",
    ),
}


class _Program(CommandGroup):
    """The group at the top: its help is a table of contents."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands first, options below them."""
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Where there is more to read, and what exit codes mean."""
        with formatter.section("More"):
            formatter.write_dl(_MORE)


@click.group(
    cls=_Program,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors.")
@click.version_option(
    __version__,
    "-V",
    "--version",
    prog_name="outgrow",
    message="%(prog)s %(version)s",
    help="Show the version and exit.",
)
@click.pass_context
def program(context: click.Context, quiet: bool) -> None:
    """PyTorch for models that outgrow their machine."""
    context.meta["outgrow.quiet"] = quiet


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; `arguments` are those of the process where None.

    Never raises, except SystemExit while the shell asks for completions.
    """
    if COMPLETION_VARIABLE in os.environ:
        program.main(prog_name="outgrow")
    _open_closed_streams()
    interruption = Interruption()
    try:
        with interruption:
            return _report(arguments, interruption)
    except (KeyboardInterrupt, Terminated, click.Abort):
        return _stopped(interruption)


def _open_closed_streams() -> None:
    """Give a process that was started without stdin, stdout or stderr (`>&-`) ones that lead nowhere, so that
    no file of ours becomes one of them, in a program that we start neither."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _report(arguments: Sequence[str] | None, interruption: Interruption) -> int:
    """Run the command and say how it failed, if it did."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
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
        path = _path_of(words)
        fault_code = COMMANDS[path[0]].fault_code if path else 1
        from outgrow.cli.failure import report_failure  # it loads rich, which is not needed before

        return report_failure(err, command=" ".join(["outgrow", *path]), fault_code=fault_code)
    return code


def _path_of(words: Sequence[str]) -> list[str]:
    """The names of the command and subcommand among the words of a command line."""
    names = [word for word in words if not word.startswith("-")]
    if not names or names[0] not in COMMANDS:
        return []
    module = sys.modules.get(COMMANDS[names[0]].attribute.partition(":")[0])
    below = getattr(module, "SUBCOMMANDS", {})
    return names[: 2 if len(names) > 1 and names[1] in below else 1]


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
        hint = "a program that the command runs has ended it with these words"
        raise InputError(str(err.code), hint=hint) from err
    # A command may return its exit code; click's own callbacks return None.
    return outcome if isinstance(outcome, int) else 0


def _say(text: str) -> None:
    try:
        sys.stderr.write(text + "\n")
    except BrokenPipeError:
        return
