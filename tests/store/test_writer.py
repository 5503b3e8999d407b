import errno
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from safetensors import safe_open
from safetensors.torch import load_file

from outgrow.errors import InputError, StoreError
from outgrow.events import Progress
from outgrow.store import open_checkpoint, write_safetensors
from outgrow.store.writer import make_directory, make_private_directory
from outgrow.testing.strategies import DTYPES, tensor_dicts, tensor_of_bytes


def bits(tensor: torch.Tensor) -> list[int]:
    return tensor.contiguous().reshape(-1).view(torch.uint8).tolist()


@given(tensors=tensor_dicts())
@pytest.mark.peer
def test_safetensors_reads_what_we_write(tmp_path_factory, tensors):
    path = tmp_path_factory.mktemp("peer") / "x.safetensors"
    write_safetensors(path, tensors, {"k": "ü"})
    loaded = load_file(path)
    assert set(loaded) == set(tensors)
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert loaded[name].shape == tensor.shape
        assert bits(loaded[name]) == bits(tensor)
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"k": "ü"}
    assert open_checkpoint(path).metadata == {"k": "ü"}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_keeps_every_bit(tmp_path, dtype):
    data = bytes(range(256)) * dtype.itemsize
    tensor = tensor_of_bytes(data, dtype, (16, 16))
    write_safetensors(tmp_path / "x.safetensors", {"x": tensor})
    assert bits(load_file(tmp_path / "x.safetensors")["x"]) == bits(tensor)


def test_views_are_written_as_they_look(tmp_path):
    base = torch.arange(24.0).reshape(4, 6)
    tensors = {
        "transposed": base.T,
        "strided": base[::2, 1::2],
        "expanded": torch.ones(1, 3).expand(4, 3),
        "conjugate": torch.tensor([1 + 2j], dtype=torch.complex64).conj(),
        "negative": torch.tensor([1 + 2j], dtype=torch.complex64).conj().imag,
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    write_safetensors(tmp_path / "x.safetensors", tensors)
    loaded = load_file(tmp_path / "x.safetensors")
    for name, tensor in tensors.items():
        torch.testing.assert_close(loaded[name], tensor.detach().resolve_conj(), rtol=0, atol=0)


def test_data_begins_at_a_page_and_keeps_the_order(tmp_path):
    tensors = {name: torch.zeros(3, dtype=torch.int8 if name in "bd" else torch.float32) for name in "dcba"}
    write_safetensors(tmp_path / "x.safetensors", tensors)
    metas = open_checkpoint(tmp_path / "x.safetensors").tensors
    assert list(metas) == ["c", "a", "d", "b"]
    assert metas["c"].offset == 4096


def test_specs_are_made_one_at_a_time(tmp_path):
    log = []

    def make(name):
        return lambda: log.append(name) or torch.full((2,), ord(name), dtype=torch.int16)

    specs = ((name, (2,), torch.int16, make(name)) for name in "xyz")
    events = []
    write_safetensors(
        tmp_path / "x.safetensors",
        specs,
        listener=lambda event: (events.append(event), log.append(event.item)),
    )
    assert log == ["x", "x", "y", "y", "z", "z", ""]
    assert events[-1] == Progress(task="writing", done=12, total=12)
    assert load_file(tmp_path / "x.safetensors")["y"].tolist() == [ord("y")] * 2


def test_what_we_write_is_private(tmp_path):
    tmp_path.chmod(0o755)
    path = tmp_path / "new" / "deep" / "x.safetensors"
    write_safetensors(path, {"x": torch.ones(1)})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.fixture
def before(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"before")
    return path


def check_untouched(path):
    assert path.read_bytes() == b"before"
    assert list(path.parent.iterdir()) == [path]


def failing(error):
    def make():
        raise error

    return [("a", (2,), torch.float32, lambda: torch.ones(2)), ("b", (2,), torch.float32, make)]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no"), SystemExit(1)], ids=repr)
def test_nothing_is_left_when_a_tensor_cannot_be_made(before, error):
    with pytest.raises(type(error)):
        write_safetensors(before, failing(error))
    check_untouched(before)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        pytest.param(
            [("a", (3,), torch.float32, lambda: torch.ones(2))], r"should be .*\(3,\) but is", id="shape"
        ),
        pytest.param([("a", (2,), torch.int8, lambda: torch.ones(2))], "should be torch.int8", id="dtype"),
        pytest.param({"a": torch.ones(2, device="meta")}, "on the meta device", id="meta"),
        pytest.param({"a": torch.ones(2).to_sparse()}, "sparse", id="sparse"),
        pytest.param({"a": torch.ones(2, dtype=torch.complex128)}, "complex128", id="complex128"),
    ],
)
def test_a_wrong_tensor_is_refused_and_nothing_left(before, tensors, message):
    with pytest.raises(InputError, match=message):
        write_safetensors(before, tensors)
    check_untouched(before)


def test_a_full_disk_is_seen_beforehand(before, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6, 1000))
    with pytest.raises(StoreError, match=r"needs .* and 1.00 kB are free") as caught:
        write_safetensors(before, {"a": torch.ones(2)})
    assert caught.value.hint
    check_untouched(before)


def test_a_disk_that_fills_up_meanwhile(before, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="no space for"):
        write_safetensors(before, {"a": torch.ones(2)})
    check_untouched(before)


def test_a_write_that_fails_half_way(before):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StoreError, match="cannot write"):
            write_safetensors(before, {"a": torch.ones(2**20)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    check_untouched(before)


def test_a_directory_that_cannot_be(before):
    with pytest.raises(StoreError, match=r"cannot make the directory|is not a directory"):
        write_safetensors(before / "inside" / "x.safetensors", {"a": torch.ones(1)})
    check_untouched(before)


def test_a_kill_leaves_the_old_file(before):
    code = f"""
import os, signal, torch
from outgrow.store import write_safetensors
specs = [("a", (2,), torch.float32, lambda: os.kill(os.getpid(), signal.SIGKILL))]
write_safetensors({str(before)!r}, specs)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert before.read_bytes() == b"before"


def test_the_new_file_takes_the_place_of_the_old(before):
    write_safetensors(before, {"a": torch.ones(1)})
    assert open_checkpoint(before).tensors["a"].nbytes == 4
    assert list(before.parent.iterdir()) == [before]


def test_directories_are_private_only_where_that_is_asked_for(tmp_path):
    make_private_directory(tmp_path / "mine" / "inner")
    make_directory(tmp_path / "named")
    assert (tmp_path / "mine" / "inner").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "named").stat().st_mode & 0o700 == 0o700
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "named").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_name_that_no_directory_can_have_is_a_store_error(tmp_path):
    with pytest.raises(StoreError, match="cannot make the directory"):
        make_directory(tmp_path / ("x" * 300))
