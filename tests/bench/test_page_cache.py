import os

import pytest

from bench import page_cache


@pytest.fixture
def droppable(tmp_path):
    """A file that is cached, on a file system that can forget it, under a kernel that says so."""
    path, other = tmp_path / "file", tmp_path / "other"
    for one in (path, other):
        one.write_bytes(b"x" * (1 << 20))
    if page_cache.cached_bytes([other]) is None:
        pytest.skip("this kernel does not say what it caches")
    with other.open("rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if page_cache.cached_bytes([other]):
        pytest.skip("this file system keeps its files in memory")
    return path


def test_cached_bytes_add_up(droppable):
    assert page_cache.cached_bytes([droppable, droppable]) == 2 << 20


def test_files_are_dropped_without_touching_other_caches(droppable):
    assert page_cache.drop_caches([droppable]) == "fadvise"
    assert page_cache.cached_bytes([droppable]) == 0
