"""`outgrow record` runs a script as it is, and records what it calls."""

import importlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

from outgrow.capture import is_recording, open_own
from outgrow.capture.bootstrap import VARIABLE
from outgrow.capture.recorder import KINDS
from outgrow.cli.main import main

MODEL = """
import sys
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 3))
given = torch.randn(2, 4)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def record(folder, capfd, monkeypatch):
    """Runs `outgrow record ... -- python COMMAND` in this process, the script in one of its own."""

    def run(*arguments, body=None, command=("script.py",), environment=None):
        if body is not None:
            (folder / "script.py").write_text(MODEL + textwrap.dedent(body))
        for key, value in (environment or {}).items():
            monkeypatch.setenv(key, value)
        code = main(["record", *arguments, "--", sys.executable, *command])
        output = capfd.readouterr()
        return SimpleNamespace(returncode=code, stdout=output.out, stderr=output.err)

    return run


def names(path="recording"):
    return [item.name for item in open_own(path).records]


def test_a_script_runs_as_it_is_and_every_call_is_recorded(folder, record):
    body = """
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        loss = nn.CrossEntropyLoss()
        for _ in range(2):
            loss(model(given), torch.tensor([0, 1])).backward()
            optimizer.step()
        print(sys.argv[1:], __name__, sys.path[0])
        sys.exit(7)
    """
    kinds = ("--kinds", "outputs,optimizer,gradients")
    done = record(*kinds, body=body, command=("script.py", "--out", "x"))
    assert done.returncode == 7
    assert done.stdout == f"['--out', 'x'] __main__ {folder}\n"
    assert done.stderr == "36 tensors, 1 kB, recorded in recording\n".replace(
        "1 kB", done.stderr.split(", ")[1]
    )
    found = names()
    assert found[:5] == ["0.output", "1.output", "2.output", "output", "CrossEntropyLoss.output"]
    assert "2.weight.gradient" in found
    assert "2.weight.momentum_buffer[step 1]" in found
    assert len(found) == len(set(found)) == 36


def test_modules_limits_and_places_can_be_chosen(folder, record):
    done = record(
        "--out",
        "deep/run",
        "--only",
        "[02]",
        "--max-bytes",
        "50",
        "--quiet",
        body="model(given); model(given)",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert names("deep/run") == ["0.output"]


def test_a_module_run_by_name_beside_another_sitecustomize(folder, record):
    (folder / "mine").mkdir()
    (folder / "mine" / "sitecustomize.py").write_text("import sys; sys.was_mine = True")
    (folder / "package").mkdir()
    (folder / "package" / "__main__.py").write_text(
        MODEL + "model(given); print(sys.was_mine, 'bootstrap' in str(sys.path))"
    )
    done = record(command=("-m", "package"), environment={"PYTHONPATH": str(folder / "mine")})
    assert (done.returncode, done.stdout) == (0, "True False\n")
    assert len(names()) == 4


@pytest.mark.slow
def test_several_models_keep_their_names_apart(folder, record):
    body = """
        class Wrapped(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = model
            def forward(self, values):
                return self.inner(values)
        model(given)
        Wrapped()(given)
        nn.Tanh()(given)
        nn.Tanh()(given)
        torch.compile(nn.Tanh(), backend="eager")(given)
    """
    done = record(body=body)
    assert done.returncode == 0, done.stderr
    assert names() == [
        "0.output", "1.output", "2.output", "output",
        # Steps go by the first model, wherever it is called.
        "0.output[step 1]", "1.output[step 1]", "2.output[step 1]", "output[step 1]", "Wrapped.output",
        "Tanh.output[step 1]", "Tanh#2.output[step 1]",
    ]  # fmt: skip
    assert "compiled" in done.stderr


def test_ranks_record_into_one_folder(folder, record):
    (folder / "launch.py").write_text(
        textwrap.dedent("""
            import os, subprocess, sys
            environment = {**os.environ, "WORLD_SIZE": "2"}
            children = [
                subprocess.Popen([sys.executable, "script.py"], env={**environment, "RANK": str(rank)})
                for rank in range(2)
            ]
            sys.exit(max(child.wait() for child in children))
        """)
    )
    (folder / "script.py").write_text(MODEL + "model(given)")
    done = record(command=("launch.py",))
    assert done.returncode == 0, done.stderr
    assert [item.rank for item in open_own("recording").records] == [0] * 4 + [1] * 4


def test_a_second_process_that_is_no_rank_is_named_and_goes_on(folder, record):
    body = """
        import subprocess
        model(given)
        if len(sys.argv) == 1:
            print(subprocess.run([sys.executable, "script.py", "again"]).returncode)
    """
    done = record(body=body)
    assert (done.returncode, done.stdout) == (0, "0\n")
    assert "outgrow record: " in done.stderr
    assert "in use by process" in done.stderr
    assert len(names()) == 4


@pytest.mark.parametrize(
    ("body", "arguments", "code", "message"),
    [
        ("", (), 2, "called no module"),
        ("sys.exit(5)", (), 5, "called no module, so that nothing is recorded, and ended with exit code 5"),
        ("model(given)", ("--only", "nothing.*"), 2, "no module that was called fits 'nothing.*'"),
        ("model(given); raise ValueError('mine')", (), 1, "ValueError: mine"),
    ],
    ids=["none", "failed", "filtered", "raised"],
)
def test_endings(folder, record, body, arguments, code, message):
    done = record(*arguments, body=body)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())


@pytest.mark.parametrize("kind", ["a file in the way", "no right to write"])
def test_a_recording_that_cannot_be_made_is_told_before_the_script_runs(folder, record, kind, monkeypatch):
    out = "here/below"
    if kind == "a file in the way":
        (folder / "here").write_text("")
    else:
        monkeypatch.setattr("os.access", lambda path, mode: Path(path) != folder)
    done = record("--out", out, body="raise SystemExit('it ran')")
    assert done.returncode == 2
    assert f"cannot make the directory '{out}'" in " ".join(done.stderr.split())
    assert "it ran" not in done.stderr


def test_what_cannot_be_run_or_written_is_told_first(folder, capsys):
    (folder / "recording").mkdir()
    (folder / "recording" / "mine").write_text("")
    for arguments, message in [
        (["--", "python", "x.py"], "'recording' is not an empty folder"),
        (["--out", "new", "--", "no-such-program"], "cannot run 'no-such-program'"),
        (["--out", "new", "--kinds", "output", "--", "python"], "there is no kind 'output'"),
        (["--out", "new", "--max-bytes", "much", "--", "python"], "much"),
        (["--out", "new"], "missing argument 'PROGRAM"),
    ]:
        assert main(["record", *arguments]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert not (folder / "new").exists()


def test_words_written_twice_are_the_same():
    """The command's help must not load torch, and the bootstrap nothing of outgrow."""
    bootstrap = importlib.import_module("outgrow.capture.bootstrap.sitecustomize")
    command = importlib.import_module("outgrow.cli.record")
    assert set(command._KINDS) == set(KINDS)
    assert bootstrap._VARIABLE == VARIABLE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_script_which_may_clean_up(folder, number):
    body = """
        import signal, time
        def stop(*_):
            raise SystemExit(9)
        signal.signal(signal.SIGTERM, stop)
        model(given)
        try:
            print("going", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            time.sleep(0.5)
            print("cleaned", flush=True)
        except SystemExit:
            print("cleaned", flush=True)
    """
    (folder / "script.py").write_text(MODEL + textwrap.dedent(body))
    call = [sys.executable, "-m", "outgrow", "record", "--", sys.executable, "script.py"]
    with subprocess.Popen(
        call, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "going\n"
        child.send_signal(number)
        output, errors = child.communicate(timeout=60)
    assert output == "cleaned\n"
    assert child.returncode == 128 + number, errors
    assert "Traceback" not in errors
    assert len(names()) == 4
    assert open_own("recording").refused == ()


def test_the_bootstrap_is_harmless_elsewhere(folder):
    """Imported, or started without being asked for anything."""
    import outgrow.capture.bootstrap.sitecustomize as module

    before = list(sys.meta_path), list(sys.path)
    assert module.__all__ == []
    assert (sys.meta_path, sys.path) == before
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    environment["PYTHONPATH"] = str(Path(module.__file__).parent)
    code = "import sys; print(len([f for f in sys.meta_path if type(f).__name__ == '_Finder']))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
    assert not is_recording(folder)
