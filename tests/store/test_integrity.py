import json
import os
import shutil
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from outgrow.errors import InputError
from outgrow.store import open_checkpoint, write_safetensors
from outgrow.store.integrity import DIGESTS_NAME, record_digests, verify
from outgrow.testing.faults import faulty_reads

NO_TENSORS = '{"format": "outgrow.digests", "version": 1, "algorithm": "sha256"}'
FILES = ("model-1.safetensors", "model-2.safetensors", "model-3.safetensors")


@pytest.fixture
def root(tmp_path) -> Path:
    places = {}
    for number, file in enumerate(FILES):
        tensors = {f"layers.{number}.{name}": torch.full((1000,), number + 0.5) for name in "abc"}
        write_safetensors(tmp_path / file, tensors | {f"empty.{number}": torch.zeros(0)})
        places |= dict.fromkeys((*tensors, f"empty.{number}"), file)
    index = {"metadata": {}, "weight_map": places}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    return tmp_path


@pytest.fixture
def recorded(root) -> Path:
    record_digests(root)
    return root


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def lost(report) -> set:
    return {(damage.path.name, damage.tensor) for damage in report.damages}


def test_a_sound_checkpoint(recorded):
    report = verify(recorded)
    assert report.is_sound
    assert (report.files, report.tensors, report.checked_tensors) == (3, 12, 12)
    assert report.nbytes == 9 * 4000


def test_the_digests_are_sha256_of_the_bytes(recorded):
    content = json.loads((recorded / DIGESTS_NAME).read_text())
    assert (content["format"], content["version"], content["algorithm"]) == ("outgrow.digests", 1, "sha256")
    record = content["tensors"]["layers.1.b"]
    expected = sha256(torch.full((1000,), 1.5).numpy().tobytes()).hexdigest()
    assert record == {"file": FILES[1], "dtype": "float32", "shape": [1000], "sha256": expected}
    assert (recorded / DIGESTS_NAME).stat().st_mode & 0o777 == 0o600


def test_without_digests_contents_are_not_checked(root):
    flip(root / FILES[0], -1)
    report = verify(root)
    assert report.is_sound
    assert report.checked_tensors == 0


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_every_flipped_bit_is_found(recorded, place):
    meta = open_checkpoint(recorded).tensors["layers.1.b"]
    flip(recorded / FILES[1], meta.offset + {"first": 0, "middle": 1777, "last": meta.nbytes - 1}[place])
    report = verify(recorded)
    assert lost(report) == {(FILES[1], "layers.1.b")}
    assert "its content changed" in report.damages[0].message
    assert report.checked_tensors == 11


def test_all_damage_is_named_at_once(recorded):
    metas = open_checkpoint(recorded).tensors
    flip(recorded / FILES[0], metas["layers.0.a"].offset)
    flip(recorded / FILES[0], metas["layers.0.c"].offset)
    os.truncate(recorded / FILES[1], metas["layers.1.b"].offset + 1)
    (recorded / FILES[2]).unlink()
    report = verify(recorded)
    assert lost(report) == {
        (FILES[0], "layers.0.a"),
        (FILES[0], "layers.0.c"),
        (FILES[1], "layers.1.b"),
        (FILES[1], "layers.1.c"),
        (FILES[2], None),
        (FILES[2], "layers.2.a"),
        (FILES[2], "layers.2.b"),
        (FILES[2], "layers.2.c"),
        (FILES[2], "empty.2"),
    }
    assert [damage.path for damage in report.damages] == sorted(damage.path for damage in report.damages)
    assert any("ends at byte" in damage.message for damage in report.damages)
    assert any("'model-3.safetensors' is missing" in damage.message for damage in report.damages)


def test_truncation_and_missing_files_need_no_digests(root):
    os.truncate(root / FILES[1], 5000)
    (root / FILES[2]).unlink()
    weights = {f"layers.{number}.{name}" for number in (1, 2) for name in "abc"}
    assert {name for _, name in lost(verify(root))} == weights | {None, "empty.2"}


def test_a_broken_header_loses_all_of_its_file(recorded):
    flip(recorded / FILES[0], 8)
    assert lost(verify(recorded)) == {
        (FILES[0], None), (FILES[0], "layers.0.a"), (FILES[0], "layers.0.b"), (FILES[0], "layers.0.c"),
        (FILES[0], "empty.0"),
    }  # fmt: skip


def test_a_tensor_of_another_kind_is_not_the_recorded_one(recorded):
    tensors = {f"layers.0.{name}": torch.full((1000,), 0.5).view(torch.int32) for name in "abc"}
    write_safetensors(recorded / FILES[0], tensors | {"empty.0": torch.zeros(0)})
    report = verify(recorded)
    assert lost(report) == {(FILES[0], f"layers.0.{name}") for name in "abc"}
    assert "was recorded as float32" in report.damages[0].message


def test_a_tensor_that_the_index_misplaces(root):
    index = json.loads((root / "model.safetensors.index.json").read_text())
    index["weight_map"]["extra"] = FILES[1]
    (root / "model.safetensors.index.json").write_text(json.dumps(index))
    report = verify(root)
    assert lost(report) == {(FILES[1], "extra")}
    assert "where it should be" in report.damages[0].message


def test_a_broken_index_does_not_hide_the_files(root):
    (root / "model.safetensors.index.json").write_text("{")
    os.truncate(root / FILES[1], 5000)
    report = verify(root)
    assert (report.damages[0].path.name, report.damages[0].tensor) == ("model.safetensors.index.json", None)
    assert (FILES[1], "layers.1.a") in lost(report)
    assert report.files == 3


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"format": "outgrow.digests", "version": 2}',
        "{}",
        NO_TENSORS,
        NO_TENSORS[:-1] + ', "tensors": [1]}',
    ],
)
def test_digests_that_cannot_be_used_are_damage(recorded, text):
    (recorded / DIGESTS_NAME).write_text(text)
    report = verify(recorded)
    assert lost(report) == {(DIGESTS_NAME, None)}
    assert "cannot be used" in report.damages[0].message


@pytest.mark.parametrize("file", ["../outside", "/etc/passwd"])
def test_digests_cannot_point_outside(recorded, file):
    content = json.loads((recorded / DIGESTS_NAME).read_text())
    content["tensors"]["layers.0.a"]["file"] = file
    (recorded / DIGESTS_NAME).write_text(json.dumps(content))
    assert "points outside" in verify(recorded).damages[0].message


def test_one_file_of_several_is_checked_alone(recorded):
    (recorded / FILES[1]).unlink()
    report = verify(recorded / FILES[0])
    assert report.is_sound
    assert (report.files, report.checked_tensors) == (1, 4)


def test_a_missing_file_without_an_index_is_known_from_the_digests(recorded):
    (recorded / "model.safetensors.index.json").unlink()
    for file in FILES[1:]:
        (recorded / file).unlink()
    assert {(FILES[1], None), (FILES[2], None), (FILES[2], "layers.2.c")} <= lost(verify(recorded))


def test_the_names_of_the_hub_cache_are_digests(root, tmp_path_factory):
    cache = tmp_path_factory.mktemp("hub")
    (cache / "blobs").mkdir()
    (cache / "snapshot").mkdir()
    shutil.copy(root / "model.safetensors.index.json", cache / "snapshot")
    for file in FILES:
        blob = cache / "blobs" / sha256((root / file).read_bytes()).hexdigest()
        shutil.copy(root / file, blob)
        (cache / "snapshot" / file).symlink_to(blob)
    report = verify(cache / "snapshot")
    assert report.is_sound
    assert report.checked_tensors == 12
    flip((cache / "snapshot" / FILES[1]).resolve(), -1)
    report = verify(cache / "snapshot")
    assert lost(report) == {(FILES[1], None)}
    assert report.checked_tensors == 8


def test_an_unreadable_disk_is_damage(recorded):
    with faulty_reads(["ok", "eio", "ok"]):
        report = verify(recorded)
    assert len(report.damages) == 1
    assert "Input/output error" in report.damages[0].message


def test_progress_counts_all_bytes(recorded):
    events = []
    verify(recorded, listener=events.append)
    assert (events[-1].done, events[-1].total) == (36_000, 36_000)
    assert events[-1].task == "verifying"


def test_nothing_there_is_no_damage_but_a_mistake(tmp_path):
    with pytest.raises(InputError):
        verify(tmp_path / "gone")
    with pytest.raises(InputError):
        verify(tmp_path)
