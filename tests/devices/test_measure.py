import errno
import os
import sys
from pathlib import Path

import pytest
import torch

from outgrow.devices import measure, probe_copy_bandwidth, probe_read_bandwidth, supports_direct_reads
from outgrow.errors import DeviceError, InputError

BLOCK = 4 << 20
MODES = [
    "buffered",
    pytest.param("direct", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux only")),
]


@pytest.fixture
def here(tmp_path):
    if not supports_direct_reads(tmp_path):
        pytest.skip("the file system of the temporary directory takes no O_DIRECT")
    return tmp_path


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_threads", [1, 3])
def test_a_directory_is_measured_and_left_as_it_was(here, mode, num_threads):
    before = open_descriptors()
    sample = probe_read_bandwidth(here, mode=mode, nbytes=4 * BLOCK, num_threads=num_threads)
    assert (sample.bytes, sample.mode) == (4 * BLOCK, mode)
    assert sample.seconds > 0
    assert sample.bytes_per_second == sample.bytes / sample.seconds
    assert list(here.iterdir()) == []
    assert open_descriptors() == before


@pytest.mark.parametrize("mode", MODES)
def test_a_file_is_measured_as_far_as_it_goes(here, mode):
    file = here / "weights"
    file.write_bytes(os.urandom(2 * BLOCK + 100))
    assert probe_read_bandwidth(file, mode=mode, nbytes=64 * BLOCK).bytes == 2 * BLOCK
    assert probe_read_bandwidth(file, mode=mode, nbytes=BLOCK).bytes == BLOCK
    assert list(here.iterdir()) == [file]


def test_a_system_without_positioned_reads_is_measured_too(tmp_path, monkeypatch):
    monkeypatch.delattr(measure.os, "preadv")
    assert probe_read_bandwidth(tmp_path, mode="buffered", nbytes=3 * BLOCK).bytes == 3 * BLOCK


def test_the_probe_file_has_no_name_while_it_is_read(tmp_path, monkeypatch):
    seen = []
    true_fill = measure._fill

    def look(descriptor, nbytes):
        seen.append(list(tmp_path.iterdir()))
        true_fill(descriptor, nbytes)

    monkeypatch.setattr(measure, "_fill", look)
    probe_read_bandwidth(tmp_path, mode="buffered", nbytes=BLOCK)
    assert seen == [[]]


@pytest.mark.parametrize(
    "fault", [KeyboardInterrupt(), OSError(errno.EIO, "bad disk")], ids=["ctrl-c", "bad disk"]
)
def test_an_interrupted_probe_leaves_nothing(tmp_path, monkeypatch, fault):
    def fail(descriptor, nbytes):
        raise fault

    before = open_descriptors()
    monkeypatch.setattr(measure, "_fill", fail)
    with pytest.raises(type(fault)):
        probe_read_bandwidth(tmp_path, mode="buffered", nbytes=BLOCK)
    assert list(tmp_path.iterdir()) == []
    assert open_descriptors() == before


def test_a_full_disk_is_found_out_before_writing(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": BLOCK})
    monkeypatch.setattr(measure.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DeviceError, match="free") as caught:
        probe_read_bandwidth(tmp_path, mode="buffered", nbytes=BLOCK)
    assert "--path" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_missing_path_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="neither a file nor a directory"):
        probe_read_bandwidth(tmp_path / "nowhere")


def test_a_tiny_file_is_an_input_error(tmp_path):
    (tmp_path / "tiny").write_bytes(b"abc")
    with pytest.raises(InputError, match="has 3 bytes"):
        probe_read_bandwidth(tmp_path / "tiny", mode="buffered")


@pytest.mark.parametrize("options", [{"nbytes": 0}, {"num_threads": 0}], ids=str)
def test_a_probe_of_nothing_is_refused(tmp_path, options):
    with pytest.raises(InputError, match="at least"):
        probe_read_bandwidth(tmp_path, **options)


def test_refused_direct_reads_are_an_error_by_name_and_false_as_a_question(tmp_path, monkeypatch):
    true_open = os.open

    def refuse(path, flags, *rest, **more):
        if flags & getattr(os, "O_DIRECT", 0):
            raise OSError(errno.EINVAL, "Invalid argument")
        return true_open(path, flags, *rest, **more)

    monkeypatch.setattr(measure.os, "open", refuse)
    assert supports_direct_reads(tmp_path) is False
    with pytest.raises(DeviceError, match="refuses direct reads"):
        probe_read_bandwidth(tmp_path, mode="direct", nbytes=BLOCK)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_copies_without_a_gpu_are_a_clear_error():
    with pytest.raises(DeviceError, match="no CUDA device"):
        probe_copy_bandwidth()


@pytest.mark.gpu
@pytest.mark.parametrize("pinned", [True, False])
def test_copies_to_a_gpu_are_measured(pinned):
    sample = probe_copy_bandwidth(nbytes=16 << 20, pinned=pinned)
    assert sample.mode == ("pinned" if pinned else "pageable")
    assert sample.bytes_per_second > 1e8


def test_copies_are_timed_and_what_cuda_refuses_is_a_clear_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    sample = probe_copy_bandwidth("cpu", nbytes=1 << 20, pinned=False)
    assert (sample.bytes, sample.mode) == (1 << 20, "pageable")
    assert sample.seconds > 0

    def refuse(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr(torch, "empty", refuse)
    with pytest.raises(DeviceError, match=r"copying 1\.05 MB to cpu failed: CUDA out of memory\.\n  Hint"):
        probe_copy_bandwidth("cpu", nbytes=1 << 20, pinned=False)
