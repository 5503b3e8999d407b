import numpy as np
import pytest
import torch

import outgrow
from outgrow.capture.recording import Record, Recording
from outgrow.compare.readers import Limits, open_recording
from outgrow.compare.readers.advice import COPY_AGAIN
from outgrow.errors import InputError, OutgrowError, StoreError


def names(source, **options):
    with open_recording(source, **options) as recording:
        return [record.name for record in recording.records]


@pytest.fixture
def folder(tmp_path):
    torch.save(torch.ones(2), tmp_path / "0_query_final.pth")
    torch.save({"a": torch.ones(2), "b": 1.0}, tmp_path / "model.pt")
    return tmp_path


def test_every_kind_of_source_is_opened(folder):
    assert names(folder) == ["0_query_final", "model/a", "model/b"]
    assert names(str(folder / "0_query_final.pth")) == ["0_query_final"]
    assert names(folder / "model.pt") == ["a", "b"]
    assert names({"x": torch.ones(1)}) == ["x"]
    assert names(torch.ones(1)) == ["tensor"]


def test_a_link_that_the_user_names_is_followed(folder):
    (folder / "link.pth").symlink_to(folder / "0_query_final.pth")
    assert len(names(folder / "link.pth")) == 1


def test_an_own_recording_is_opened(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with outgrow.capture.record(model, tmp_path / "run"):
        model(torch.ones(1, 2))
    recording = open_recording(tmp_path / "run")
    assert recording.is_ordered
    assert recording.records[0].module is not None
    some = open_recording(tmp_path / "run", only=recording.records[0].name)
    assert some.is_ordered
    assert [record.name for record in some.records] == [recording.records[0].name]


def test_an_open_recording_is_taken_as_it_is():
    closed = []
    record = Record(name="a", sequence=0, dtype=torch.float32, shape=(), read=lambda: torch.tensor(1.0))
    recording = Recording(label="x", records=[record], close=lambda: closed.append(1))
    assert open_recording(recording) is recording
    with pytest.raises(InputError, match="nothing in 'x' has a name like 'b'"):
        open_recording(recording, only="b")
    assert closed == [1]


def test_only_is_a_glob(folder):
    assert names(folder, only="model/*") == ["model/a", "model/b"]
    with pytest.raises(InputError, match="has a name like 'nothing'"):
        names(folder, only="nothing")


def test_a_mistyped_path_lists_the_nearest_names(folder):
    with pytest.raises(InputError, match=r"0_query_fnal\.pth.*No such file") as caught:
        open_recording(folder / "0_query_fnal.pth")
    assert "'0_query_final.pth'" in caught.value.hint
    with pytest.raises(InputError) as caught:
        open_recording(folder / "nowhere" / "x.pth")
    assert "no folder" in caught.value.hint


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000, ""], ids=["zero byte", "long", "empty"])
def test_paths_that_cannot_be_are_input_errors(path):
    with pytest.raises(OutgrowError):
        open_recording(path)


def test_what_holds_nothing_says_why(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no tensors in") as caught:
        open_recording(tmp_path / "empty")
    assert ".pth" in caught.value.hint
    (tmp_path / "empty.pth").write_bytes(b"")
    with pytest.raises(InputError, match=r"'empty\.pth': is empty"):
        open_recording(tmp_path / "empty.pth")
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(InputError, match="no file of tensors") as caught:
        open_recording(tmp_path / "x.txt")
    assert ".safetensors" in caught.value.hint
    torch.save({"a": torch.nn.Linear(1, 1)}, tmp_path / "module.pth")
    with pytest.raises(InputError, match="Linear"):
        open_recording(tmp_path / "module.pth")


@pytest.mark.parametrize("source", [3, None, ["a"], np.ones(2)], ids=str)
def test_other_objects_are_refused(source):
    with pytest.raises(InputError, match="cannot compare a"):
        open_recording(source)


def test_devices_are_refused():
    with pytest.raises(OutgrowError, match="not a regular file"):
        open_recording("/dev/zero")


def test_refused_things_are_told_beside_the_rest(folder):
    (folder / "bad.npy").write_bytes(b"x")
    recording = open_recording(folder)
    assert len(recording.records) == 3
    assert [refusal.entry for refusal in recording.refused] == ["bad.npy"]


def test_limits_reach_the_readers(folder):
    with pytest.raises((InputError, StoreError), match="limit"):
        open_recording(folder / "model.pt", limits=Limits(max_header_bytes=10))


def test_what_helps_is_that_of_what_was_refused(tmp_path):
    torch.save({"a": torch.ones(3)}, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:100])
    with pytest.raises(InputError, match="cut") as caught:
        open_recording(tmp_path / "cut.pth")
    assert caught.value.hint
    (tmp_path / "other.pth").write_bytes(b"not a torch file at all")
    with pytest.raises(InputError, match="not a torch file") as caught:
        open_recording(tmp_path / "other.pth")
    assert caught.value.hint == COPY_AGAIN
    with pytest.raises(InputError, match="max_header_bytes") as caught:
        open_recording(tmp_path / "whole.pth", limits=Limits(max_header_bytes=10))
    assert "--max-header-bytes" in caught.value.hint
    with pytest.raises(InputError, match="is a module") as caught:
        open_recording({"model": torch.nn.Linear(2, 2)})
    assert "state_dict()" in caught.value.hint
