import pytest

from bench.systems import SYSTEMS
from bench.systems.mmap import Mmap


class Stub(Mmap):
    """Stands in for outgrow: the cases' own arithmetic is tested here, not the streaming."""

    name = "outgrow"
    has_budget = True
    is_slow = False

    def statistics(self, model):
        return {"bytes_read": 1}


@pytest.fixture
def bench_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("OUTGROW_BENCH_DIR", str(tmp_path / "bench"))
    return tmp_path / "bench"


@pytest.fixture
def stub(monkeypatch, bench_directory):
    monkeypatch.setitem(SYSTEMS, "outgrow", Stub)
    return Stub
