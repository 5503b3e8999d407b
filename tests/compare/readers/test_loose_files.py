"""Files that came without a folder: parts of one dump, or a rank's each; and called by their names."""

import os
import tempfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.loose_files import LooseFile, are_parts, read_loose
from outgrow.compare.readers.opening import open_file, open_files
from outgrow.errors import InputError, StoreError
from tests.compare.readers.archive_makers import KINDS, files


@pytest.fixture
def nameless():
    """A file without a name, at its place below `/proc`."""
    opened = []

    def make(data):
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
        opened.append(file)
        file.write(data)
        file.flush()
        return f"/proc/self/fd/{file.fileno()}"

    yield make
    for file in opened:
        file.close()


def loose(tmp_path, **tensors):
    made = []
    for name, content in tensors.items():
        path = tmp_path / f"{name}.bin"
        path.write_bytes(save({key: torch.ones(2) for key in content.split()}))
        made.append(LooseFile(path=path, name=f"{name.replace('__', '-')}.safetensors"))
    return made


@pytest.mark.parametrize(
    ("tensors", "is_one"),
    [
        ({"a": "x y", "b": "z"}, True),
        ({"a": "x y", "b": "y z"}, False),
        ({"a": "x y", "b": "x y"}, False),
        ({"m__00001-of-00002": "x y", "m__00002-of-00002": "x y"}, True),
        ({"run_rank0": "x", "run_rank1": "y"}, False),
        ({"tp_0": "x", "tp_1": "y"}, False),
        ({"a_rank0": "x", "b_rank1": "y"}, True),
    ],
)
def test_names_and_contents_say_what_several_files_are(tmp_path, tensors, is_one):
    assert are_parts(read_loose(loose(tmp_path, **tensors), Limits())) == is_one


def test_single_tensors_are_parts_unless_they_are_named_for_ranks(tmp_path):
    def made(*names):
        found = []
        for name in names:
            torch.save(torch.ones(2), tmp_path / name)
            found.append(LooseFile(path=tmp_path / name, name=name))
        return read_loose(found, Limits())

    assert are_parts(made("0_query.pth", "1_query.pth", "mask.pt"))
    assert not are_parts(made("query_rank0.pth", "query_rank1.pth"))
    assert not are_parts(made("rank0.pth", "rank1.pth", "rank2.pth"))
    assert are_parts(made("rank0_query.pth", "rank0_key.pth"))


def test_several_files_are_read_as_a_folder_of_them_would_be(tmp_path):
    made = loose(tmp_path, a="x y", b="z")
    with open_files(made) as recording:
        assert [record.name for record in recording.records] == ["a/x", "a/y", "b/z"]
        assert recording.label == "a.safetensors and 1 more"
        assert torch.equal(recording.records[0].read(), torch.ones(2))
    with pytest.raises(InputError, match=r"nothing in 'a\.safetensors and 1 more'"):
        open_files(made, only="other*")


@pytest.mark.parametrize("kind", KINDS)
def test_archives_are_called_by_their_names(nameless, kind):
    suffix, pack = KINDS[kind]
    path = nameless(pack(files()))
    with open_file(Path(path), name=f"my{suffix}") as recording:
        assert recording.label == f"my{suffix}"
        assert len(recording.records) == 4
        assert recording.records[0].read().shape == (3, 1)
    damaged = nameless(pack(files())[:700])
    try:
        with open_file(Path(damaged), name=f"my{suffix}") as recording:
            said = str(recording.refused)
    except (InputError, StoreError) as err:
        said = str(err)
        assert f"my{suffix}" in said
    assert "/proc/" not in said


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors", "x.npy", "x.npz", "x.zip", "x.tar", "x", "x.gz"])
def test_what_cannot_be_read_is_told_by_its_name(nameless, name):
    with pytest.raises((InputError, StoreError)) as caught:
        open_file(Path(nameless(os.urandom(3000))), name=name)
    assert name in str(caught.value)
    assert "/proc/" not in str(caught.value)


def test_another_file_in_its_place_is_not_believed(nameless):
    path = nameless(save({"a": torch.ones(2)}))
    recording = open_file(Path(path), name="x.safetensors")
    with tempfile.TemporaryFile() as other:
        other.write(save({"a": torch.zeros(2)}))
        other.flush()
        os.dup2(other.fileno(), int(path.rpartition("/")[2]))
    with pytest.raises(StoreError, match=r"x\.safetensors") as caught:
        recording.records[0].read()
    assert "/proc/" not in str(caught.value)


def test_it_tells_how_far_it_is_and_can_be_stopped(tmp_path):
    made = loose(tmp_path, a="x", b="y", c="z")
    sizes = [file.path.stat().st_size for file in made]
    events = []
    read_loose(made, Limits(), listener=events.append)
    assert [(event.task, event.done, event.total, event.item) for event in events] == [
        ("opening", sum(sizes[:index]), sum(sizes), file.name) for index, file in enumerate(made)
    ]

    class Stopped(Exception):
        pass

    def stop(_event):
        raise Stopped

    with pytest.raises(Stopped):
        open_files(made, listener=stop)


def test_a_file_that_went_meanwhile_is_refused_by_name(tmp_path):
    made = loose(tmp_path, a="x", b="y")
    made[0].path.unlink()
    with open_files(made) as recording:
        assert [record.name for record in recording.records] == ["y"]
        assert [refusal.entry for refusal in recording.refused] == ["a.safetensors"]
