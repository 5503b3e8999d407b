import json
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from outgrow.compare.readers import open_recording
from outgrow.compare.readers.folder import read_folder
from outgrow.compare.readers.limits import Limits
from outgrow.errors import InputError


def names(path, **options):
    return [record.name for record in open_recording(path, **options).records]


def refused(path):
    return {refusal.entry: refusal.reason for refusal in open_recording(path).refused}


def save(path, value=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(torch.ones(2) if value is None else value, path)
    return path


def test_files_come_in_natural_order(tmp_path):
    for name in ("10_q", "9_q", "1_q"):
        save(tmp_path / f"{name}.pth")
    np.save(tmp_path / "2_q.npy", np.ones(1))
    assert names(tmp_path) == ["1_q", "2_q", "9_q", "10_q"]


def test_folders_below_are_walked(tmp_path):
    save(tmp_path / "layer10" / "x.pth")
    save(tmp_path / "layer9" / "x.pth")
    assert names(tmp_path) == ["layer9/x", "layer10/x"]


def test_what_is_no_file_is_refused_without_being_opened(tmp_path, monkeypatch):
    good = save(tmp_path / "good.pth")
    (tmp_path / "link.pth").symlink_to(good)
    (tmp_path / "dangling.pth").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").symlink_to(tmp_path.parent)
    os.mkfifo(tmp_path / "pipe.pth")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path)  # the name of a socket may be short alone
        listening.bind("sock.pth")
    assert names(tmp_path) == ["good"]
    assert set(refused(tmp_path)) == {"link.pth", "dangling.pth", "folder", "pipe.pth", "sock.pth"}


def test_hidden_files_are_passed_over(tmp_path):
    save(tmp_path / "x.pth")
    save(tmp_path / ".hidden.pth")
    save(tmp_path / ".cache" / "y.pth")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    assert names(tmp_path) == ["x"]
    assert refused(tmp_path) == {}


def test_other_files_are_refused_by_name(tmp_path):
    save(tmp_path / "x.pth")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "broken.npy").write_bytes(b"hello")
    found = refused(tmp_path)
    assert "'.txt'" in found["notes.txt"]
    assert "does not begin with its mark" in found["broken.npy"]


def test_limits_are_held(tmp_path):
    for index in range(5):
        save(tmp_path / f"{index}.pth")
    with pytest.raises(InputError, match="max_entries"):
        open_recording(tmp_path, limits=Limits(max_entries=4))
    deep = tmp_path
    for index in range(6):
        deep = deep / f"d{index}"
    save(deep / "x.pth")
    found = {refusal.entry for refusal in open_recording(tmp_path, limits=Limits(max_depth=4)).refused}
    assert found == {"d0/d1/d2/d3/d4"}


def test_parts_of_a_model_are_one(tmp_path):
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    save_file({"a": torch.ones(1), "extra": torch.zeros(1)}, tmp_path / first)
    save_file({"b": torch.ones(2), "extra": torch.ones(1)}, tmp_path / second)
    places = {"a": first, "b": second, "extra": second, "gone": first}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    recording = open_recording(tmp_path)
    assert {record.name: record.read().sum().item() for record in recording.records} == {
        "a": 1, "b": 2, "extra": 1,
    }  # fmt: skip
    assert refused(tmp_path) == {
        "model.safetensors.index.json/gone": f"should be in {first!r}, and is not",
    }


def test_an_index_that_leads_out_is_refused(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "m.safetensors")
    (tmp_path / "m.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../m.safetensors"}}))
    assert names(tmp_path) == ["a"]
    assert "outside its directory" in refused(tmp_path)["m.safetensors.index.json"]


def test_names_of_any_bytes_survive(tmp_path):
    for name in (b"line\nbreak", b"\xff\xfe", b"[red]", b"<script>", b"\x1b[31m", "é".encode()):
        with Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name + b".npy")).open("wb") as file:
            np.save(file, np.ones(1))
    assert set(names(tmp_path)) == {"line\nbreak", "\\udcff\\udcfe", "[red]", "<script>", "\x1b[31m", "é"}


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read anything")
def test_what_may_not_be_read_is_refused(tmp_path):
    save(tmp_path / "x.pth")
    save(tmp_path / "secret.pth").chmod(0)
    assert names(tmp_path) == ["x"]
    assert "Permission denied" in refused(tmp_path)["secret.pth"]


def test_files_that_go_while_it_is_walked_are_refused(tmp_path, monkeypatch):
    save(tmp_path / "a.pth")
    gone = save(tmp_path / "b.pth")

    def read_and_remove(path, entry, limits):
        gone.unlink(missing_ok=True)
        return real(path, entry, limits)

    from outgrow.compare.readers import folder

    real = folder.read_entry
    monkeypatch.setattr(folder, "read_entry", read_and_remove)
    contents, refused = read_folder(tmp_path, Limits())
    assert [len(content.records) for _, content in contents] == [1]
    assert [refusal.entry for refusal in refused] == ["b.pth"]
