import os

import pytest

from bench import probe


@pytest.fixture
def files(tmp_path):
    sizes = (3 << 20, (1 << 20) + 5)
    paths = [tmp_path / f"{number}" for number in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        path.write_bytes(os.urandom(size))
    return paths


def test_reads_whole_pages_of_every_file(files):
    found = probe.probe_disk(files, variants=((2, 1 << 20), (1, 1 << 20)))
    assert found.bytes_read == 4 << 20
    assert set(found.bytes_per_second) == {"0:2x1MiB", "1:1x1MiB"}
    assert found.best == max(found.bytes_per_second.values()) > 0
    assert found.sustained == found.bytes_per_second["1:1x1MiB"]


def test_pieces_cover_each_file_once_up_to_the_amount(files):
    pieces = probe._pieces(files, 1 << 20, 1 << 30)
    assert pieces == [(files[0], n << 20, 1 << 20) for n in range(3)] + [(files[1], 0, 1 << 20)]
    assert sum(length for _, _, length in probe._pieces(files, 1 << 20, 2 << 20)) == 2 << 20


def test_goes_on_buffered_where_direct_reads_are_refused(files, monkeypatch):
    monkeypatch.setattr(probe, "_takes_direct", lambda _: False)
    found = probe.probe_disk(files, variants=((2, 1 << 20),))
    assert not found.direct
    assert found.bytes_read == 4 << 20
