"""Rounds in one process: no room, and not all of them together, leaves descriptors, threads, processes, files
or memory behind. Streams and readers have rounds of their own, beside their other tests."""

import gc
import tempfile
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from outgrow import evolve
from outgrow.capture import record
from outgrow.compare import compare, report
from outgrow.evolve.errors import SiteNotFound


def held():
    """What this process holds: descriptors, threads, processes, temporary files."""
    gc.collect()
    children = {
        child
        for task in Path("/proc/self/task").iterdir()
        for child in (task / "children").read_text().split()
    }
    return {
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "python threads": threading.active_count(),
        "processes": len(children),
        "files": len(list(Path(tempfile.gettempdir()).iterdir())),
    }


def private_bytes():
    """Memory of this process alone, without pages of files."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Private_Dirty"))


def in_rounds(act, *, warm, rounds, bytes_a_round):
    """Act, look, act many times, look again."""
    for _ in range(warm):
        act()
    before, memory = held(), private_bytes()
    for _ in range(rounds):
        act()
    after = held()
    # Threads of torch's own pools come when there is work for them, and stay.
    for what in before:
        assert after[what] <= before[what], f"{what}: {before[what]} before, {after[what]} after"
    grown = (private_bytes() - memory) / rounds
    assert grown < bytes_a_round, f"{grown:,.0f} bytes more a round"


@pytest.fixture(autouse=True)
def _own_temporary(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)


def network():
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(800, 10))


def test_thirty_changes_of_a_network():
    net, images = network(), torch.randn(4, 1, 12, 12)
    optimizer = torch.optim.AdamW(net.parameters())

    def act():
        with evolve.transaction(net, optimizer=optimizer) as change:
            evolve.widen(net, "0", by=8, optimizer=optimizer, example_inputs=images)
            net(images).sum().backward()
            optimizer.step()
            change.rollback()
        edit = evolve.widen(net, "0", by=8, optimizer=optimizer, example_inputs=images)
        edit.undo(net, optimizer=optimizer)
        with pytest.raises(SiteNotFound):
            evolve.widen(net, "9", by=8, example_inputs=images)

    in_rounds(act, warm=5, rounds=30, bytes_a_round=40_000)


def test_thirty_recordings_compared(tmp_path):
    net, images = network(), torch.randn(4, 1, 12, 12)
    number = iter(range(1000))

    def act():
        folder = tmp_path / str(next(number))
        for name in ("one", "other"):
            with record(net, folder / name), torch.no_grad():
                net(images)
        with compare(expected=folder / "one", actual=folder / "other") as comparison:
            assert comparison.verdict == "match"
            assert report.as_html(comparison)

    in_rounds(act, warm=5, rounds=30, bytes_a_round=40_000)


@pytest.mark.slow
def test_twenty_sessions_of_workers():
    import outgrow.shard as gt

    def act():
        gt.connect(workers=2)
        try:
            net = nn.Linear(64, 32).to("workers")
            for _ in range(5):
                loss = net(torch.randn(4, 64).to("workers")).square().mean()
                loss.backward()
                assert loss.item() > 0
        finally:
            gt.shutdown()

    in_rounds(act, warm=4, rounds=16, bytes_a_round=150_000)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_model_through_all_rooms_again_and_again(tmp_path):
    pytest.importorskip("transformers")
    from outgrow.cli.one_model_in_four_rooms import visit
    from tests.cli.tiny_chat import make_small

    source = make_small(tmp_path / "model")

    def act():
        with tempfile.TemporaryDirectory() as name:
            for row in visit(source, Path(name), torch.arange(32)[None], tell=len):
                assert row.is_kept, row

    in_rounds(act, warm=4, rounds=12, bytes_a_round=700_000)
