import threading
import time

import pytest

from outgrow.compare import in_order as module
from outgrow.compare.in_order import in_order


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(module, "_GROUP_BYTES", 4)


def test_what_is_made_comes_in_order():
    def work(number):
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(in_order(work, [1] * 30)) == [number * number for number in range(30)]


def test_work_runs_ahead_but_not_far(monkeypatch):
    monkeypatch.setattr(module.torch, "get_num_threads", lambda: 2)
    started = []

    def work(number):
        started.append(number)
        return number

    found = in_order(work, [4] * 50)
    for number in range(10):
        assert next(found) == number
        time.sleep(0.005)
        assert max(started) <= number + 3
    assert max(started) > 9
    found.close()


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [([], []), ([100, 100], [[0], [1]]), ([1, 1, 2, 1], [[0, 1, 2], [3]]), ([0] * 65, [[*range(64)], [64]])],
)
def test_neighbours_are_taken_together(sizes, groups):
    assert [[*group] for group in module._groups(sizes)] == groups


def test_an_error_ends_it():
    def work(number):
        if number == 5:
            raise ValueError("the sixth")
        return number

    found = in_order(work, [4] * 9)
    assert [next(found) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="sixth"):
        next(found)
    assert list(found) == []


def test_no_thread_is_left_when_it_is_closed():
    before = threading.active_count()
    found = in_order(lambda number: number, [1] * 100)
    assert next(found) == 0
    assert threading.active_count() > before
    found.close()
    assert threading.active_count() == before
