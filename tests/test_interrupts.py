"""Signals that wait, and come all the same."""

import signal
import threading

import pytest

from outgrow.interrupts import Uninterrupted, are_interrupts_held, let_interrupts_through
from tests.interrupting import CtrlC, needs_opcodes

# What is raised at the end of a block is what these tests are about.
# ruff: noqa: PT012


@pytest.fixture(autouse=True)
def _answers_to_ctrl_c():
    # Shells start what runs in the background with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_comes_at_the_end():
    done = []
    with pytest.raises(KeyboardInterrupt), Uninterrupted():
        signal.raise_signal(signal.SIGINT)
        assert are_interrupts_held()
        done.append("the rest")
    assert done == ["the rest"]
    assert not are_interrupts_held()


def test_ctrl_c_comes_where_it_is_let_through():
    done = []
    with pytest.raises(KeyboardInterrupt), Uninterrupted():
        let_interrupts_through()
        signal.raise_signal(signal.SIGINT)
        try:
            let_interrupts_through()
        finally:
            signal.raise_signal(signal.SIGINT)
            done.append("cleaned up")
    assert done == ["cleaned up"]


def test_one_within_another_ends_with_the_outer_one():
    done = []
    with pytest.raises(KeyboardInterrupt), Uninterrupted():
        with Uninterrupted():
            signal.raise_signal(signal.SIGINT)
        done.append("outer")
    assert done == ["outer"]


def test_an_error_is_not_lost():
    with pytest.raises(KeyboardInterrupt) as caught, Uninterrupted():
        signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError
    assert isinstance(caught.value.__context__, ZeroDivisionError)


def test_all_signals_come():
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append((number, frame is not None)))
    try:
        with pytest.raises(KeyboardInterrupt), Uninterrupted():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            assert not came
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [(signal.SIGTERM, True)]


def test_a_signal_that_is_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Uninterrupted():
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_who_takes_the_signal_inside_keeps_it():
    with Uninterrupted():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_other_threads_hold_nothing():
    held = []

    def run():
        with Uninterrupted():
            let_interrupts_through()
            held.append(signal.getsignal(signal.SIGINT) is not signal.default_int_handler)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert held == [False]


@needs_opcodes
def test_wherever_it_comes_the_block_is_whole_and_the_handlers_are_back():
    def program(done):
        with Uninterrupted():
            done.append("begun")
            let_interrupts_through()
            done.append("done")

    with CtrlC(None, rooms=("interrupts.py",)) as counting:
        program([])
    assert counting.places > 20
    outcomes = set()
    for at in range(1, counting.places + 1):
        done = []
        with pytest.raises(KeyboardInterrupt), CtrlC(at, rooms=("interrupts.py",)):
            program(done)
        assert not are_interrupts_held()
        outcomes.add(tuple(done))
    # Before it, where it was let through, after it: never in between.
    assert outcomes == {(), ("begun",), ("begun", "done")}
