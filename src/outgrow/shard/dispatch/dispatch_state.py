"""Which message the ranks get next: a state machine without sockets or a clock.

Clients' messages come in, one order of all of them goes out, the same to every rank. Each session has a
queue; a message leaves it when it is the session's turn and the ranks have little enough before them. What a
session may have on its way is bounded: beyond, it is *paused* until half of that is done. See
docs/explanation/shard-dispatch.md.
"""

__all__ = [
    "Deliver",
    "DispatchState",
    "Entry",
    "Forward",
    "Instruction",
    "Limits",
    "Pause",
    "Release",
    "Resume",
]

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from outgrow.shard.wire.frame import FrameKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is let through. Costs are in instructions, one for each message besides."""

    session_messages: int = 512
    """Of one session, queued or under way, before it is paused."""
    session_bytes: int = 256 << 20
    """Contents of one session, queued or under way, before it is paused."""
    session_requests: int = 16
    """Unanswered questions of one session, before it is paused."""
    undelivered_bytes: int = 64 << 20
    """Answers that a client has not taken, above which its next question waits."""
    window_messages: int = 64
    """Forwarded and not done by every rank."""
    window_bytes: int = 256 << 20
    """Contents forwarded and not taken by every rank; one message may be larger."""
    window_cost: int = 200_000
    """Instructions forwarded and not done by every rank; one message may cost more."""
    quantum: int = 2_000
    """What a session may send in one turn, in instructions."""


@dataclass(slots=True)
class Entry:
    """One message on its way."""

    session: int
    kind: FrameKind
    payload: Any
    files: tuple[int, ...] = ()
    """Descriptors that belong to the entry; whoever lets it go closes them."""
    nbytes: int = 0
    """What it holds in memory."""
    cost: int = 1
    """Instructions."""
    request: int | None = None
    """The number of the question that it is."""
    sequence: int = 0
    """Its place in the order, once it is forwarded."""
    topic: str | None = None
    """Of a question."""
    details: dict[str, Any] = field(default_factory=dict)
    """Of a question; of a definition what the log says of it."""
    segment: int | None = None
    """Of a call or a definition."""
    call: int | None = None
    """The client's own number of a call."""
    received: float = 0.0
    """When it came, of `time.monotonic`; the state machine does not look at it."""
    forwarded: float = 0.0
    """When it went to the ranks, likewise."""
    answers: dict[int, Any] = field(default_factory=dict)
    """By rank, for questions that every rank answers."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Give the message to every rank."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give the client what the ranks answered."""

    session: int
    entry: Entry
    """The question, with its `answers`."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Read nothing more from the client."""

    session: int


@dataclass(frozen=True, slots=True)
class Resume:
    """Read from the client again."""

    session: int


@dataclass(frozen=True, slots=True)
class Release:
    """Every rank has done the message: its files can be closed."""

    entry: Entry


Instruction = Forward | Deliver | Pause | Resume | Release


@dataclass(slots=True)
class SessionState:
    """What one client has on its way."""

    number: int
    queue: deque[Entry] = field(default_factory=deque)
    messages: int = 0
    """Queued or under way."""
    nbytes: int = 0
    """Of these."""
    requests: int = 0
    """Unanswered."""
    undelivered_bytes: int = 0
    credit: int = 0
    """What it may still send in this turn, in instructions."""
    has_turn: bool = False
    """Whether it is among those that take turns."""
    is_paused: bool = False
    is_closing: bool = False
    """Its client is gone: its last message is a CLOSE."""


class DispatchState:
    """Events in, instructions out. Each method gives what is to be done, in order."""

    def __init__(self, world_size: int, limits: Limits | None = None) -> None:
        self.world_size = world_size
        self.limits = limits or Limits()
        self.sessions: dict[int, SessionState] = {}
        self.under_way: deque[Entry] = deque()
        """Forwarded and not done by every rank, in order."""
        self.done = [0] * world_size
        """By rank: the sequence up to which everything is done."""
        self.sequence = 0
        """Of the last message forwarded."""
        self.forwards = False
        """Whether the ranks take messages."""
        self.window_bytes = 0
        self.window_cost = 0
        self._turns: deque[int] = deque()
        """Sessions with something queued; the first one's turn it is."""
        self._numbers = 0
        self._requests: dict[int, Entry] = {}

    # Sessions

    def open_session(self) -> tuple[int, list[Instruction]]:
        """A client has come; gives its number."""
        self._numbers += 1
        number = self._numbers
        self.sessions[number] = SessionState(number)
        return number, self._add(Entry(number, FrameKind.OPEN, b""))

    def received(self, entry: Entry) -> list[Instruction]:
        """A client sent a message."""
        session = self.sessions[entry.session]
        if session.is_closing:
            return [Release(entry)]
        return self._add(entry)

    def close_session(self, number: int) -> list[Instruction]:
        """A client is gone, in peace or not: what it sent last and no rank has seen is dropped, its values
        are freed."""
        session = self.sessions[number]
        if session.is_closing:
            return []
        session.is_closing = True
        made: list[Instruction] = []
        kept: deque[Entry] = deque()
        for entry in session.queue:
            if entry.kind is FrameKind.OPEN:
                kept.append(entry)
                continue
            self._forget(session, entry)
            made.append(Release(entry))
        session.queue = kept
        return made + self._add(Entry(number, FrameKind.CLOSE, b""))

    def delivered(self, number: int, nbytes: int) -> list[Instruction]:
        """The client has taken so many bytes of its answers."""
        session = self.sessions.get(number)
        if session is None:
            return []
        session.undelivered_bytes = max(0, session.undelivered_bytes - nbytes)
        return self._forward() + self._resume(session)

    # Ranks

    def ranks_ready(self) -> list[Instruction]:
        """Every rank takes messages."""
        self.forwards = True
        return self._forward()

    def ranks_lost(self) -> None:
        """No rank takes messages any more, until `ranks_ready`: those under way must then be given to them
        again, and questions without an answer are answered anew by all."""
        self.forwards = False
        for entry in self._requests.values():
            entry.answers.clear()

    def did(self, rank: int, sequence: int) -> list[Instruction]:
        """A rank has done everything up to `sequence`."""
        if sequence <= self.done[rank]:
            return []
        self.done[rank] = min(sequence, self.sequence)
        everywhere = min(self.done)
        made: list[Instruction] = []
        touched: dict[int, SessionState] = {}
        while self.under_way and self.under_way[0].sequence <= everywhere:
            entry = self.under_way.popleft()
            self.window_bytes -= entry.nbytes
            self.window_cost -= entry.cost
            made.append(Release(entry))
            session = self.sessions[entry.session]  # it goes with its last message, the CLOSE
            session.messages -= 1
            session.nbytes -= entry.nbytes
            if entry.kind is FrameKind.CLOSE:
                del self.sessions[entry.session]
            else:
                touched[session.number] = session
        made += self._forward()
        for session in touched.values():
            made += self._resume(session)
        return made

    def answered(self, rank: int, sequence: int, answer: Any, nbytes: int) -> list[Instruction]:
        """A rank answered the message `sequence`: rank 0 for a fetch, each rank for a question. Rank 0's is
        delivered."""
        entry = self._requests.get(sequence)
        if entry is None:
            return []
        entry.answers[rank] = answer
        if entry.kind is FrameKind.ASK and len(entry.answers) < self.world_size:
            return []
        del self._requests[sequence]
        session = self.sessions.get(entry.session)
        if session is None or session.is_closing:
            return []
        session.requests -= 1
        session.undelivered_bytes += nbytes
        return [Deliver(session.number, entry), *self._resume(session)]

    def is_waiting(self, sequence: int) -> bool:
        """Whether this message is a question without an answer."""
        return sequence in self._requests

    # Inside

    def _add(self, entry: Entry) -> list[Instruction]:
        session = self.sessions[entry.session]
        session.queue.append(entry)
        session.messages += 1
        session.nbytes += entry.nbytes
        session.requests += entry.request is not None
        if not session.has_turn:
            session.has_turn = True
            self._turns.append(session.number)
        made = self._forward()
        if not session.is_paused and not session.is_closing and self._is_over(session):
            session.is_paused = True
            made.append(Pause(session.number))
        return made

    def _forget(self, session: SessionState, entry: Entry) -> None:
        session.messages -= 1
        session.nbytes -= entry.nbytes
        session.requests -= entry.request is not None

    def _is_over(self, session: SessionState, share: float = 1.0) -> bool:
        limits = self.limits
        return (
            session.messages >= limits.session_messages * share
            or session.nbytes >= limits.session_bytes * share
            or session.requests >= limits.session_requests * share
        )

    def _resume(self, session: SessionState) -> list[Instruction]:
        if not session.is_paused or session.is_closing or self._is_over(session, 0.5):
            return []
        session.is_paused = False
        return [Resume(session.number)]

    def _forward(self) -> list[Instruction]:
        """Deficit round robin: each session in turn sends what its credit covers, while the window has
        room."""
        made: list[Instruction] = []
        waiting = 0
        while self.forwards and self._turns and waiting < len(self._turns) and self._has_room():
            session = self.sessions[self._turns[0]]
            entry = session.queue[0]
            if self._is_held(session):
                waiting += 1
                self._turns.rotate(-1)
                continue
            waiting = 0  # also where only a debt became less: it has to be paid off while others wait
            if session.credit <= 0:
                session.credit += self.limits.quantum
                if session.credit <= 0:
                    self._turns.rotate(-1)
                    continue
            session.credit -= entry.cost
            session.queue.popleft()
            self.sequence += 1
            entry.sequence = self.sequence
            self.under_way.append(entry)
            self.window_bytes += entry.nbytes
            self.window_cost += entry.cost
            if entry.request is not None:
                self._requests[entry.sequence] = entry
            made.append(Forward(entry))
            if session.credit <= 0 or not session.queue:
                self._turns.popleft()
                if session.queue:
                    self._turns.append(session.number)
                else:
                    session.has_turn, session.credit = False, 0
        return made

    def _is_held(self, session: SessionState) -> bool:
        """Whether its next message is a question, and its client has not taken the answers before."""
        is_question = session.queue[0].request is not None
        return is_question and session.undelivered_bytes > self.limits.undelivered_bytes

    def _has_room(self) -> bool:
        limits = self.limits
        return (
            len(self.under_way) < limits.window_messages
            and self.window_bytes < limits.window_bytes
            and self.window_cost < limits.window_cost
        )

    def check(self) -> None:
        """What always holds; for tests."""
        sequences = [entry.sequence for entry in self.under_way]
        assert sequences == list(range(self.sequence - len(sequences) + 1, self.sequence + 1))
        assert all(0 <= done <= self.sequence for done in self.done)
        assert self.window_bytes == sum(entry.nbytes for entry in self.under_way)
        assert self.window_cost == sum(entry.cost for entry in self.under_way)
        assert len(set(self._turns)) == len(self._turns)
        assert all(entry.sequence == sequence for sequence, entry in self._requests.items())
        questions = [entry for entry in self._requests.values() if entry.request is not None]
        assert len(questions) == len(self._requests)
        for session in self.sessions.values():
            own = [entry for entry in self.under_way if entry.session == session.number]
            assert session.messages == len(own) + len(session.queue)
            assert session.nbytes == sum(entry.nbytes for entry in (*own, *session.queue))
            assert session.undelivered_bytes >= 0
            asked = [entry for entry in questions if entry.session == session.number]
            asked += [entry for entry in session.queue if entry.request is not None]
            assert session.is_closing or session.requests == len(asked)
            assert session.has_turn == bool(session.queue) == (session.number in self._turns)
            assert session.credit <= self.limits.quantum if session.has_turn else session.credit == 0
            # Nobody waits for another session: while there is room, only for its own client to take answers.
            assert not self.forwards or not session.queue or not self._has_room() or self._is_held(session)
