"""The window's state machine: events in, instructions out."""

import pytest

from outgrow.errors import StoreError
from outgrow.stream.residency import State
from tests.stream.driven_residency import load, machine, told


def test_fetches_ahead_as_far_as_memory_goes():
    residency = machine()
    assert told(residency.start()) == [(0, 0, False), (1, 100, False), (2, 200, False)]
    assert residency.is_full
    residency.check()


def test_one_pass_and_on_past_its_end():
    residency = machine()
    fetches = residency.start()
    assert [residency.loaded(fetch.ticket) for fetch in fetches] == [[], [], []]
    first, then = residency.need(0)
    assert (first.state, then) == (State.READY, [])
    residency.use(first)
    assert first.state is State.IN_USE
    assert told(residency.release(first)) == [(3, 0, False)]
    assert first.state is State.GONE
    second, then = residency.need(1)
    assert then == []
    residency.use(second)
    assert told(residency.release(second)) == [(0, 100, False)], "the next pass begins before this one ends"
    assert [ticket.piece for ticket in residency.ahead] == [2, 3, 0]
    assert (residency.misses, residency.wasted) == (0, 0)
    residency.check()


def test_needed_before_it_is_loaded():
    residency = machine()
    residency.start()
    ticket, fetches = residency.need(0)
    assert (ticket.state, ticket.is_wanted, fetches) == (State.LOADING, True, [])
    assert residency.loaded(ticket) == []
    assert ticket.state is State.READY
    assert residency.misses == 0


def test_piece_out_of_order_is_fetched_at_once_and_the_order_goes_on_from_it():
    residency = machine(window=200)
    load(residency, residency.start())
    assert [ticket.piece for ticket in residency.ahead] == [0, 1]
    ticket, fetches = residency.need(2)
    assert told(fetches) == [(2, 0, True), (3, 100, False)]
    assert ticket.state is State.LOADING
    assert (residency.misses, residency.wasted) == (1, 2)
    residency.check()


def test_skipped_pieces_are_given_up():
    residency = machine()
    load(residency, residency.start())
    ticket, fetches = residency.need(2)
    assert ticket.state is State.READY
    assert told(fetches) == [(3, 0, False), (0, 100, False)]
    assert (residency.misses, residency.wasted) == (0, 2)


def test_given_up_memory_is_not_used_before_its_reads_end():
    residency = machine(window=100, order=(0, 1))
    (ahead,) = residency.start()
    wanted, fetches = residency.need(1)
    assert (ahead.ticket.state, wanted.state, fetches) == (State.DOOMED, State.WAITING, [])
    residency.check()
    assert told(residency.loaded(ahead.ticket)) == [(1, 0, True)]
    assert ahead.ticket.state is State.GONE
    assert residency.loaded(wanted) == []
    assert wanted.state is State.READY


def test_what_was_fetched_ahead_last_is_given_up_first():
    # Piece 4 is in no pass; the pieces that are used next stay.
    residency = machine(window=300, sizes=(100, 100, 100, 100, 100))
    load(residency, residency.start())
    ticket, fetches = residency.need(4)
    assert told(fetches) == [(4, 200, True)]
    assert [each.piece for each in residency.ahead] == [0, 1]
    load(residency, fetches)
    residency.use(ticket)
    assert told(residency.release(ticket)) == [(2, 200, False)]
    residency.check()


def test_piece_that_is_used_twice_in_a_pass():
    residency = machine(window=300, order=(0, 1, 0, 2))
    load(residency, residency.start())
    assert [ticket.piece for ticket in residency.ahead] == [0, 1, 0]
    for piece in (0, 1, 0, 2, 0):
        ticket, fetches = residency.need(piece)
        load(residency, fetches)
        residency.use(ticket)
        load(residency, residency.release(ticket))
    assert (residency.misses, residency.wasted) == (0, 0)


def test_in_use_pieces_stay_whatever_is_needed():
    residency = machine(window=200)
    load(residency, residency.start())
    held, fetches = residency.need(0)
    residency.use(held)
    load(residency, fetches)
    for piece in (3, 1, 2, 1):
        ticket, fetches = residency.need(piece)
        load(residency, fetches)
        assert ticket.state is State.READY
        residency.use(ticket)
        load(residency, residency.release(ticket))
        assert held.state is State.IN_USE


@pytest.mark.parametrize(("lookahead", "ahead"), [(0, []), (1, [0]), (2, [0, 1]), (9, [0, 1, 2])])
def test_lookahead_bounds_what_is_fetched(lookahead, ahead):
    residency = machine(lookahead=lookahead)
    assert [fetch.ticket.piece for fetch in residency.start()] == ahead
    assert residency.is_full == (lookahead == 9)
    residency.check()


def test_no_lookahead_fetches_what_is_needed_and_nothing_else():
    residency = machine(lookahead=0)
    assert residency.start() == []
    ticket, fetches = residency.need(0)
    assert told(fetches) == [(0, 0, True)]
    load(residency, fetches)
    residency.use(ticket)
    assert residency.release(ticket) == []


def test_failure_ahead_of_use_is_nobodys_yet():
    residency = machine()
    fetches = residency.start()
    residency.loaded(fetches[0].ticket)
    assert residency.failed(fetches[1].ticket, StoreError("the disk is gone")) == []
    assert fetches[1].ticket.state is State.GONE
    assert [ticket.piece for ticket in residency.ahead] == [0]
    residency.check()
    # Whoever needs it reads it again and sees whether the fault is still there.
    ticket, again = residency.need(1)
    assert told(again) == [(1, 0, True), (2, 100, False)]
    assert residency.loaded(ticket) == []
    assert ticket.state is State.READY


def test_failure_of_a_needed_piece_reaches_who_needs_it():
    residency = machine()
    fetches = residency.start()
    ticket, _ = residency.need(0)
    error = StoreError("the disk is gone")
    assert residency.failed(ticket, error) == []
    assert (ticket.state, ticket.error) == (State.FAILED, error)
    residency.check()
    residency.release(ticket)
    assert ticket.state is State.GONE
    assert residency.wasted == 0
    for fetch in fetches[1:]:
        residency.loaded(fetch.ticket)
    residency.check()


def test_failure_of_a_piece_that_nobody_had_fetched():
    residency = machine(window=100, order=(0, 1))
    load(residency, residency.start())
    ticket, fetches = residency.need(1)
    assert told(fetches) == [(1, 0, True)]
    assert ticket.is_wanted
    assert residency.failed(ticket, StoreError("the disk is gone")) == []
    assert ticket.state is State.FAILED
    assert told(residency.release(ticket)) == [(0, 0, False)]


def test_failure_of_a_given_up_piece_frees_its_memory():
    residency = machine(window=100, order=(0, 1))
    (ahead,) = residency.start()
    residency.need(1)
    assert told(residency.failed(ahead.ticket, StoreError("the disk is gone"))) == [(1, 0, True)]


def test_giving_up_while_waiting():
    residency = machine(window=100, order=(0, 1))
    (ahead,) = residency.start()
    wanted, _ = residency.need(1)
    residency.release(wanted)
    assert wanted.state is State.GONE
    residency.check()
    load(residency, residency.loaded(ahead.ticket))
    assert [ticket.piece for ticket in residency.ahead] == [0], "the order goes on behind piece 1"


def test_letting_go_twice_is_letting_go_once():
    residency = machine()
    load(residency, residency.start())
    ticket, _ = residency.need(0)
    residency.use(ticket)
    load(residency, residency.release(ticket))
    assert residency.release(ticket) == []
    assert ticket.state is State.GONE
    assert [each.piece for each in residency.ahead] == [1, 2, 3]
    residency.check()


def test_giving_up_while_loading():
    residency = machine()
    residency.start()
    ticket, _ = residency.need(0)
    residency.release(ticket)
    assert ticket.state is State.DOOMED
    residency.check()
    assert told(residency.loaded(ticket)) == [(3, 0, False)]


def test_stop_gives_up_all_but_what_is_in_use():
    residency = machine()
    fetches = residency.start()
    held, _ = residency.need(0)
    residency.loaded(held)
    residency.use(held)
    residency.stop()
    assert [fetch.ticket.state for fetch in fetches] == [State.IN_USE, State.DOOMED, State.DOOMED]
    assert not residency.is_quiet
    for fetch in fetches[1:]:
        assert residency.loaded(fetch.ticket) == []
    assert residency.release(held) == []
    assert residency.is_quiet
    assert residency.ring.used_bytes == 0
    residency.check()


def test_piece_larger_than_the_window_waits_for_ever():
    residency = machine(sizes=(100, 100, 100, 400))
    load(residency, residency.start())
    ticket, fetches = residency.need(3)
    load(residency, fetches)
    assert ticket.state is State.WAITING
    residency.check()
    assert [fetch.ticket.piece for fetch in residency.release(ticket)] == [0, 1, 2]
    assert ticket.state is State.GONE
