import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from outgrow.errors import InputError
from outgrow.store import FileIdentity, StoreChanged, StoreCorrupt, check_unchanged, open_checkpoint

A, B, C = torch.arange(6.0).reshape(2, 3), torch.ones(5, dtype=torch.bfloat16), torch.zeros(0, 7)


@pytest.fixture
def sharded(tmp_path) -> Path:
    save_file({"a": A, "b": B}, tmp_path / "model-00001-of-00002.safetensors", metadata={"format": "pt"})
    save_file({"c": C}, tmp_path / "model-00002-of-00002.safetensors", metadata={"format": "np"})
    index(tmp_path, {"a": 1, "b": 1, "c": 2})
    return tmp_path


def index(root: Path, places: dict, name: str = "model.safetensors.index.json") -> None:
    files = {
        key: f"model-0000{n}-of-00002.safetensors" if isinstance(n, int) else n for key, n in places.items()
    }
    (root / name).write_text(json.dumps({"metadata": {"total_size": 34}, "weight_map": files}))


def test_opens_a_single_file(tmp_path):
    save_file({"b": B, "a": A}, tmp_path / "x.safetensors")
    checkpoint = open_checkpoint(tmp_path / "x.safetensors")
    assert checkpoint.root == tmp_path
    assert checkpoint.files == (tmp_path / "x.safetensors",)
    assert {name: meta.shape for name, meta in checkpoint.tensors.items()} == {"a": (2, 3), "b": (5,)}
    assert checkpoint.nbytes == 24 + 10
    assert not checkpoint.is_huggingface


@pytest.mark.parametrize("inside", ["", "model.safetensors.index.json"], ids=["directory", "index"])
def test_opens_a_sharded_checkpoint(sharded, inside):
    (sharded / "config.json").write_text("{}")
    checkpoint = open_checkpoint(sharded / inside)
    assert list(checkpoint.tensors) == ["a", "b", "c"]
    assert checkpoint.tensors["c"].path.name == "model-00002-of-00002.safetensors"
    assert checkpoint.metadata == {"total_size": "34", "format": "pt"}
    assert checkpoint.is_huggingface
    assert set(checkpoint.identities) == set(checkpoint.files)
    assert pickle.loads(pickle.dumps(checkpoint)) == checkpoint


def test_no_weight_is_read(sharded, monkeypatch):
    reads = []
    monkeypatch.setattr(os, "preadv", lambda *args: reads.append(args))
    big = sharded / "big.safetensors"
    # A sparse file: reading its 64 GB would take longer than the test may.
    header = json.dumps({"w": {"dtype": "I8", "shape": [2**36], "data_offsets": [0, 2**36]}}).encode()
    with big.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 2**36)
    assert open_checkpoint(big).nbytes == 2**36
    assert not reads


def test_the_single_file_comes_first_as_in_transformers(sharded):
    save_file({"only": A}, sharded / "model.safetensors")
    assert list(open_checkpoint(sharded).tensors) == ["only"]


def test_other_files_beside_a_checkpoint_do_not_matter(sharded):
    save_file({"a": A}, sharded / "consolidated.safetensors")
    assert list(open_checkpoint(sharded).tensors) == ["a", "b", "c"]


def test_a_directory_of_plain_files_is_one_checkpoint(tmp_path):
    save_file({"b": B}, tmp_path / "1.safetensors")
    save_file({"a": A}, tmp_path / "2.safetensors")
    assert list(open_checkpoint(tmp_path).tensors) == ["b", "a"]
    save_file({"a": A}, tmp_path / "3.safetensors")
    with pytest.raises(InputError, match=r"'a' is in '2.safetensors' and '3.safetensors'"):
        open_checkpoint(tmp_path)


def test_the_index_decides_which_tensors_count(sharded):
    save_file({"a": A, "c": C, "extra": B}, sharded / "model-00002-of-00002.safetensors")
    checkpoint = open_checkpoint(sharded)
    assert set(checkpoint.tensors) == {"a", "b", "c"}
    assert checkpoint.tensors["a"].path.name == "model-00001-of-00002.safetensors"


def test_links_of_the_hub_cache_are_followed(sharded, tmp_path_factory):
    snapshot = tmp_path_factory.mktemp("snapshot")
    for file in sharded.iterdir():
        (snapshot / file.name).symlink_to(file)
    assert list(open_checkpoint(snapshot).tensors) == ["a", "b", "c"]


def test_bad_indexes(sharded):
    index(sharded, {"a": 1, "d": 1})
    with pytest.raises(StoreCorrupt, match=r"puts 'd' into .*, which has no such tensor"):
        open_checkpoint(sharded)
    index(sharded, {"a": 1, "d": "gone.safetensors"})
    with pytest.raises(StoreCorrupt, match=r"names 'gone.safetensors', which is missing, with 1 tensors"):
        open_checkpoint(sharded)
    for outside in ("../x.safetensors", "/etc/x.safetensors", "a\\..\\..\\x.safetensors", ""):
        index(sharded, {"a": outside})
        with pytest.raises(StoreCorrupt, match="outside its directory"):
            open_checkpoint(sharded)
    for text in ("", "[]", "{}", '{"weight_map": {"a": 1}}', '{"weight_map": ' * 100_000):
        (sharded / "model.safetensors.index.json").write_text(text)
        with pytest.raises(StoreCorrupt, match="the index"):
            open_checkpoint(sharded)


def test_what_is_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match="no such file or directory") as caught:
        open_checkpoint(tmp_path / "gone")
    assert caught.value.hint
    with pytest.raises(InputError, match="is not a checkpoint"):
        open_checkpoint(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    for path in (tmp_path, tmp_path / "pytorch_model.bin"):
        with pytest.raises(InputError, match="safetensors") as caught:
            open_checkpoint(path)
        assert "outgrow store convert" in str(caught.value)
    for name in ("a", "b"):
        index(tmp_path, {}, f"{name}.safetensors.index.json")
    with pytest.raises(InputError, match="several checkpoints"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda path: path.unlink(), "is gone", id="removed"),
        pytest.param(lambda path: os.truncate(path, 10), "had .* bytes and has 10", id="truncated"),
        pytest.param(lambda path: os.utime(path, (1, 1)), "was written to", id="touched"),
        pytest.param(
            lambda path: (
                path.with_name("new").write_bytes(path.read_bytes()) and path.with_name("new").replace(path)
            ),
            "was replaced",
            id="replaced",
        ),
    ],
)
def test_a_changed_file_is_noticed(sharded, change, message):
    checkpoint = open_checkpoint(sharded)
    check_unchanged(checkpoint.identities)
    change(checkpoint.files[1])
    with pytest.raises(StoreChanged, match=f"00002-of-00002.*{message}"):
        check_unchanged(checkpoint.identities)


def test_an_identity_is_of_a_file_that_exists(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        FileIdentity.of(tmp_path / "gone")


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "model.safetensors").symlink_to("../blobs/gone")
    with pytest.raises(InputError, match=r"leads to '\.\./blobs/gone', which does not exist"):
        open_checkpoint(tmp_path)
