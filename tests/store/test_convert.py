import gc
import json
import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from outgrow.errors import InputError, StoreError
from outgrow.events import Progress
from outgrow.store import StoreCorrupt, open_checkpoint, verify, write_safetensors
from outgrow.store.convert import CONVERSION_NAME, convert
from outgrow.store.lock import StoreLocked, lock_file

STATE = {
    "a.weight": torch.arange(600.0).reshape(20, 30),
    "b.weight": torch.ones(7, 3, dtype=torch.bfloat16).T,
    "c": torch.tensor(5),
    "d": torch.zeros(0, 4, dtype=torch.float16),
    "e": torch.tensor([True, False]),
}


def loaded(root: Path) -> dict[str, torch.Tensor]:
    return {
        name: tensor
        for file in sorted(root.glob("*.safetensors"))
        for name, tensor in load_file(file).items()
    }


def assert_is_state(root: Path, state=STATE) -> None:
    found = loaded(root)
    assert set(found) == set(state)
    for name, tensor in state.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "source" / "pytorch_model.bin"
    path.parent.mkdir()
    torch.save(STATE, path)
    return path


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_torch_files_become_safetensors(tmp_path, legacy, wrapper):
    content = STATE if wrapper is None else {wrapper: STATE, "epoch": 3, "optimizer": {"lr": 0.1}}
    torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=not legacy)
    done = convert(tmp_path / "x.pt", tmp_path / "out")
    assert (done.is_new, done.tensors, done.resumed_shards) == (True, 5, 0)
    assert_is_state(tmp_path / "out")
    assert open_checkpoint(tmp_path / "out").metadata["format"] == "pt"
    report = verify(tmp_path / "out")
    assert report.is_sound
    assert report.checked_tensors == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x.pt"]


@pytest.mark.parametrize("given", ["directory", "index"])
def test_a_sharded_checkpoint_with_its_companions(tmp_path, given):
    root = tmp_path / "source"
    root.mkdir()
    names = list(STATE)
    places = {}
    for number, part in enumerate((names[:2], names[2:])):
        file = f"pytorch_model-{number}.bin"
        torch.save({name: STATE[name] for name in part}, root / file)
        places |= dict.fromkeys(part, file)
    index = root / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    for name in ("config.json", "tokenizer.json", "merges.txt", "chat_template.jinja", "modeling.py"):
        (root / name).write_text("{}")
        (root / name).chmod(0o644)
    done = convert(root if given == "directory" else index, tmp_path / "out", shard_bytes=45)
    assert done.tensors == 5
    assert_is_state(tmp_path / "out")
    checkpoint = open_checkpoint(tmp_path / "out")
    assert checkpoint.is_huggingface
    assert len(checkpoint.files) == 3
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *(f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)),
        *("model.safetensors.index.json", "outgrow.conversion.json", "outgrow.digests.json"),
        *("config.json", "tokenizer.json", "merges.txt", "chat_template.jinja"),
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()} == {0o600}
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


def test_dtype_is_for_floating_point_only(source, tmp_path):
    convert(source, tmp_path / "out", dtype=torch.float16)
    assert_is_state(
        tmp_path / "out", {name: t.half() if t.dtype.is_floating_point else t for name, t in STATE.items()}
    )


def test_shared_tensors_are_written_under_each_name(tmp_path):
    weight = torch.randn(4, 4)
    state = {"embed": weight, "head": weight, "row": weight[1]}
    torch.save(state, tmp_path / "x.pt")
    convert(tmp_path / "x.pt", tmp_path / "out")
    assert_is_state(tmp_path / "out", state)


def test_the_second_time_there_is_nothing_to_do(source, tmp_path):
    convert(source, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    events = []
    done = convert(source, tmp_path / "out", listener=events.append)
    assert not done.is_new
    assert events == []
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda source: os.utime(source, (1, 1)) or {}, id="source"),
        pytest.param(lambda source: {"dtype": torch.float16}, id="dtype"),
        pytest.param(lambda source: {"shard_bytes": 5}, id="shards"),
    ],
)
def test_another_conversion_does_not_overwrite(source, tmp_path, change):
    convert(source, tmp_path / "out")
    options = change(source)
    with pytest.raises(InputError, match="exists already and is not this conversion"):
        convert(source, tmp_path / "out", **options)


def test_what_is_not_ours_is_left_alone(source, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="exists already"):
        convert(source, tmp_path / "out")
    (tmp_path / "new.partial").mkdir()
    (tmp_path / "new.partial" / "precious").write_text("")
    with pytest.raises(InputError, match="in the way and not ours"):
        convert(source, tmp_path / "new")
    assert (tmp_path / "new.partial" / "precious").exists()


class Interrupted(BaseException):
    pass


def stop_at(name):
    def listener(event):
        if isinstance(event, Progress) and event.item == name:
            raise Interrupted

    return listener


def test_an_interruption_before_the_first_file_leaves_nothing(source, tmp_path):
    with pytest.raises(Interrupted):
        convert(source, tmp_path / "out", listener=stop_at("a.weight"))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_an_interrupted_conversion_goes_on(source, tmp_path):
    with pytest.raises(Interrupted):
        convert(source, tmp_path / "out", shard_bytes=2400, listener=stop_at("c"))
    assert not (tmp_path / "out").exists()
    partial = tmp_path / "out.partial"
    (finished,) = partial.glob("*.safetensors")
    assert stat.S_IMODE(partial.stat().st_mode) == 0o700
    written = finished.stat().st_mtime_ns
    events = []
    done = convert(source, tmp_path / "out", shard_bytes=2400, listener=events.append)
    assert (done.is_new, done.resumed_shards) == (True, 1)
    assert (tmp_path / "out" / finished.name).stat().st_mtime_ns == written
    assert "a.weight" not in [event.item for event in events if event.task == "converting"]
    assert_is_state(tmp_path / "out")
    assert verify(tmp_path / "out").is_sound
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_a_changed_source_starts_over(source, tmp_path):
    with pytest.raises(Interrupted):
        convert(source, tmp_path / "out", shard_bytes=2400, listener=stop_at("c"))
    state = STATE | {"a.weight": STATE["a.weight"] + 1}
    torch.save(state, source)
    os.utime(source, (1, 1))
    assert convert(source, tmp_path / "out", shard_bytes=2400).resumed_shards == 0
    assert_is_state(tmp_path / "out", state)


def test_a_damaged_partial_file_is_written_again(source, tmp_path):
    with pytest.raises(Interrupted):
        convert(source, tmp_path / "out", shard_bytes=2400, listener=stop_at("c"))
    (finished,) = (tmp_path / "out.partial").glob("*.safetensors")
    os.truncate(finished, 100)
    convert(source, tmp_path / "out", shard_bytes=2400)
    assert_is_state(tmp_path / "out")


KILLED = """
import os, signal, sys
from outgrow.store.convert import convert
def listener(event):
    if event.task == "converting" and event.item == "c":
        os.kill(os.getpid(), getattr(signal, sys.argv[3]))
try:
    convert(sys.argv[1], sys.argv[2], shard_bytes=2400, listener=listener)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", ["SIGKILL", "SIGINT"])
def test_a_killed_conversion_goes_on(source, tmp_path, number):
    done = subprocess.run([sys.executable, "-c", KILLED, source, tmp_path / "out", number], check=False)
    assert done.returncode == (-signal.SIGKILL if number == "SIGKILL" else 130)
    assert not (tmp_path / "out").exists()
    assert convert(source, tmp_path / "out", shard_bytes=2400).resumed_shards == 1
    assert_is_state(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_two_at_once_are_kept_apart(source, tmp_path):
    with (
        lock_file(tmp_path / ".out.outgrow.lock"),
        pytest.raises(StoreLocked, match="in use by this very process"),
    ):
        convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_seen_beforehand(source, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(StoreError, match="no space to convert") as caught:
        convert(source, tmp_path / "out")
    assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


class Payload:
    def __reduce__(self):
        return (Path.touch, (Path("payload-ran"),))


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        pytest.param({"a": Payload()}, InputError, "holds more than tensors", id="code"),
        pytest.param(torch.nn.Linear(2, 2), InputError, "holds more than tensors", id="module"),
        pytest.param(torch.ones(2), InputError, "no tensors by name but a Tensor", id="tensor"),
        pytest.param({}, InputError, "no tensors by name", id="empty"),
        pytest.param(
            {"a": torch.ones(1), "epoch": 3},
            InputError,
            "other things than tensors by name: epoch",
            id="mixed",
        ),
        pytest.param({1: torch.ones(1)}, InputError, "names that are not text", id="numbers"),
        pytest.param({"a": torch.ones(1, dtype=torch.complex128)}, InputError, "complex128", id="complex128"),
    ],
)
def test_what_is_no_plain_state_is_refused(tmp_path, monkeypatch, content, kind, message):
    monkeypatch.chdir(tmp_path)  # where a payload would leave its mark
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(kind, match=message) as caught:
        convert(tmp_path / "x.pt", tmp_path / "out")
    assert type(caught.value) is kind
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", pickle.dumps({"a": 1}), b"PK\x03\x04" + b"\0" * 100],
    ids=["empty", "text", "pickle", "zip"],
)
def test_garbage_is_refused(tmp_path, data):
    (tmp_path / "x.pt").write_bytes(data)
    with pytest.raises((StoreCorrupt, InputError)):
        convert(tmp_path / "x.pt", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]


def test_what_turns_out_late_to_be_impossible_leaves_nothing(source, tmp_path):
    def find_out(event):
        if event.item == "c":
            raise InputError("impossible after all")

    with pytest.raises(InputError, match="impossible after all"):
        convert(source, tmp_path / "out", shard_bytes=2400, listener=find_out)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_truncated_file_is_refused(source, tmp_path):
    os.truncate(source, source.stat().st_size - 500)
    with pytest.raises(StoreCorrupt, match="not a whole torch file"):
        convert(source, tmp_path / "out")


def test_what_cannot_be_converted_says_why(tmp_path):
    with pytest.raises(InputError, match="nothing to convert"):
        convert(tmp_path / "gone", tmp_path / "out")
    with pytest.raises(InputError, match="no checkpoint that can be converted"):
        convert(tmp_path, tmp_path / "out")
    write_safetensors(tmp_path / "model.safetensors", {"a": torch.ones(1)})
    for path in (tmp_path, tmp_path / "model.safetensors"):
        with pytest.raises(InputError, match="already in safetensors"):
            convert(path, tmp_path / "out")
    (tmp_path / "pytorch_model.bin.index.json").write_text('{"weight_map": {"a": "gone.bin"}}')
    with pytest.raises(InputError, match=r"names missing files: gone\.bin"):
        convert(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_progress_and_leaks(source, tmp_path):
    events = []
    descriptors = Path("/proc/self/fd")
    gc.collect()  # what other tests have left must not go in between
    before = len(list(descriptors.iterdir())) if descriptors.exists() else 0
    for number in range(3):
        convert(source, tmp_path / f"out{number}", listener=events.append)
    gc.collect()
    if before:
        assert len(list(descriptors.iterdir())) == before
    converting = [event for event in events if event.task == "converting"]
    assert converting[-1].done == converting[-1].total == sum(t.nbytes for t in STATE.values())
    assert json.loads((tmp_path / "out0" / CONVERSION_NAME).read_text())["version"] == 1
