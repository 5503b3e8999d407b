"""An upload on its way: nameless, within its limits, and held for as long as somebody reads it."""

import errno
import os
import resource
import tempfile
from pathlib import Path

import pytest

from outgrow.compare.web.allowance import Allowance
from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.upload import Upload


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def refusal(call, *args, **options):
    with pytest.raises(ApiError) as caught:
        call(*args, **options)
    assert caught.value.hint
    return caught.value.status, caught.value.code


def test_it_has_no_name_and_nobody_else_may_read_it(temporary):
    upload = Upload(max_bytes=10)
    upload.write(b"abc")
    upload.write(bytearray(b"de"))
    assert list(temporary.iterdir()) == []
    assert upload.path.read_bytes() == b"abcde"
    assert upload.path.stat().st_mode & 0o777 == 0o600
    assert upload.nbytes == 5
    upload.close()


def test_it_goes_with_its_last_holder():
    upload = Upload(max_bytes=10)
    upload.write(b"abc")
    path = upload.path
    inode = path.stat().st_ino
    upload.hold()
    upload.close()
    assert path.read_bytes() == b"abc"
    upload.close()
    assert not path.exists() or path.stat().st_ino != inode
    assert refusal(upload.hold) == (409, "gone")


def test_more_bytes_than_allowed_are_refused():
    upload = Upload(max_bytes=4)
    upload.write(b"abcd")
    assert refusal(upload.write, b"e") == (413, "too-large")
    assert refusal(upload.require, 5) == (413, "too-large")
    upload.close()


def test_free_space_is_looked_at_first():
    upload = Upload(max_bytes=2**62)
    upload.require(0)
    assert refusal(upload.require, 2**61) == (507, "disk")
    upload.close()


@pytest.mark.parametrize(
    ("code", "told"),
    [(errno.ENOSPC, (507, "disk")), (errno.EDQUOT, (507, "disk")), (errno.EIO, (500, "disk"))],
)
def test_a_full_disk_is_told(monkeypatch, code, told):
    upload = Upload(max_bytes=10)

    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", fail)
    assert refusal(upload.write, b"a") == told
    upload.close()


def test_short_writes_go_on(monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:2]))
    upload = Upload(max_bytes=10)
    upload.write(b"abcdefg")
    assert upload.path.read_bytes() == b"abcdefg"
    upload.close()


def test_a_folder_that_is_not_there_is_told(monkeypatch, temporary):
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "gone"))
    assert refusal(Upload, max_bytes=10) == (500, "disk")


def test_some_descriptors_are_kept_for_others(monkeypatch):
    before = len(list(Path("/proc/self/fd").iterdir()))
    free = os.dup(0)
    os.close(free)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (free + 256, 4096))
    assert refusal(Upload, max_bytes=10) == (503, "files")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    monkeypatch.setattr(resource, "getrlimit", lambda _: (free + 257, 4096))
    Upload(max_bytes=10).close()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, 4096))
    Upload(max_bytes=10).close()


def test_all_that_a_tab_keeps_is_counted_until_it_is_gone():
    allowance = Allowance(max_bytes=10, max_files=9, max_running=9)
    first = Upload(max_bytes=100, reserve=allowance.reserve)
    second = Upload(max_bytes=100, reserve=allowance.reserve)
    first.write(b"abcdef")
    second.write(b"abcd")
    assert refusal(second.write, b"e") == (413, "too-large")
    first.hold()
    first.close()
    assert refusal(second.write, b"e") == (413, "too-large")
    first.close()
    second.write(b"e")
    second.close()
    allowance.reserve(10)


def test_uploads_at_a_time_and_files_are_counted():
    allowance = Allowance(max_bytes=10, max_files=3, max_running=2)
    allowance.begin(0)
    allowance.begin(0)
    assert refusal(allowance.begin, 0) == (429, "busy")
    assert refusal(allowance.begin, 1) == (429, "files")
    allowance.end()
    allowance.begin(1)
    allowance.end()
    assert refusal(allowance.begin, 2) == (429, "files")
