"""Archives give the tensors of the files in them, whatever packed them."""

import gzip
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from outgrow.compare.readers.archives import is_archive, open_archive
from outgrow.compare.readers.entry import read_entry
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.opening import open_recording
from outgrow.errors import InputError, StoreError
from outgrow.events import Progress
from outgrow.store import StoreCorrupt
from tests.compare.readers.archive_makers import (
    KINDS,
    files,
    piped_zip,
    raw_tar,
    tar_header,
    tar_member,
    tarred,
    tensor_file,
    wide_zip,
    write,
    zipped,
)
from tests.compare.readers.opened_archives import names, opened

pytestmark = pytest.mark.usefixtures("empty_temporary")

GOOD = tensor_file(1)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("kind", KINDS)
def test_archive_gives_what_its_files_give(tmp_path, kind):
    suffix, pack = KINDS[kind]
    content = files()
    path = write(tmp_path, f"dump{suffix}", pack(content))
    assert is_archive(path)
    archive = open_archive(path, Limits())
    try:
        assert archive.refused == ()
        assert [name for name, _ in archive.contents] == list(content)
        for name, got in archive.contents:
            (plain,) = read_entry(write(tmp_path, "plain.safetensors", content[name]), name, Limits()).records
            (packed,) = got.records
            assert (packed.inner, packed.dtype, packed.shape) == (plain.inner, plain.dtype, plain.shape)
            assert torch.equal(packed.read(), plain.read())
    finally:
        archive.close()


def dump_files(folder: Path) -> dict[str, bytes]:
    """A dump with all that readers read, as it lies in a folder."""
    folder.mkdir()
    (folder / "layers").mkdir()
    torch.save(torch.randn(3, 5, dtype=torch.bfloat16), folder / "0_query_final.pth")
    torch.save({"a": [torch.randn(4), torch.arange(7)], "b": 2.5}, folder / "1_nested.pt")
    np.save(folder / "2_key.npy", np.arange(12.0).reshape(3, 4))
    np.savez(folder / "3_plain.npz", x=np.arange(5), y=np.float16(1.5))
    np.savez_compressed(folder / "4_packed.npz", x=np.zeros((50, 50)), y=np.arange(9))
    (folder / "layers" / "0_query_final.safetensors").write_bytes(tensor_file(3, 7, 2))
    (folder / "notes.txt").write_text("not a tensor")
    (folder / "object.npy").write_bytes(b"\x93NUMPY\1\0\x16\0{'descr': '|O', }")
    return {
        f"{folder.name}/{file.relative_to(folder)}": file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_the_same_recording_as_its_folder(tmp_path, kind):
    content = dump_files(tmp_path / "run")
    suffix, pack = KINDS[kind]
    with (
        open_recording(tmp_path / "run") as plain,
        open_recording(write(tmp_path, f"run{suffix}", pack(content))) as packed,
    ):
        assert len(plain.records) == 10
        for expected, actual in zip(plain.records, packed.records, strict=True):
            assert (actual.name, actual.dtype, actual.shape) == (
                expected.name,
                expected.dtype,
                expected.shape,
            )
            assert torch.equal(actual.read(), expected.read())
        assert {refusal.reason for refusal in packed.refused} == {refusal.reason for refusal in plain.refused}
        assert {refusal.entry for refusal in packed.refused} == {"run/notes.txt", "run/object.npy"}


@pytest.mark.parametrize("kind", KINDS)
def test_content_decides_and_not_the_suffix(tmp_path, kind):
    path = write(tmp_path, "dump", KINDS[kind][1](files(1)))
    assert is_archive(path)
    archive = open_archive(path, Limits())
    assert names(archive) == list(files(1))
    archive.close()
    wrong = open_archive(path.rename(tmp_path / ("dump.tar" if "zip" in kind else "dump.zip")), Limits())
    assert names(wrong) == list(files(1))
    wrong.close()


def test_stored_and_plain_entries_are_not_copied(tmp_path, monkeypatch):
    monkeypatch.setattr("outgrow.compare.readers.spool.Spool._open", lambda _: pytest.fail("a copy was made"))
    for name, data in {"a.zip": zipped(files()), "b.tar": tarred(files())}.items():
        archive = opened(tmp_path, name, data)
        assert names(archive) == list(files())
        archive.close()


def test_a_torch_file_is_no_archive(tmp_path):
    torch.save(torch.arange(5.0), tmp_path / "x.pth")
    torch.save(torch.arange(5.0), tmp_path / "dump.zip")
    assert not is_archive(tmp_path / "x.pth")
    archive = open_archive(tmp_path / "dump.zip", Limits())
    ((name, content),) = archive.contents
    assert name == "dump.zip"
    assert torch.equal(content.records[0].read(), torch.arange(5.0))


def test_tensors_stay_good_after_close_but_are_not_read_anew(tmp_path):
    archive = opened(tmp_path, "x.tgz", tarred(files(), "gz"))
    found = [content.records[0] for _, content in archive.contents]
    before = [record.read() for record in found]
    archive.close()
    archive.close()
    # A descriptor of the same number must not be taken for the old one.
    others = [(tmp_path / "x.tgz").open("rb") for _ in range(8)]
    for record in found:
        with pytest.raises(StoreError, match=r"x\.tgz' was closed"):
            record.read()
    for other in others:
        other.close()
    (_, plain) = zip(*sorted(files().items()), strict=True)
    for tensor, data in zip(before, plain, strict=True):
        assert torch.equal(
            tensor, torch.frombuffer(bytearray(data[-tensor.nbytes :]), dtype=torch.float32).view_as(tensor)
        )


def test_fifty_rounds_leave_no_descriptor(tmp_path):
    path = write(tmp_path, "x.tgz", tarred(files(), "gz"))
    bad = write(tmp_path, "y.tgz", tarred(files(), "gz")[:-8] + b"12345678")
    before = descriptors()
    for _ in range(50):
        open_archive(path, Limits()).close()
        with pytest.raises(StoreCorrupt):
            open_archive(bad, Limits())
    assert descriptors() == before


def test_progress_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("outgrow.compare.readers.unpacked_stream._TOLD_EVERY", 1000)
    monkeypatch.setattr("outgrow.compare.readers.zip_archive._TOLD_EVERY", 1000)
    for name, data in {"x.tgz": tarred(files(30), "gz"), "x.zip": piped_zip(files(30))}.items():
        told: list[Progress] = []
        open_archive(write(tmp_path, name, data), Limits(), listener=told.append).close()
        assert told
        assert {(event.task, event.item) for event in told} == {("unpacking", name)}
        assert all(0 < event.done <= event.total for event in told)


@pytest.mark.parametrize("name", ["x.tgz", "x.zip"])
def test_ctrl_c_leaves_nothing(tmp_path, monkeypatch, name):
    monkeypatch.setattr("outgrow.compare.readers.unpacked_stream._TOLD_EVERY", 1)
    monkeypatch.setattr("outgrow.compare.readers.zip_archive._TOLD_EVERY", 1)
    before = descriptors()

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    path = write(tmp_path, name, (tarred(files(), "gz") if name.endswith("tgz") else piped_zip(files())))
    with pytest.raises(KeyboardInterrupt):
        open_archive(path, Limits(), listener=interrupt)
    assert descriptors() == before


def test_an_empty_archive_holds_nothing(tmp_path):
    for name, data in {"a.zip": zipped({}), "b.tar.gz": tarred({}, "gz")}.items():
        archive = opened(tmp_path, name, data)
        assert (archive.contents, archive.refused) == ((), ())
        archive.close()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty"),
        (b"hello", "is not an archive"),
        (bytes(2048), "is not an archive"),
        (b"\x28\xb5\x2f\xfd" + bytes(600), "zstandard"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(600), "7-Zip"),
    ],
)
def test_other_files_are_told_apart(tmp_path, data, why):
    path = write(tmp_path, "x.zip", data)
    assert is_archive(path)
    with pytest.raises(InputError, match=why) as caught:
        open_archive(path, Limits())
    assert caught.value.hint


def test_a_compressed_file_without_tar_is_no_archive(tmp_path):
    with pytest.raises(StoreCorrupt, match="not a whole tar archive"):
        opened(tmp_path, "x.npy.gz", gzip.compress(os.urandom(5000)))


def test_pipes_and_folders_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "x.zip")
    for path in (tmp_path / "x.zip", tmp_path):
        with pytest.raises(InputError, match="regular"):
            open_archive(path, Limits())
    with pytest.raises(StoreError):
        open_archive(tmp_path / "none.zip", Limits())


@pytest.mark.peer
def test_the_standard_library_lists_the_same(tmp_path):
    content = {
        f"{'folder/' * 20}{index:03}_{'n' * 120}.safetensors": tensor_file(index) for index in range(5)
    }
    content["ümlaut/né.safetensors"] = GOOD
    for data in (zipped(content), wide_zip(content), piped_zip(content)):
        archive = opened(tmp_path, "x.zip", data)
        with zipfile.ZipFile(tmp_path / "x.zip") as peer:
            assert names(archive) == peer.namelist()
        archive.close()
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        archive = opened(tmp_path, "x.tar", tarred(content, form=form))
        with tarfile.open(tmp_path / "x.tar") as peer:
            assert names(archive) == [name for name in peer.getnames() if name in content]
        assert len(names(archive)) == 6
        archive.close()


def test_headers_of_old_tars_are_read(tmp_path):
    old = tar_header(b"old.safetensors", len(GOOD), b"\0", magic=bytes(8))
    data = raw_tar(
        old + GOOD + bytes(-len(GOOD) % 512),
        tar_member(b"folder/", kind=b"0"),
        tar_member(b"b.safetensors", GOOD),
    )
    archive = opened(tmp_path, "x.tar", data)
    assert names(archive) == ["old.safetensors", "b.safetensors"]
    assert archive.refused == ()


def test_a_size_of_its_own_in_base_256_is_read(tmp_path):
    size = b"\x80" + len(GOOD).to_bytes(11, "big")
    archive = opened(tmp_path, "x.tar", raw_tar(tar_member(b"a.safetensors", GOOD, octal=size)))
    assert names(archive) == ["a.safetensors"]
