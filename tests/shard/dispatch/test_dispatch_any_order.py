"""Any events in any order, against what always holds."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from outgrow.shard.dispatch.dispatch_state import (
    Deliver,
    DispatchState,
    Entry,
    Forward,
    Limits,
    Pause,
    Release,
    Resume,
)
from outgrow.shard.wire.frame import FrameKind

_SMALL = Limits(
    session_messages=8, session_bytes=100, session_requests=3, undelivered_bytes=50, window_messages=4,
    window_bytes=60, window_cost=20, quantum=5,
)  # fmt: skip

MESSAGES = st.tuples(
    st.sampled_from([FrameKind.CALL, FrameKind.CALL, FrameKind.FETCH, FrameKind.ASK]),
    st.integers(1, 30),
    st.integers(0, 70),
)
"""Kind, cost in instructions, bytes."""


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: nothing is lost, doubled or overtakes within a session."""

    def __init__(self):
        super().__init__()
        self.state = DispatchState(2, _SMALL)
        self.sent = {}
        self.forwarded = {}
        self.paused = set()
        self.released, self.answered = [], []
        """Which, by `id`: all of them are in `sent` or `forwarded`, and so stay."""
        self.open = []
        self.numbers = 0

    def _take(self, instructions):
        for one in instructions:
            match one:
                case Forward(entry):
                    assert self.state.forwards
                    self.forwarded.setdefault(entry.session, []).append(entry)
                case Pause(session):
                    assert session not in self.paused
                    self.paused.add(session)
                case Resume(session):
                    self.paused.remove(session)
                case Release(entry):
                    self.released.append(id(entry))
                case Deliver(session, entry):
                    assert entry.session == session
                    assert session in self.open
                    self.answered.append(id(entry))

    @rule()
    def open_one(self):
        number, made = self.state.open_session()
        self.open.append(number)
        self.sent[number] = []
        self._take(made)

    @initialize(count=st.integers(1, 3), is_ready=st.booleans())
    def begin(self, count, is_ready):
        if is_ready:
            self.ready()
        for _ in range(count):
            self.open_one()

    @precondition(lambda self: set(self.open) - self.paused)
    @rule(data=st.data(), messages=st.lists(MESSAGES, min_size=1, max_size=4))
    def send(self, data, messages):
        session = data.draw(st.sampled_from(sorted(set(self.open) - self.paused)))
        for kind, cost, nbytes in messages:
            if session in self.paused:
                return
            self.numbers += 1
            request = None if kind is FrameKind.CALL else self.numbers
            entry = Entry(session, kind, b"", nbytes=nbytes, cost=cost, request=request)
            self.sent[session].append(entry)
            self._take(self.state.received(entry))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def close_one(self, data):
        session = data.draw(st.sampled_from(self.open))
        self.open.remove(session)
        self.paused.discard(session)
        self._take(self.state.close_session(session))

    @rule()
    def ready(self):
        self._take(self.state.ranks_ready())

    @rule()
    def lost(self):
        self.state.ranks_lost()

    @rule(rank=st.integers(0, 1), share=st.floats(0, 1))
    def did(self, rank, share):
        done = self.state.done[rank]
        upto = done + round((self.state.sequence - done) * share)
        for entry in list(self.state.under_way):
            if done < entry.sequence <= upto and entry.request is not None:
                self._take(self.state.answered(rank, entry.sequence, "x", 30))
        self._take(self.state.did(rank, upto))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def taken(self, data):
        session = data.draw(st.sampled_from(self.open))
        self._take(self.state.delivered(session, 30))

    @invariant()
    def is_sound(self):
        self.state.check()
        for session, entries in self.forwarded.items():
            calls = [entry for entry in entries if entry.kind not in (FrameKind.OPEN, FrameKind.CLOSE)]
            assert calls == self.sent[session][: len(calls)]
            kinds = [entry.kind for entry in entries]
            assert kinds[0] is FrameKind.OPEN
            assert FrameKind.CLOSE not in kinds[:-1]

    def teardown(self):
        self.ready()
        for _ in range(3000):
            if not self.state.under_way:
                break
            for rank in (0, 1):
                self.did(rank, 1.0)
            for session in self.open:
                self._take(self.state.delivered(session, 1000))
        assert not self.paused
        for session in self.open:
            assert len(self.forwarded[session]) == 1 + len(self.sent[session])
            questions = {id(entry) for entry in self.sent[session] if entry.request is not None}
            assert questions <= set(self.answered)
        assert len(set(self.answered)) == len(self.answered)
        every = [id(entry) for entries in self.sent.values() for entry in entries]
        assert len(set(self.released)) == len(self.released)
        assert set(every) <= set(self.released)  # besides the first and last message of each


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
