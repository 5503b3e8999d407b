import gc
import os
import tempfile
from pathlib import Path

import pytest
import torch

from outgrow.compare.readers.pages import map_pages
from outgrow.compare.readers.plain_file import PlainFile
from outgrow.errors import InputError, StoreError

CONTENT = bytes(range(256)) * 64


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(CONTENT)
    return file


@pytest.mark.parametrize("region", [None, (0, 100), (5, 10_000), (4096, 0)], ids=str)
def test_read_map_and_open_give_the_same_bytes(path, region):
    file = PlainFile.of(path, region)
    start, length = region or (0, len(CONTENT))
    expected = CONTENT[start : start + length]
    assert file.length == length
    assert file.read(0, length) == expected
    assert bytes(file.map(0, length)) == expected
    with file.open() as window:
        assert window.read() == expected
        window.seek(-min(3, length), os.SEEK_END)
        assert window.read() == expected[-3:]


@pytest.mark.parametrize(("offset", "nbytes"), [(0, 101), (101, 0), (-1, 1), (99, 2), (2**70, 1)])
def test_nothing_beyond_it_is_read(path, offset, nbytes):
    file = PlainFile.of(path, (10, 100))
    for take in (file.read, file.map):
        with pytest.raises(InputError, match="was to be read"):
            take(offset, nbytes)


@pytest.mark.parametrize("offset", [0, 1, 2, 4, 7])
def test_tensors_are_aligned_wherever_they_lie(path, offset):
    tensor = PlainFile.of(path).tensor(offset, torch.float32, (3, 5))
    assert tensor.data_ptr() % 4 == 0
    assert tensor.view(torch.uint8).flatten().tolist() == list(CONTENT[offset : offset + 60])


def test_a_link_put_in_its_place_is_not_followed(path):
    file = PlainFile.of(path)
    path.rename(path.with_name("moved"))
    path.symlink_to(path.with_name("moved"))  # the same file, by device, inode and times
    with pytest.raises(StoreError, match="cannot open"):
        file.read(0, 1)


def test_another_file_put_in_its_place_is_noticed(path):
    file = PlainFile.of(path, (0, 10))
    path.unlink()
    path.with_name("keeps the inode").write_bytes(CONTENT)
    path.write_bytes(CONTENT)
    with pytest.raises(StoreError, match="changed or replaced"):
        file.read(0, 1)


def test_pages_go_with_the_last_who_looks_at_them(path):
    def mapped():
        return sum(str(path) in line for line in Path("/proc/self/maps").read_text().splitlines())

    before = mapped()
    file = PlainFile.of(path)
    tensors = [file.tensor(0, torch.uint8, (16,))[2:4] for _ in range(3)]
    assert mapped() > before
    assert all(tensor.tolist() == [2, 3] for tensor in tensors)
    tensors.clear()
    gc.collect()
    assert mapped() == before


def test_more_tensors_than_a_process_may_open_files(path):
    file = PlainFile.of(path)
    kept = [file.tensor(index, torch.uint8, (1,)) for index in range(3000)]
    assert all(tensor.item() == index % 256 for index, tensor in enumerate(kept))


def test_pages_that_cannot_be_had_are_an_error():
    with pytest.raises(OSError, match="Bad file descriptor"):
        map_pages(10**6, 0, 1)


def test_large_parts_are_mapped_byte_for_byte(tmp_path):
    """Those are mapped from a multiple of 2 MiB on, and beyond the end of the file."""
    file, size = tmp_path / "large", 3 * 2**21 + 12_345
    content = torch.arange(-(-size // 8)).view(torch.uint8).numpy().tobytes()[:size]
    file.write_bytes(content)
    found = PlainFile.of(file)
    for offset, nbytes in ((0, size), (4097, 2**21), (2**21 - 1, 2**21 + 2), (size - 2**21, 2**21)):
        assert bytes(found.map(offset, nbytes)) == content[offset : offset + nbytes]


@pytest.mark.parametrize("change", ["cut", "overwritten"])
def test_a_part_of_an_archive_that_changed_since_is_not_read(path, change):
    # Mapped pages behind the end of a file kill the process that touches them.
    file = PlainFile.of(path, (4096, 8192), "inner.pth")
    if change == "cut":
        os.truncate(path, 5000)
    else:
        path.write_bytes(CONTENT[::-1])
    for take in (file.read, file.map):
        with pytest.raises(StoreError, match=r"inner\.pth.*changed or replaced"):
            take(0, 8192)


def test_a_part_of_a_temporary_file_is_read_while_that_grows():
    with tempfile.TemporaryFile() as spool:
        spool.write(CONTENT)
        spool.flush()
        file = PlainFile.of(Path(f"/proc/self/fd/{spool.fileno()}"), (10, 100), "inner.pth")
        spool.write(CONTENT)
        spool.flush()
        assert file.read(0, 100) == CONTENT[10:110]
        spool.truncate(50)
        with pytest.raises(StoreError, match="changed or replaced"):
            file.map(0, 100)
