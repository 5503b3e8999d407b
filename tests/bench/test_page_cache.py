import pytest

from bench.page_cache import cached_bytes, drop_caches


def test_dropped_files_are_no_longer_cached(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * (1 << 20))
    if cached_bytes([path]) is None:
        pytest.skip("this kernel does not say what it caches")
    assert cached_bytes([path, path]) == 2 << 20
    if drop_caches([path]) == "fadvise" and cached_bytes([path]):
        pytest.skip("this file system keeps its files in memory")
    assert cached_bytes([path]) == 0
