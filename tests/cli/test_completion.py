"""`outgrow completion`: driven in the shells themselves, and fast."""

import os
import pty
import resource
import select
import shutil
import subprocess
import sys
import time

import pytest

from outgrow.cli.main import COMMANDS, COMPLETION_VARIABLE, main

SHELLS = ("bash", "zsh", "fish")


def needs(shell):
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed")


@pytest.fixture
def environment(tmp_path):
    """One in which `outgrow` is found, whether it is installed or not; and a folder to be in."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    script = binaries / "outgrow"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m outgrow "$@"\n')
    script.chmod(0o755)
    (tmp_path / "home" / "models with blanks").mkdir(parents=True)
    (tmp_path / "home" / "run_a.zip").touch()
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HOME": str(tmp_path / "home"), "INPUTRC": "/dev/null"}


@pytest.fixture
def complete(environment):
    """What bash would offer for the last of some words: its function is called as bash calls it."""

    def ask(*words):
        program = (
            "source <(outgrow completion bash) || exit 9\n"
            # Only while a key is pressed there is a completion whose options can be set: they are noted.
            'compopt() { COMPREPLY+=("<$1 $2>"); }\n'
            'COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()\n'
            "function=$(complete -p outgrow) && function=${function#*-F }\n"
            '"${function%% *}" outgrow\n'
            "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", program, "bash", "outgrow", *words],
            env=environment, cwd=environment["HOME"], capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.split("\n")[:-1]

    return ask


@needs("bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["pl"], ["plan"]),
        ([""], list(COMMANDS)),
        (["shard", ""], ["serve", "worker", "top", "trace", "visualize"]),
        (["plan", "--b"], ["--budget", "--bandwidth"]),
        (["store", "verify", "--j"], ["--json"]),
        (["demo", ""], ["stream", "compare", "shard", "evolve", "whole", "all"]),
        (["run", "x", "--backend", "g"], ["gpudirect"]),
        (["run", "x", "--dtype", "f"], ["float16", "float32", "float64"]),
        (["record", "--kinds", "outputs,i"], ["outputs,inputs"]),
        (["record", "--kinds", "outputs,o"], ["outputs,optimizer"]),
        (["evolve", "run", "--data", "f"], ["fashion-mnist"]),
        (["evolve", "run", "--data", "./"], ["<-o default>"]),
        (["compare", "run_a.zip", ""], ["<-o default>"]),
        (["plan", ""], ["<-o default>"]),
        (["web", "--root", ""], ["<-o default>"]),
        (["record", "--", "pyth"], ["<-o default>"]),
        (["completion", "z"], ["zsh"]),
        (["help", "sto"], ["store"]),
        (["plan", "--zzz"], [""]),
    ],
    ids=lambda value: " ".join(value),
)
def test_bash_completes(complete, words, offered):
    assert complete(*words) == offered


@pytest.mark.parametrize(
    ("shell", "options", "load"),
    [
        pytest.param(
            "bash", ["--norc", "--noprofile"], 'eval "$(outgrow completion bash)"', marks=needs("bash")
        ),
        pytest.param(
            "zsh",
            ["-f"],
            'autoload -U compinit; compinit -D; eval "$(outgrow completion zsh)"',
            marks=needs("zsh"),
        ),
    ],
    ids=["bash", "zsh"],
)
def test_a_key_pressed_completes_commands_options_and_paths(shell, options, load, environment):
    screen, terminal = pty.openpty()
    child = subprocess.Popen(
        [shell, *options, "-i"], stdin=terminal, stdout=terminal, stderr=terminal,
        env={**environment, "PS1": "ready> ", "TERM": "dumb"}, cwd=environment["HOME"],
        start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    try:
        read_until(screen, "ready> ")
        os.write(screen, f"{load}\n".encode())
        read_until(screen, "ready> ", after=f"{shell})")
        for typed, completed in (
            (b"outgrow comp\t", "outgrow comp"),
            (b"are run\t", "run_a.zip "),
            (b"--ht\t", "--html "),
            (b"models\t", r"models\ with\ blanks/"),
        ):
            os.write(screen, typed)
            read_until(screen, completed)
    finally:
        child.kill()
        child.wait()
        os.close(screen)


def read_until(file, text, *, after=""):
    """All that a terminal shows until `text` is there, behind `after`."""
    seen, deadline = "", time.monotonic() + 60
    while text not in seen.rpartition(after)[2] if after else text not in seen:
        assert time.monotonic() < deadline, f"no {text!r} in {seen!r}"
        if select.select([file], [], [], 0.5)[0]:
            seen += os.read(file, 4096).decode()
    return seen


@needs("fish")
def test_fish_completes(environment):
    words = ("outgrow pl", "outgrow record --kinds outputs,i", "outgrow plan r")
    asked = "; ".join(f"complete -C '{typed}'" for typed in words)
    done = subprocess.run(
        ["fish", "-c", f"outgrow completion fish | source; {asked}"],
        env=environment, cwd=environment["HOME"], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"plan\t{COMMANDS['plan'].help}", "outputs,inputs", "run_a.zip"]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_asks_the_program_in_the_way_of_its_shell(shell, capsys, monkeypatch):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"{COMPLETION_VARIABLE}={shell}_complete" in script
    # Once for the kind, so that values and explanations keep their commas.
    assert script.count("string split") == script.count("string split --max 1") == (shell == "fish")
    # What the shell would set: fish gives the words before the last one, and that one by itself.
    monkeypatch.setenv(COMPLETION_VARIABLE, f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "outgrow" if shell == "fish" else "outgrow pl")
    monkeypatch.setenv("COMP_CWORD", "pl" if shell == "fish" else "1")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    line = COMMANDS["plan"].help
    offered = {"bash": "plain,plan", "zsh": f"plain\nplan\n{line}", "fish": f"plain,plan\t{line}"}
    assert capsys.readouterr().out.rstrip("\n") == offered[shell]


def test_a_shell_that_is_left_out_is_an_error_that_lists_them(capsys):
    assert main(["completion"]) == 2
    assert "missing argument 'SHELL': one of bash, zsh, fish\n" in capsys.readouterr().err


def test_an_unknown_shell_is_an_error(capsys):
    assert main(["completion", "tcsh"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in err


LOADED = """
import sys
from click.shell_completion import BashComplete
from outgrow.cli.main import COMMANDS, program
asked = BashComplete(program, {}, "outgrow", "_OUTGROW_COMPLETE")
for name in COMMANDS:
    others = getattr(program.get_command(None, name), "list_commands", lambda _: [])(None)
    for words in ([name], *([name, other] for other in others)):
        for word in ("--", ""):
            found = asked.get_completions(words, word)
            assert found or not word, words
print(*sorted({"torch", "numpy", "transformers", "starlette"} & set(sys.modules)))
"""


def test_no_completion_loads_what_only_running_needs():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_a_completion_takes_less_than_three_tenths_of_a_second():
    def seconds():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        environment = {**os.environ, COMPLETION_VARIABLE: "bash_complete", "COMP_CWORD": "2"}
        environment["COMP_WORDS"] = "outgrow run --"
        done = subprocess.run(
            [sys.executable, "-m", "outgrow"], env=environment, capture_output=True, text=True, check=True
        )
        assert "plain,--budget" in done.stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # CPU time, since tests share their machine, and the best of several; 0.09 s where this was written.
    assert min(seconds() for _ in range(3)) < 0.3
