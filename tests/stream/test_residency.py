"""The window's state machine: events in, instructions out; and against a model that keeps every byte."""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from outgrow.errors import StoreError
from outgrow.stream.residency import Residency, State, Ticket
from outgrow.stream.weights import Footprint


def footprint(nbytes, alignment=64):
    return Footprint(nbytes=nbytes, alignment=alignment, lead=0, is_in_place=False, read_bytes=nbytes)


def machine(window=300, order=(0, 1, 2, 3), sizes=(100, 100, 100, 100), lookahead=None):
    prints = {piece: footprint(nbytes, 1) for piece, nbytes in enumerate(sizes)}
    return Residency(window_bytes=window, footprints=prints, order=order, lookahead=lookahead)


def told(fetches):
    """Instructions as (piece, first byte, urgent)."""
    return [(fetch.ticket.piece, fetch.ticket.begin, fetch.is_urgent) for fetch in fetches]


def load(residency, fetches):
    """Answer instructions, and those that follow, until there are none."""
    pending = list(fetches)
    while pending:
        pending.extend(residency.loaded(pending.pop(0).ticket))
        residency.check()


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


def broken_machine():
    """Piece 0 in use, 1 and 2 ahead of it."""
    residency = machine()
    load(residency, residency.start())
    ticket, _ = residency.need(0)
    residency.use(ticket)
    residency.check()
    return residency, ticket


def share_a_ticket(residency, ticket):
    residency._doomed.add(ticket)


def lose_memory(residency, ticket):
    residency.ring.give_back(ticket.begin)


def use_too_early(residency, ticket):
    residency.use(residency.ahead[0])


def revive(residency, ticket):
    residency._held.discard(ticket)
    residency._doomed.add(ticket)


def wait_with_memory(residency, ticket):
    residency._waiting.append(Ticket(3, state=State.READY))


def hold_nothing(residency, ticket):
    ticket.state = State.GONE


def skip_a_piece(residency, ticket):
    residency._next = 0


def look_too_far(residency, ticket):
    residency.lookahead = 1


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (share_a_ticket, "a ticket is in two places"),
        (lose_memory, "memory and tickets differ"),
        (use_too_early, "a bad ticket is ahead"),
        (revive, "a live ticket is doomed"),
        (wait_with_memory, "a ticket waits with memory"),
        (hold_nothing, "a ticket is held without memory"),
        (skip_a_piece, "out of order"),
        (look_too_far, "too far ahead"),
    ],
)
def test_check_finds_what_is_broken(harm, says):
    residency, ticket = broken_machine()
    harm(residency, ticket)
    with pytest.raises(AssertionError, match=f"^{says}"):
        residency.check()


def test_check_finds_what_was_fetched_although_nothing_may_be():
    residency = machine(lookahead=1)
    load(residency, residency.start())
    residency.lookahead = 0
    with pytest.raises(AssertionError, match="too far ahead"):
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


WINDOW = 16 * 64
SIZES = {0: 64, 1: 2 * 64, 2: 3 * 64, 3: 4 * 64, 4: 5 * 64, 5: 8 * 64, 6: 16 * 64}
"""Footprints by piece. Number 6 needs the whole window."""
PRINTS = {piece: footprint(nbytes, 4 * 64 if nbytes % 256 == 0 else 64) for piece, nbytes in SIZES.items()}
PIECES = st.sampled_from(sorted(SIZES))
LIVE = (State.LOADING, State.READY, State.IN_USE, State.FAILED, State.DOOMED)


class ResidencyAgainstMemory(RuleBasedStateMachine):
    """The machine beside a memory that disks write to at any time between instruction and answer.

    What a module computes with must be the bytes of its piece, in every order of events.
    """

    def __init__(self) -> None:
        super().__init__()
        self.memory = bytearray(WINDOW)
        self.reading: list[Ticket] = []
        self.asked: list[Ticket] = []
        self.all: list[Ticket] = []
        self.has_failed = False

    @initialize(order=st.lists(PIECES, max_size=8), lookahead=st.sampled_from([None, None, 0, 1, 3]))
    def begin(self, order: list[int], lookahead: int | None) -> None:
        self.residency = Residency(window_bytes=WINDOW, footprints=PRINTS, order=order, lookahead=lookahead)
        self.obey(self.residency.start())

    def obey(self, fetches) -> None:
        for fetch in fetches:
            ticket = fetch.ticket
            assert ticket.state is State.LOADING
            assert ticket.begin % PRINTS[ticket.piece].alignment == 0
            assert all(ticket is not other for other in self.reading), "told twice"
            self.reading.append(ticket)
            if all(ticket is not other for other in self.all):
                self.all.append(ticket)

    def write(self, ticket: Ticket, nbytes: int, byte: int) -> None:
        self.memory[ticket.begin : ticket.begin + nbytes] = bytes([byte]) * nbytes

    def holds_its_piece(self, ticket: Ticket) -> bool:
        nbytes = SIZES[ticket.piece]
        return self.memory[ticket.begin : ticket.begin + nbytes] == bytes([ticket.piece + 1]) * nbytes

    def finish(self, ticket: Ticket) -> None:
        self.reading.remove(ticket)
        self.write(ticket, SIZES[ticket.piece], ticket.piece + 1)
        self.obey(self.residency.loaded(ticket))

    @rule(piece=PIECES)
    def need(self, piece: int) -> None:
        ticket, fetches = self.residency.need(piece)
        assert ticket.piece == piece
        assert ticket.is_wanted
        assert all(ticket is not other for other in self.asked), "two modules got one ticket"
        self.asked.append(ticket)
        self.obey(fetches)

    @precondition(lambda self: self.reading)
    @rule(data=st.data())
    def part_of_a_read_comes(self, data) -> None:
        ticket = data.draw(st.sampled_from(self.reading))
        self.write(ticket, SIZES[ticket.piece] // 2, ticket.piece + 1)

    @precondition(lambda self: self.reading)
    @rule(data=st.data())
    def read_ends(self, data) -> None:
        self.finish(data.draw(st.sampled_from(self.reading)))

    @precondition(lambda self: self.reading)
    @rule(data=st.data())
    def read_fails(self, data) -> None:
        self.has_failed = True
        ticket = data.draw(st.sampled_from(self.reading))
        self.reading.remove(ticket)
        self.write(ticket, SIZES[ticket.piece], 0xA5)
        error = StoreError("on purpose")
        was_wanted, was_doomed = ticket.is_wanted, ticket.state is State.DOOMED
        self.obey(self.residency.failed(ticket, error))
        if was_wanted and not was_doomed:
            assert ticket.state is State.FAILED
            assert ticket.error is error
        else:
            assert ticket.state is State.GONE

    @precondition(lambda self: any(ticket.state is State.READY for ticket in self.asked))
    @rule(data=st.data())
    def use(self, data) -> None:
        ready = [ticket for ticket in self.asked if ticket.state is State.READY]
        self.residency.use(data.draw(st.sampled_from(ready)))

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def release(self, data) -> None:
        ticket = data.draw(st.sampled_from(self.asked))
        self.asked.remove(ticket)
        self.obey(self.residency.release(ticket))
        assert ticket.state in (State.GONE, State.DOOMED)

    @rule(order=st.lists(PIECES, max_size=8))
    def set_order(self, order: list[int]) -> None:
        self.obey(self.residency.set_order(order))

    @rule()
    def stop(self) -> None:
        self.residency.stop()
        assert self.residency.ahead == ()

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def whoever_waits_is_served(self, data) -> None:
        """Once all others have let go and the disk has answered, a needed piece is there."""
        chosen = data.draw(st.sampled_from(self.asked))
        for ticket in [ticket for ticket in self.asked if ticket is not chosen]:
            self.asked.remove(ticket)
            self.obey(self.residency.release(ticket))
        for _ in range(1000):
            if not self.reading:
                break
            self.finish(self.reading[0])
        assert not self.reading
        assert chosen.state in (State.READY, State.IN_USE, State.FAILED)

    @invariant()
    def is_consistent(self) -> None:
        if not hasattr(self, "residency"):
            return
        self.residency.check()
        live = [ticket for ticket in [*self.all, *self.asked] if ticket.state in LIVE]
        live = sorted({id(ticket): ticket for ticket in live}.values(), key=lambda ticket: ticket.begin)
        for ticket, following in itertools.pairwise(live):
            assert ticket.begin + SIZES[ticket.piece] <= following.begin, "two live tickets share memory"
        assert all(ticket.state in (State.LOADING, State.DOOMED) for ticket in self.reading)
        pending = [ticket for ticket in live if ticket.state in (State.LOADING, State.DOOMED)]
        assert {id(ticket) for ticket in pending} == {id(ticket) for ticket in self.reading}
        assert all(self.holds_its_piece(t) for t in live if t.state in (State.READY, State.IN_USE))
        self.all = [ticket for ticket in self.all if ticket.state is not State.GONE]

    def teardown(self) -> None:
        if not hasattr(self, "residency"):
            return
        self.residency.stop()
        while self.asked:
            self.obey(self.residency.release(self.asked.pop()))
        while self.reading:
            self.finish(self.reading[-1])
        assert self.residency.is_quiet
        assert self.residency.ring.used_bytes == 0, "memory leaked"
        self.residency.check()


TestResidencyAgainstMemory = ResidencyAgainstMemory.TestCase
TestResidencyAgainstMemory.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
