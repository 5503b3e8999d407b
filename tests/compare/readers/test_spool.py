"""What is unpacked lies in a file that nobody else sees and that goes by itself."""

import gc
import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from outgrow.compare.readers.archives import open_archive
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.spool import Spool
from outgrow.errors import StoreError
from tests.compare.readers.archive_makers import files, piped_zip, tarred, tensor_file, write


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_pieces_are_aligned_and_read_back(temporary):
    with Spool() as spool:
        places = []
        for index in range(5):
            at = spool.begin()
            assert at % 64 == 0
            spool.write(at, bytes([index]) * index)
            spool.write(at + index, b"end")
            places.append(at)
        data = spool.path.read_bytes()
        for index, at in enumerate(places):
            assert data[at : at + index + 3] == bytes([index]) * index + b"end"
        spool.drop(places[3])
        assert spool.path.stat().st_size == places[3] == spool.begin()
        # It has no name, even while it is in use.
        assert list(temporary.iterdir()) == []
        path = spool.path
        seen = path.stat()
    assert not path.exists() or not os.path.samestat(path.stat(), seen)


def test_nothing_is_made_before_it_is_needed(temporary, monkeypatch):
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: pytest.fail("made"))
    with Spool() as spool:
        spool.require(0)
        spool.drop(0)
        assert spool.begin() == 0


def test_a_closed_spool_says_so(temporary):
    spool = Spool()
    spool.close()
    spool.close()
    with pytest.raises(StoreError, match="was closed"):
        _ = spool.path


def without_proc(monkeypatch):
    is_dir = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda self: str(self) != "/proc/self/fd" and is_dir(self))


def test_without_proc_it_is_a_private_folder_that_goes(temporary, monkeypatch):
    without_proc(monkeypatch)
    spool = Spool()
    spool.write(0, b"secret")
    (folder,) = temporary.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert spool.path.parent == folder
    assert spool.path.read_bytes() == b"secret"
    spool.close()
    assert list(temporary.iterdir()) == []
    forgotten = Spool()
    forgotten.write(0, b"x")
    forgotten._file.close()  # which Python would warn about
    del forgotten
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_without_proc_archives_are_read_all_the_same(temporary, tmp_path, monkeypatch):
    without_proc(monkeypatch)
    archive = open_archive(write(tmp_path, "x.tgz", tarred(files(), "gz")), Limits())
    assert len(archive.contents) == 4
    assert all(content.records[0].read().numel() for _, content in archive.contents)
    archive.close()
    assert list(temporary.iterdir()) == []


def test_without_proc_it_goes_with_the_interpreter(temporary):
    code = (
        "import tempfile, sys; tempfile.tempdir = sys.argv[1]\n"
        "from pathlib import Path; is_dir = Path.is_dir\n"
        "Path.is_dir = lambda self: str(self) != '/proc/self/fd' and is_dir(self)\n"
        "from outgrow.compare.readers.spool import Spool\n"
        "spool = Spool(); spool.write(0, b'x'); print(len(list(Path(sys.argv[1]).iterdir())))\n"
        "raise SystemExit(3)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(temporary)], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("1\n", 3), done.stderr
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["x.tgz", "x.zip"])
def test_a_full_disk_is_said_and_leaves_nothing(temporary, tmp_path, name):
    content = {"a.safetensors": tensor_file(0, 500, 500)}
    path = write(tmp_path, name, (tarred(content, "gz") if name == "x.tgz" else piped_zip(content)))
    before = len(list(Path("/proc/self/fd").iterdir()))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(StoreError, match="is full") as caught:
            open_archive(path, Limits())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "TMPDIR" in caught.value.hint
    assert list(temporary.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_disk_that_is_too_small_is_said_before_the_work(temporary, tmp_path, monkeypatch):
    path = write(tmp_path, "x.zip", piped_zip({"a.safetensors": tensor_file(0, 100, 100)}))
    real = os.fstatvfs

    def little(descriptor: int) -> os.statvfs_result:
        return os.statvfs_result((*real(descriptor)[:3], 0, 0, *real(descriptor)[5:10]))

    monkeypatch.setattr("os.fstatvfs", little)
    monkeypatch.setattr(Spool, "write", lambda *_: pytest.fail("written"))
    with pytest.raises(StoreError, match="has 0 bytes free"):
        open_archive(path, Limits())


def test_no_folder_for_temporary_files_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="cannot unpack into") as caught:
        open_archive(write(tmp_path, "x.tgz", tarred(files(), "gz")), Limits())
    assert "TMPDIR" in caught.value.hint
