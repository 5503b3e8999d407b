import errno
import os
import signal
import subprocess
import sys
import time
import types

import click
import pytest

from outgrow import __version__
from outgrow.cli import main as cli
from outgrow.cli.main import COMMANDS, CommandEntry, main
from outgrow.errors import StoreError


@pytest.fixture
def command(monkeypatch):
    """Add a command called `probe` with the given body."""

    def add(body):
        module = types.ModuleType("outgrow_test_probe")
        module.probe = click.command()(click.option("--number", type=int)(body))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        entry = CommandEntry(attribute=f"{module.__name__}:probe", help="A command of the tests.")
        monkeypatch.setitem(COMMANDS, "probe", entry)

    return add


def test_help_looks_as_it_did(capsys, golden, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    golden("help.txt", capsys.readouterr().out)


def test_help_lists_every_command_and_the_exit_codes(capsys):
    assert main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, entry in COMMANDS.items():
        assert name in shown
        assert entry.help in shown
    for text in ("Exit codes 0 done;", "130 interrupted"):
        assert text in shown


def test_version_is_the_packages(capsys):
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_no_arguments_show_the_help_on_stderr(capsys):
    assert main([]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "Start here:" in output.err


def test_help_loads_no_command(monkeypatch, capsys):
    broken = CommandEntry(attribute="outgrow_no_such_module:broken", help="Cannot be loaded.")
    monkeypatch.setitem(COMMANDS, "broken", broken)
    assert main(["--help"]) == 0
    assert "Cannot be loaded." in capsys.readouterr().out


def test_an_unknown_command_lists_the_nearest(capsys):
    assert main(["doctr"]) == 2
    errors = capsys.readouterr().err
    assert "there is no command 'doctr'" in errors
    assert "Hint: did you mean: doctor?" in errors


@pytest.mark.parametrize(
    "arguments",
    [["--nonsense"], ["probe", "--nonsense"], ["probe", "--number", "x"], ["probe", "extra"]],
    ids=" ".join,
)
def test_wrong_usage_is_an_error_with_a_hint(command, capsys, arguments):
    command(lambda number: None)
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("InputError: ")
    assert "--help` shows how it is called" in output.err


def test_an_error_of_ours_is_a_message_and_a_hint_without_a_traceback(command, capsys):
    def fail(number):
        raise StoreError("the file ends early", hint="download it again")

    command(fail)
    assert main(["probe"]) == 2
    assert capsys.readouterr().err == "StoreError: the file ends early\n  Hint: download it again\n"


def test_a_message_with_brackets_is_shown_as_it_is(command, capsys):
    def fail(number):
        raise StoreError("weight 'a[bold]b' of [1, 2]" + " long" * 60)

    command(fail)
    assert main(["probe"]) == 2
    assert capsys.readouterr().err == "StoreError: weight 'a[bold]b' of [1, 2]" + " long" * 60 + "\n"


def test_a_fault_of_ours_shows_a_traceback_and_how_to_report_it(command, capsys):
    def fail(number):
        raise ZeroDivisionError("oops")

    command(fail)
    assert main(["probe"]) == 1
    errors = capsys.readouterr().err
    assert "Traceback (most recent call last)" in errors
    assert "ZeroDivisionError: oops" in errors
    assert "outgrow doctor --json" in errors.splitlines()[-1]


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EACCES, "the right to it"),
        (errno.EFBIG, "space"),
        (errno.ENAMETOOLONG, "choose a shorter one"),
        (errno.EMFILE, "open"),
        (errno.EIO, "use a copy"),
    ],
)
def test_a_disk_that_says_no_where_nobody_foresaw_it_is_still_a_message(command, capsys, code, hint):
    def fail(number):
        raise OSError(code, os.strerror(code), "/data/weights")

    command(fail)
    assert main(["probe"]) == 2
    message, advice = capsys.readouterr().err.splitlines()
    assert message == f"StoreError: /data/weights: {os.strerror(code)}"
    assert hint in advice


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, click.Abort])
def test_an_interruption_is_130(command, capsys, interruption):
    def fail(number):
        raise interruption

    command(fail)
    assert main(["probe"]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(("outcome", "code"), [(None, 0), (1, 1), (0, 0)], ids=["nothing", "one", "zero"])
def test_a_command_returns_its_exit_code(command, outcome, code):
    command(lambda number: outcome)
    assert main(["probe"]) == code


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_may_exit_in_clicks_way(command, code):
    def leave(number):
        click.get_current_context().exit(code)

    command(leave)
    assert main(["probe"]) == code


def test_quiet_is_known_to_the_command(command):
    from outgrow.cli import render

    seen = []
    command(lambda number: seen.append(render.is_quiet()))
    assert main(["--quiet", "probe"]) == 0
    assert main(["probe"]) == 0
    assert seen == [True, False]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_loads_and_explains_itself(name, capsys):
    assert main([name, "--help"]) == 0
    assert f"Usage: outgrow {name}" in capsys.readouterr().out


@pytest.mark.parametrize("module", ["outgrow", "outgrow.cli"])
def test_python_m_is_the_same_program(module):
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True
    )
    assert __version__ in done.stdout


def child_with_command(body):
    """A program with a command `probe` that does `body`."""
    return (
        "import sys, time, click\n"
        "from outgrow.cli import main as cli\n"
        "@click.command()\n"
        f"def probe():\n    {body}\n"
        "cli.COMMANDS['probe'] = cli.CommandEntry(attribute='__main__:probe', help='')\n"
        "sys.exit(cli.main(['probe']))\n"
    )


@pytest.mark.parametrize("body", ["print('text')", "click.echo('text')"])
def test_a_closed_pipe_is_quiet(body, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # the hard case is text that is still in the buffer
    read, write = os.pipe()
    os.close(read)
    try:
        command = [sys.executable, "-c", child_with_command(body)]
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


READY = "print('ready', flush=True)"
SLEEP = "time.sleep(60)"
LOADING = f"try: {READY}; time.sleep(0.8)\nexcept BaseException: print('which ends the process')"


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGINT, 130, "Interrupted.\n"), (signal.SIGTERM, 143, "Terminated.\n")],
    ids=["ctrl-c", "sigterm"],
)
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ["try:", f"    {READY}; {SLEEP}", "finally:", "    time.sleep(0.8); print('cleaned up')"],
            "cleaned up\n",
        ),
        (["try:", f"    {READY}; {SLEEP}", "except BaseException: pass", SLEEP], ""),
        (["try:", f"    {READY}; {SLEEP}", "except BaseException: raise RuntimeError('cannot import')"], ""),
        ([f"exec({LOADING!r}, {{'__name__': 'torch', 'time': time}})", SLEEP], ""),
    ],
    ids=["cleaning up for a while", "swallowed", "turned into another error", "while torch loads"],
)
def test_signals_end_it_promptly_and_cleanly(number, code, words, lines, expected):
    program = child_with_command("\n    ".join(lines))
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "ready\n"
    started = time.monotonic()
    child.send_signal(number)
    output, errors = child.communicate(timeout=30)
    assert (child.returncode, output, errors) == (code, expected, words)
    assert time.monotonic() - started < 10


def test_the_handler_of_signals_is_put_back():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    assert main(["--version"]) == 0
    assert [signal.getsignal(number) for number in numbers] == before


def test_shell_completion_names_the_commands():
    environment = {
        **os.environ,
        "_OUTGROW_COMPLETE": "bash_complete",
        "COMP_WORDS": "outgrow do",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "outgrow"], env=environment, capture_output=True, text=True, check=True
    )
    assert "plain,doctor" in done.stdout


def test_an_entry_that_is_no_command_is_a_fault(monkeypatch, capsys):
    monkeypatch.setitem(cli.COMMANDS, "wrong", CommandEntry(attribute="outgrow:__version__", help=""))
    assert main(["wrong"]) == 1
    assert "not a click command" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"], ids=["stdout", "both"])
def test_a_closed_output_is_no_fault(tmp_path, closed):
    import torch
    from safetensors.torch import save_file

    save_file({"weight": torch.ones(2)}, tmp_path / "model.safetensors")
    command = f'exec "$0" -m outgrow store ls . {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_a_closed_input_is_an_empty_one():
    code = (
        "import click, os, sys\n"
        "from outgrow.cli import main as cli\n"
        "look = click.command()(lambda: print(repr(sys.stdin.read()), os.readlink('/dev/fd/0')))\n"
        "cli.COMMANDS['look'] = cli.CommandEntry(attribute='__main__:look', help='')\n"
        "raise SystemExit(cli.main(['look']))"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" <&-', sys.executable, code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"'' {os.devnull}\n", "")


NAMES = [
    ["plan", "LONG", "--budget", "1MB"], ["store", "ls", "LONG"], ["store", "verify", "LONG"],
    ["store", "convert", "LONG", "out"], ["compare", "LONG", "LONG"], ["web", "LONG", "LONG"],
    ["record", "--out", "LONG", "--", "true"], ["evolve", "run", "--out", "LONG"], ["evolve", "show", "LONG"],
    ["evolve", "run", "--out", "out", "--data", "LONG"], ["shard", "visualize", "LONG"],
    ["demo", "whole", "--keep", "LONG"], ["doctor", "--path", "LONG"],
]  # fmt: skip


@pytest.mark.parametrize("words", NAMES, ids=[" ".join(words) for words in NAMES])
def test_a_name_longer_than_names_can_be_is_no_fault(words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([word.replace("LONG", "x" * 300) for word in words]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "Hint:" in said
    assert list(tmp_path.iterdir()) == []
