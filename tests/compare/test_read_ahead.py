import threading
import time
from functools import partial

import pytest

from outgrow.compare import read_ahead
from outgrow.compare.read_ahead import in_order


def given(number):
    return lambda: number


def test_what_is_made_comes_in_order():
    def work(index, number):
        time.sleep(0.002 * (number % 3))
        return index, number * number

    found = list(in_order([given(number) for number in range(30)], work, [1] * 30))
    assert found == [(number, number * number) for number in range(30)]


def test_reading_runs_ahead_but_not_far(monkeypatch):
    monkeypatch.setattr(read_ahead, "_AHEAD_BYTES", 100)
    started = []

    def read(number):
        started.append(number)
        return number

    found = in_order([partial(read, number) for number in range(50)], lambda _, number: number, [40] * 50)
    for number in range(10):
        assert next(found) == number
        time.sleep(0.005)
        assert number + 1 in started
        assert max(started) <= number + 3
    found.close()


def test_one_that_is_larger_than_all_that_may_wait_is_read_alone(monkeypatch):
    monkeypatch.setattr(read_ahead, "_AHEAD_BYTES", 10)
    assert list(in_order([given(1), given(2)], lambda _, number: number, [1000, 1000])) == [1, 2]


@pytest.mark.parametrize("where", ["read", "work"])
def test_an_error_comes_in_its_turn_and_ends_it(where):
    def fail(*_):
        raise ValueError("the third")

    reads = [given(0), given(1), fail if where == "read" else given(2), given(3)]
    found = in_order(
        reads, lambda index, number: fail() if where == "work" and index == 2 else number, [1] * 4
    )
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ValueError, match="third"):
        next(found)
    assert list(found) == []


def test_no_thread_is_left_when_it_is_closed():
    before = threading.active_count()
    found = in_order([given(number) for number in range(100)], lambda _, number: number, [1] * 100)
    assert next(found) == 0
    assert threading.active_count() > before
    found.close()
    assert threading.active_count() == before


def test_nothing_is_fine():
    assert list(in_order([], lambda _, number: number, [])) == []
