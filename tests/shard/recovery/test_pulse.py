"""Signs of life: what the page says of a rank, and what the kernel says when the page is silent."""

import os
import signal
import subprocess
import sys
import time

import pytest

from outgrow.shard.recovery.agreement import StoreBoard
from outgrow.shard.recovery.events import Gone, Sign
from outgrow.shard.recovery.pulse import PulseBoard
from outgrow.shard.recovery.signs_of_life import SignsOfLife, oom_kills


def forked(board, rank, work):
    """A child that beats as `rank` and works; its pid."""
    pid = os.fork()
    if pid == 0:
        pulse = board.pulse(rank)
        pulse.start(every_seconds=0.02)
        try:
            work(pulse)
        finally:
            os._exit(0)
    return pid


@pytest.fixture
def board():
    with PulseBoard(2) as board:
        yield board


def test_what_a_rank_writes_is_read_after_its_death(board):
    pid = forked(
        board, 1, lambda pulse: (pulse.takes_up(7), pulse.done_with(7), pulse.takes_up(8), pulse.fail(8, 3))
    )
    os.waitpid(pid, 0)
    reading = board.read(1)
    assert (reading.started, reading.finished, reading.failures) == (8, 7, 1)
    assert board.failure(1, 1) == (8, 3)
    assert board.failure(1, 2) is None
    assert board.read(0).started == -1
    board.clear()
    assert board.read(1).started == -1
    assert board.failure(1, 1) is None


def looks(signs, seconds, every=0.02):
    found = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found += signs.look(time.monotonic())
        time.sleep(every)
    return found


@pytest.fixture
def child(board):
    pid = forked(board, 0, lambda pulse: time.sleep(60))
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_rank_that_waits_gives_signs(board, child):
    found = looks(SignsOfLife(1, board, [child]), 0.5)
    assert len(found) > 3
    assert set(map(type, found)) == {Sign}


def test_a_stopped_rank_is_told_from_a_busy_one(board, child):
    signs = SignsOfLife(1, board, [child], doubtful_seconds=0.2)
    looks(signs, 0.2)
    os.kill(child, signal.SIGSTOP)
    began = time.monotonic()
    while not (found := [one for one in signs.look(time.monotonic()) if isinstance(one, Gone)]):
        time.sleep(0.01)
        assert time.monotonic() - began < 5
    assert found[0].how == "was stopped by a signal"
    assert not found[0].is_own_doing


def test_a_long_call_that_holds_the_lock_is_alive(board):
    """Its counter stands still, its CPU time does not."""
    text = "x" * 3_000_000 + "y"

    def hold(pulse):
        time.sleep(0.2)
        for _ in range(10**6):
            # One call into C that never gives the interpreter's lock away.
            sum(map(ord, text))

    pid = forked(board, 0, hold)
    try:
        os.sched_setaffinity(pid, os.sched_getaffinity(0))
        found = looks(SignsOfLife(1, board, [pid], doubtful_seconds=0.05), 1.0)
        assert found
        assert set(map(type, found)) == {Sign}
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_before_the_first_beat_there_is_no_sign(board, child):
    assert SignsOfLife(1, board, [child, child]).look(0.0)[1:] == []


def boards_in_shared_memory(board):
    return [board.pulse(rank) for rank in range(2)]


def boards_in_a_store(board):
    from torch.distributed import HashStore  # noqa: TID251 - as ranks meet

    store = HashStore()
    return [StoreBoard(store, 2, rank) for rank in range(2)]


@pytest.mark.parametrize("make", [boards_in_shared_memory, boards_in_a_store])
def test_ranks_agree_where_all_have_failed_alike(board, make):
    first, second = make(board)
    for number in range(12):
        count = first.fail(number, 2)
        assert not first.has_agreed(count, number, 2), "the other has not failed"
        assert second.fail(number, 2) == count
        assert first.has_agreed(count, number, 2)
        assert second.has_agreed(count, number, 2)


@pytest.mark.parametrize("make", [boards_in_shared_memory, boards_in_a_store])
@pytest.mark.parametrize("other", [(5, 1), (4, 2), (5, None)], ids=str)
def test_ranks_that_failed_elsewhere_do_not_agree(board, make, other):
    first, second = make(board)
    count = first.fail(5, 2)
    second.fail(*other)
    assert not first.has_agreed(count, 5, 2)
    assert not second.has_agreed(count, *other)


def test_kills_for_want_of_memory_are_counted_by_the_kernel():
    assert oom_kills() >= 0


def test_the_page_is_gone_with_its_last_user():
    code = """
import os
from outgrow.shard.recovery.pulse import PulseBoard
before = set(os.listdir('/proc/self/fd'))
for _ in range(50):
    with PulseBoard(4) as board:
        pulse = board.pulse(1)
        pulse.start(every_seconds=0.001)
        pulse.stop()
assert set(os.listdir('/proc/self/fd')) == before
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
