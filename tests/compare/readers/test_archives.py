"""Archives give the tensors of the files in them, whatever packed them, and refuse the rest by name."""

import gzip
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as save_safetensors

from outgrow.compare.readers.archives import OpenArchive, is_archive, open_archive
from outgrow.compare.readers.entry import read_entry
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.opening import open_recording
from outgrow.errors import InputError, StoreError
from outgrow.events import Progress
from outgrow.store import StoreCorrupt
from tests.compare.readers.archive_makers import (
    KINDS,
    ZipMember,
    files,
    pax_header,
    piped_zip,
    raw_tar,
    raw_zip,
    tar_header,
    tar_member,
    tarred,
    tensor_file,
    wide_zip,
    write,
    zipped,
)

GOOD = tensor_file(1)


@pytest.fixture(autouse=True)
def _temporary(tmp_path_factory, monkeypatch):
    """A folder of temporary files that each test must leave empty."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def opened(tmp_path: Path, name: str, data: bytes, **limits: float) -> OpenArchive:
    """The archive, open; nothing is unpacked for those that hold nothing."""
    return open_archive(write(tmp_path, name, data), Limits(**limits))


def names(archive: OpenArchive) -> list[str]:
    return [name for name, content in archive.contents if content.records]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def reasons(archive: OpenArchive) -> dict[str, str]:
    return {refusal.entry: refusal.reason for refusal in archive.refused}


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


def test_a_dump_that_holds_a_pickle_is_no_torch_file(tmp_path):
    archive = opened(tmp_path, "x.zip", zipped({"run/data.pkl": b"", **files(2)}))
    assert names(archive) == list(files(2))
    assert set(reasons(archive)) == {"run/data.pkl"}


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


def test_hidden_files_and_clutter_are_not_spoken_of(tmp_path):
    content = {
        **files(1),
        "__MACOSX/run/._0.safetensors": b"x",
        "run/.DS_Store": b"x",
        "run/._1.safetensors": b"x",
        ".cache/1.safetensors": GOOD,
        "run/Thumbs.db": b"x",
    }
    for kind in ("zip", "tar.gz"):
        archive = opened(tmp_path, f"x.{kind}", KINDS[kind][1](content))
        assert (names(archive), archive.refused) == (list(files(1)), ())
        archive.close()


@pytest.mark.parametrize("kind", ["zip", "zip-deflated", "tar", "tar.gz"])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil.safetensors", "leads out"),
        ("run/../../evil.safetensors", "leads out"),
        ("/etc/evil.safetensors", "absolute"),
        ("C:/evil.safetensors", "absolute"),
        ("run\\evil.safetensors", "backslash"),
        ("\x1b[2Jevil.safetensors", "control"),
        ("evil\u202egpj.safetensors", "control"),
        ("evil\nline.safetensors", "control"),
        ("e" * 2000 + ".safetensors", "characters"),
        ("inner.zip", "within the archive"),
        ("inner.tar.gz", "within the archive"),
        ("inner.npy.gz", "within the archive"),
        ("readme.md", "no reader"),
        ("none", "no reader"),
    ],
)
def test_entries_of_bad_names_are_refused_and_the_rest_is_read(tmp_path, kind, name, why):
    archive = opened(tmp_path, f"x.{kind}", KINDS[kind][1]({name: GOOD, **files(2)}))
    assert names(archive) == list(files(2))
    ((shown, reason),) = reasons(archive).items()
    assert why in reason
    assert shown.isprintable()
    assert len(shown) < 300
    archive.close()


def test_nul_in_a_name_does_not_cut_it(tmp_path):
    archive = opened(tmp_path, "x.zip", raw_zip(ZipMember(b"a.safetensors\0.exe", GOOD)))
    assert archive.contents == ()
    assert "control" in archive.refused[0].reason
    archive = opened(
        tmp_path,
        "x.tar",
        raw_tar(pax_header({"path": "a.safetensors\0.x"}), tar_member(b"a.safetensors", GOOD)),
    )
    assert archive.contents == ()
    assert "control" in archive.refused[0].reason


@pytest.mark.parametrize("kind", ["zip", "zip-deflated", "tar", "tar.gz"])
def test_none_of_several_entries_of_one_name_is_believed(tmp_path, kind):
    other = tensor_file(9)
    if "zip" in kind:
        method = 8 if "deflated" in kind else 0
        data = raw_zip(
            *(
                ZipMember(name, body, method)
                for name, body in [
                    (b"run/a.safetensors", GOOD),
                    (b"./run//a.safetensors", other),
                    (b"b.safetensors", GOOD),
                ]
            )
        )
    else:
        data = raw_tar(tar_member(b"run/a.safetensors", GOOD), tar_member(b"./run/a.safetensors", other),
                       tar_member(b"b.safetensors", GOOD))  # fmt: skip
        if kind == "tar.gz":
            data = gzip.compress(data)
    archive = opened(tmp_path, f"x.{kind}", data)
    assert names(archive) == ["b.safetensors"]
    assert "2 entries of this name" in reasons(archive)["run/a.safetensors"]
    archive.close()


def test_limits_are_kept(tmp_path):
    for kind in ("zip", "zip-deflated", "tar", "tar.gz"):
        suffix, pack = KINDS[kind]
        path = write(tmp_path, f"{kind}{suffix}", pack(files(4)))
        with pytest.raises(InputError, match="entries"):
            open_archive(path, Limits(max_entries=3))
        open_archive(path, Limits(max_entries=5)).close()
    for kind in ("zip", "zip-deflated", "tar.gz"):
        suffix, pack = KINDS[kind]
        path = write(tmp_path, f"{kind}{suffix}", pack(files(4)))
        with pytest.raises(InputError, match="max_bytes"):
            open_archive(path, Limits(max_bytes=100))
    archive = opened(tmp_path, "x.tar", tarred(files(2)), max_bytes=50)
    assert archive.contents == ()
    with pytest.raises(InputError, match="max_header_bytes"):
        opened(tmp_path, "x.zip", zipped(files(2)), max_header_bytes=50)


@pytest.mark.parametrize("kind", ["zip-deflated", "tar.gz", "tar.bz2", "tar.xz"])
def test_what_shrinks_a_thousandfold_is_refused(tmp_path, kind):
    bomb = bytes(70 * 2**20)
    path = write(tmp_path, "x", KINDS[kind][1]({"run/a.safetensors": bomb, **files(1)}))
    if kind == "zip-deflated":
        archive = open_archive(path, Limits())
        assert names(archive) == list(files(1))
        assert "max_ratio" in reasons(archive)["run/a.safetensors"]
        archive.close()
    else:
        with pytest.raises(InputError, match="max_ratio"):
            open_archive(path, Limits())


def test_a_mask_of_zeros_is_no_bomb(tmp_path):
    mask = save_safetensors({"mask": torch.zeros(5000, 5000, dtype=torch.bool)})
    for kind in ("zip-deflated", "tar.gz"):
        archive = opened(tmp_path, "x", KINDS[kind][1]({"run/mask.safetensors": mask}))
        assert names(archive) == ["run/mask.safetensors"]
        archive.close()


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
