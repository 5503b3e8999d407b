"""The window's state machine against a model that keeps every byte."""

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from outgrow.errors import StoreError
from outgrow.stream.residency import Residency, State, Ticket
from tests.stream.driven_residency import footprint

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
