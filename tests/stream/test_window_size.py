"""The window grows while passes become faster, goes back once, and then stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outgrow.stream.window_size import PATIENCE, WindowTuner

MIB = 1 << 20


def tuner(window=4 * MIB, most=64 * MIB):
    return WindowTuner(window_bytes=window, most_bytes=most)


def look(tuned, seconds, stall=0.5, idle=0.5):
    """What the tuner says after as many passes as it waits for; it says nothing before."""
    for _ in range(PATIENCE - 1):
        assert tuned.observe(pass_seconds=seconds, stall_seconds=stall, idle_seconds=idle) is None
    return tuned.observe(pass_seconds=seconds, stall_seconds=stall, idle_seconds=idle)


def test_grows_while_that_helps_then_goes_back_and_stays():
    tuned = tuner()
    assert look(tuned, 1.0) == 6 * MIB
    assert look(tuned, 0.9) == 9 * MIB
    # The third window is no better than the second: back to that.
    assert look(tuned, 0.89) == 6 * MIB
    assert tuned.is_settled
    assert look(tuned, 5.0) is None
    assert tuned.window_bytes == 6 * MIB


@pytest.mark.parametrize(("stall", "idle"), [(0.0, 0.5), (0.5, 0.0), (0.01, 0.5), (0.5, 0.01)])
def test_leaves_the_window_where_modules_do_not_wait_or_the_disk_has_no_pause(stall, idle):
    tuned = tuner()
    assert look(tuned, 1.0, stall, idle) is None
    assert tuned.is_settled


def test_stops_growing_where_it_helped_enough():
    tuned = tuner()
    assert look(tuned, 1.0) == 6 * MIB
    assert look(tuned, 0.5, stall=0.0) is None
    assert tuned.is_settled
    assert tuned.window_bytes == 6 * MIB


def test_stays_at_most_as_large_as_it_may():
    tuned = tuner(window=4 * MIB, most=5 * MIB)
    assert look(tuned, 1.0) == 5 * MIB
    assert look(tuned, 0.8) is None
    assert tuned.is_settled, "a slow disk later must not send it back"
    assert look(tuned, 3.0) is None
    assert tuned.window_bytes == 5 * MIB


def test_judges_by_the_best_pass():
    tuned = tuner()
    assert look(tuned, 1.0) == 6 * MIB
    # Two unlucky passes and a good one.
    for seconds in (3.0, 0.8):
        assert tuned.observe(pass_seconds=seconds, stall_seconds=0.5, idle_seconds=0.5) is None
    assert tuned.observe(pass_seconds=2.0, stall_seconds=0.5, idle_seconds=0.5) == 9 * MIB


def test_window_that_cannot_grow_is_left_alone():
    assert look(tuner(window=8 * MIB, most=8 * MIB), 1.0) is None
    assert look(tuner(window=0, most=8 * MIB), 1.0) is None
    # A plan whose groups need more than the usual.
    assert look(tuner(window=9 * MIB, most=8 * MIB), 1.0) is None


def test_pass_of_no_seconds_is_no_reason():
    assert look(tuner(), 0.0, 0.0, 0.0) is None


@given(
    window=st.integers(0, 1 << 30),
    most=st.integers(0, 1 << 31),
    passes=st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1), st.floats(0, 1)), max_size=60),
)
def test_window_stays_within_bounds_and_changes_a_bounded_number_of_times(window, most, passes):
    tuned = WindowTuner(window_bytes=window, most_bytes=most)
    changes = []
    for seconds, stall, idle in passes:
        change = tuned.observe(
            pass_seconds=seconds, stall_seconds=stall * seconds, idle_seconds=idle * seconds
        )
        if change is not None:
            changes.append(change)
            assert change == tuned.window_bytes
    assert all(window <= change <= max(window, most) for change in changes)
    # Grows only, but for one step back at the end.
    assert changes[:-1] == sorted(changes[:-1])
    assert len(changes) <= len(passes) // PATIENCE
