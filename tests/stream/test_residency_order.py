"""The window goes on in the order of use, from wherever a miss, a failure or a new order leaves it."""

import pytest

from outgrow.errors import StoreError
from tests.stream.driven_residency import load, machine, told


def test_new_order_keeps_what_fits_it():
    residency = machine()
    load(residency, residency.start())
    kept = residency.ahead[:1]
    assert told(residency.set_order((0, 3, 1))) == [(3, 100, False), (1, 200, False)]
    assert residency.ahead[:1] == kept
    assert residency.order == (0, 3, 1)
    residency.check()


def test_empty_order_gives_everything_up():
    residency = machine()
    load(residency, residency.start())
    assert residency.set_order(()) == []
    assert residency.ahead == ()
    assert residency.is_quiet
    residency.check()


def test_new_order_goes_on_behind_all_that_it_keeps():
    residency = machine()
    load(residency, residency.start())
    kept = residency.ahead
    assert told(residency.set_order((0, 1, 2, 3))) == []
    assert residency.ahead == kept
    # All of a shorter order is there: fetching ahead goes on at its beginning.
    assert residency.set_order((0, 1)) == []
    assert residency.ahead == kept[:2]
    for piece in (0, 1, 0):
        ticket, fetches = residency.need(piece)
        load(residency, fetches)
        residency.use(ticket)
        load(residency, residency.release(ticket))
    assert (residency.misses, residency.wasted) == (0, 1)


def test_order_after_none_begins_at_its_beginning():
    residency = machine()
    load(residency, residency.start())
    residency.set_order(())
    assert told(residency.set_order((3, 1, 2))) == [(3, 0, False), (1, 100, False), (2, 200, False)]
    residency.check()


def test_miss_goes_on_in_the_new_order():
    residency = machine(window=200)
    load(residency, residency.start())
    load(residency, residency.set_order((3, 2, 1, 0)))
    _, fetches = residency.need(1)
    assert told(fetches) == [(1, 0, True), (0, 100, False)]


def test_what_is_needed_after_the_end_comes_alone():
    residency = machine()
    load(residency, residency.start())
    residency.stop()
    ticket, fetches = residency.need(2)
    assert told(fetches) == [(2, 0, True)]
    load(residency, fetches)
    assert residency.release(ticket) == []
    assert residency.is_quiet


def test_every_miss_counts():
    residency = machine(lookahead=0)
    for piece in (0, 1, 2):
        ticket, fetches = residency.need(piece)
        load(residency, fetches)
        residency.release(ticket)
    assert residency.misses == 3


@pytest.mark.parametrize(
    ("used", "missed", "follows"),
    [
        ([], 4, 0),
        # Piece 0 is first, third and sixth: the miss is its next use from here on, around the end if need be.
        ([0], 0, 2),
        ([0, 1, 0], 0, 4),
        ([0, 1, 0, 2], 0, 4),
        ([0, 1, 0, 2, 3, 0], 0, 1),
        ([0, 1, 0, 2, 3, 0], 3, 0),
        ([0, 1, 0], 1, 0),
    ],
)
def test_miss_goes_on_from_the_next_use_of_its_piece(used, missed, follows):
    order = (0, 1, 0, 2, 3, 0, 4)
    residency = machine(window=100, order=order, sizes=(100,) * 5)
    load(residency, residency.start())
    for piece in used:
        ticket, fetches = residency.need(piece)
        load(residency, fetches)
        residency.use(ticket)
        load(residency, residency.release(ticket))
    assert residency.misses == 0
    ticket, fetches = residency.need(missed)
    assert residency.misses == 1
    load(residency, fetches)
    load(residency, residency.release(ticket))
    assert [ahead.piece for ahead in residency.ahead] == [follows]


def test_piece_that_failed_ahead_is_needed_where_it_failed():
    # The third one is piece 0 for the second time; what follows it is piece 2, not piece 1.
    residency = machine(window=100, order=(0, 1, 0, 2))
    load(residency, residency.start())
    for piece in (0, 1):
        ticket, fetches = residency.need(piece)
        load(residency, fetches)
        (fetch,) = residency.release(ticket)
        residency.loaded(fetch.ticket) if piece == 0 else residency.failed(fetch.ticket, StoreError("gone"))
    ticket, fetches = residency.need(0)
    load(residency, fetches)
    assert [fetch.ticket.piece for fetch in residency.release(ticket)] == [2]


@pytest.mark.parametrize("pieces", [4, 5, 6])
def test_failure_ahead_takes_the_order_back_to_what_failed(pieces):
    residency = machine(order=range(pieces), sizes=(100,) * pieces)
    fetches = residency.start()
    load(residency, fetches[:1] + fetches[2:])
    residency.failed(fetches[1].ticket, StoreError("the disk is gone"))
    residency.check()
    assert [fetch.ticket.piece for fetch in residency.start()] == [1, 2]
