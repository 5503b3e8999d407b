"""Which piece of which weight is where, as a state machine: events in, instructions out; no I/O, threads or
clock.

A fetch is a `Ticket`. It goes `LOADING -> READY -> IN_USE` and is forgotten on release. A ticket that nobody
will want any more is given up: at once when `READY`, after its reads when `LOADING` (`DOOMED` meanwhile,
since the disk may still write into its memory).
"""

__all__ = ["Fetch", "Residency", "State", "Ticket"]

import enum
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from outgrow.stream.ring import Ring
from outgrow.stream.weights import Footprint


class State(enum.Enum):
    """Where a ticket is on its way."""

    WAITING = "waiting"
    """Wanted now, but its memory is not free yet."""
    LOADING = "loading"
    """Reads are under way."""
    READY = "ready"
    """The bytes are there."""
    IN_USE = "in use"
    """A module computes with them."""
    FAILED = "failed"
    """A read failed; `Ticket.error` says how."""
    DOOMED = "doomed"
    """Given up while reads were under way."""
    GONE = "gone"
    """Its memory is free again."""


@dataclass(slots=True, eq=False)
class Ticket:
    """One fetch of one piece into the window."""

    piece: int
    """Index of the piece."""
    begin: int = -1
    """First byte of its memory in the window; -1 while it waits."""
    state: State = State.WAITING
    error: BaseException | None = None
    """Why it failed."""
    is_wanted: bool = False
    """Whether somebody waits for it."""
    payload: dict[str, object] = field(default_factory=dict)
    """Room for whoever carries out the fetch: views, CUDA events."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """The instruction to read a piece into the window. Whoever carries it out answers `loaded` or
    `failed`."""

    ticket: Ticket
    is_urgent: bool
    """Whether somebody waits for it already: to be read before everything else."""


class Residency:
    """The window's state. Pieces are used in a cyclic order; the machine fetches ahead of it as far as memory
    goes.

    Every method that changes something returns the instructions that follow from it.
    """

    def __init__(
        self,
        *,
        window_bytes: int,
        footprints: Mapping[int, Footprint],
        order: Sequence[int],
        lookahead: int | None,
    ) -> None:
        """`footprints` of all pieces that may stream, by index; `lookahead` bounds how many pieces are
        fetched ahead of use (None: as many as fit; 0: none)."""
        self.ring = Ring(window_bytes)
        self.lookahead = lookahead
        self.misses = 0
        """Pieces that were needed when nobody had fetched them."""
        self.wasted = 0
        """Pieces that were fetched and given up unused."""
        self._footprints = footprints
        self._order: tuple[int, ...] = tuple(order)
        self._positions = _positions(self._order)
        self._next = 0  # position of the next piece to fetch ahead
        self._ahead: deque[Ticket] = deque()  # fetched ahead, in order of use
        self._waiting: deque[Ticket] = deque()  # needed, without memory yet
        self._held: set[Ticket] = set()  # in use, or needed and loading
        self._doomed: set[Ticket] = set()

    @property
    def order(self) -> tuple[int, ...]:
        """The cyclic order of use that fetching ahead follows."""
        return self._order

    @property
    def ahead(self) -> tuple[Ticket, ...]:
        """What is fetched ahead of its use, next one first."""
        return tuple(self._ahead)

    @property
    def is_full(self) -> bool:
        """Whether fetching ahead has stopped for want of memory, not of work."""
        if not self._order or (self.lookahead is not None and len(self._ahead) >= self.lookahead):
            return False
        return len(self._ahead) < len(self._order)

    def start(self) -> list[Fetch]:
        """Begin to fetch ahead."""
        return self._pump()

    def need(self, piece: int) -> tuple[Ticket, list[Fetch]]:
        """A module is about to use `piece`. Its ticket, to wait for until it is READY or FAILED."""
        for count, ticket in enumerate(self._ahead):
            if ticket.piece == piece:
                for _ in range(count):
                    self._give_up(self._ahead.popleft())
                self._ahead.popleft()
                ticket.is_wanted = True
                self._held.add(ticket)
                return ticket, self._pump()
        self.misses += 1
        at = self._position_after(piece)
        if at is not None:
            # The order goes on from here, not from where fetching ahead had thought.
            self._clear_ahead()
            self._next = (at + 1) % len(self._order)
        ticket = Ticket(piece, is_wanted=True)
        self._waiting.append(ticket)
        return ticket, self._pump()

    def loaded(self, ticket: Ticket) -> list[Fetch]:
        """All reads of `ticket` have come."""
        if ticket.state is State.DOOMED:
            return self._free(ticket)
        ticket.state = State.READY
        return []

    def failed(self, ticket: Ticket, error: BaseException) -> list[Fetch]:
        """A read of `ticket` failed, and no other of its reads is under way."""
        if ticket.state is State.DOOMED:
            return self._free(ticket)
        ticket.state = State.FAILED
        ticket.error = error
        if ticket.is_wanted:
            return []
        # Nobody asked for it yet: whoever does so reads it again and sees the error then, if there still is
        # one.
        position = self._ahead.index(ticket)
        while len(self._ahead) > position:
            self._give_up(self._ahead.pop())
            self._next = (self._next - 1) % len(self._order)
        return []

    def use(self, ticket: Ticket) -> None:
        """Whoever needed `ticket` now computes with it."""
        ticket.state = State.IN_USE

    def release(self, ticket: Ticket) -> list[Fetch]:
        """Whoever needed `ticket` is done with it, or gives up waiting for it."""
        if ticket in self._held:
            self._held.discard(ticket)
            self._give_up(ticket)
        elif ticket in self._waiting:
            self._waiting.remove(ticket)
            ticket.state = State.GONE
        return self._pump()

    def set_order(self, order: Sequence[int]) -> list[Fetch]:
        """The next pass will use pieces in this order; what is fetched ahead and fits it is kept."""
        self._order = tuple(order)
        self._positions = _positions(self._order)
        kept = 0
        while (
            kept < len(self._ahead)
            and kept < len(self._order)
            and self._ahead[kept].piece == self._order[kept]
        ):
            kept += 1
        while len(self._ahead) > kept:
            self._give_up(self._ahead.pop())
        self._next = kept if kept < len(self._order) else 0
        return self._pump()

    def stop(self) -> None:
        """Fetch nothing ahead any more and give up what was. In-use tickets stay until they are released."""
        self._order = ()
        self._positions = {}
        self._clear_ahead()

    @property
    def is_quiet(self) -> bool:
        """Whether no read can be under way into the window, and nobody uses it."""
        return not (self._ahead or self._held or self._doomed or self._waiting)

    def check(self) -> None:
        """Raise AssertionError where an invariant is broken."""
        self.ring.check()
        live = [*self._ahead, *self._held, *self._doomed]
        assert len({id(ticket) for ticket in live}) == len(live), "a ticket is in two places"
        assert sorted(ticket.begin for ticket in live) == list(self.ring.begins), "memory and tickets differ"
        assert all(ticket.state in (State.LOADING, State.READY) for ticket in self._ahead), (
            "a bad ticket is ahead"
        )
        assert all(ticket.state is State.DOOMED for ticket in self._doomed), "a live ticket is doomed"
        assert all(ticket.state is State.WAITING for ticket in self._waiting), "a ticket waits with memory"
        held = (State.LOADING, State.READY, State.IN_USE, State.FAILED)
        assert all(ticket.state in held for ticket in self._held), "a ticket is held without memory"
        if self._order:
            expected = [
                (self._next - len(self._ahead) + i) % len(self._order) for i in range(len(self._ahead))
            ]
            assert [ticket.piece for ticket in self._ahead] == [self._order[i] for i in expected], (
                "out of order"
            )
            assert self.lookahead is None or len(self._ahead) <= self.lookahead, "too far ahead"

    def _pump(self) -> list[Fetch]:
        fetches: list[Fetch] = []
        while self._waiting:
            # What is needed now goes before what will be: newest first, so that the order stays a run.
            ticket = self._waiting[0]
            if not self._place(ticket):
                if not self._ahead:
                    return fetches
                self._give_up(self._ahead.pop())
                self._next = (self._next - 1) % len(self._order)
                continue
            self._waiting.popleft()
            self._held.add(ticket)
            fetches.append(Fetch(ticket, is_urgent=True))
        limit = len(self._order) if self.lookahead is None else min(self.lookahead, len(self._order))
        while len(self._ahead) < limit:
            ticket = Ticket(self._order[self._next])
            if not self._place(ticket):
                break
            self._ahead.append(ticket)
            self._next = (self._next + 1) % len(self._order)
            fetches.append(Fetch(ticket, is_urgent=False))
        return fetches

    def _place(self, ticket: Ticket) -> bool:
        print_of = self._footprints[ticket.piece]
        begin = self.ring.take(print_of.nbytes, print_of.alignment)
        if begin is None:
            return False
        ticket.begin = begin
        ticket.state = State.LOADING
        return True

    def _give_up(self, ticket: Ticket) -> None:
        if ticket.state is not State.IN_USE and ticket.state is not State.FAILED:
            self.wasted += 1
        if ticket.state is State.LOADING:
            ticket.state = State.DOOMED
            self._doomed.add(ticket)
        else:
            ticket.state = State.GONE
            self.ring.give_back(ticket.begin)

    def _free(self, ticket: Ticket) -> list[Fetch]:
        self._doomed.discard(ticket)
        ticket.state = State.GONE
        self.ring.give_back(ticket.begin)
        return self._pump()

    def _clear_ahead(self) -> None:
        while self._ahead:
            self._give_up(self._ahead.pop())

    def _position_after(self, piece: int) -> int | None:
        places = self._positions.get(piece)
        if not places:
            return None
        expected = (self._next - len(self._ahead)) % len(self._order)
        return next((at for at in places if at >= expected), places[0])


def _positions(order: tuple[int, ...]) -> dict[int, list[int]]:
    places: dict[int, list[int]] = {}
    for at, piece in enumerate(order):
        places.setdefault(piece, []).append(at)
    return places
