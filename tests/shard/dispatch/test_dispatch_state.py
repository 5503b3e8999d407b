from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

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


def _call(session, cost=1, nbytes=1):
    return Entry(session, FrameKind.CALL, b"", nbytes=nbytes, cost=cost)


def _fetch(session, request=1):
    return Entry(session, FrameKind.FETCH, b"", request=request)


def _forwarded(instructions):
    return [one.entry for one in instructions if isinstance(one, Forward)]


def _ready(world_size=1, limits=_SMALL):
    state = DispatchState(world_size, limits)
    state.ranks_ready()
    return state


def _open(state):
    number, _ = state.open_session()
    for rank in range(state.world_size):
        state.did(rank, state.sequence)
    return number


def test_nothing_goes_to_ranks_that_are_not_ready():
    state = DispatchState(1)
    number, made = state.open_session()
    assert _forwarded(made + state.received(_call(number))) == []
    assert [entry.kind for entry in _forwarded(state.ranks_ready())] == [FrameKind.OPEN, FrameKind.CALL]
    state.check()


def test_a_session_is_paused_when_it_has_too_much_under_way_and_resumed_at_half():
    state = _ready()
    session = _open(state)
    made = []
    for _ in range(8):
        made += state.received(_call(session))
    assert made.count(Pause(session)) == 1
    assert len(state.under_way) == 4
    resumed = []
    for sequence in range(2, 8):
        resumed.append(Resume(session) in state.did(0, sequence))
        state.check()
    assert resumed.index(True) == 4  # 8 of 8, then 3 left
    assert sum(resumed) == 1


def test_bytes_pause_too_and_one_large_message_passes():
    state = _ready()
    session = _open(state)
    made = state.received(_call(session, nbytes=1000))
    assert _forwarded(made)
    assert Pause(session) in made
    assert _forwarded(state.received(_call(session))) == []
    made = state.did(0, 2)
    assert Resume(session) in made
    assert len(_forwarded(made)) == 1


def test_sessions_take_turns_however_much_one_sends():
    state = _ready()
    greedy, modest = _open(state), _open(state)
    for _ in range(8):
        state.received(_call(greedy, cost=5))
    state.received(_call(modest))
    order = []
    while state.under_way:
        order += [entry.session for entry in _forwarded(state.did(0, state.under_way[0].sequence))]
    assert modest in order[:2]


def test_turns_are_measured_in_instructions():
    state = _ready(limits=Limits(window_messages=1, quantum=10))
    heavy, light = _open(state), _open(state)
    for _ in range(10):
        state.received(_call(heavy, cost=10))
    for _ in range(50):
        state.received(_call(light, cost=1))
    order = []
    while state.under_way:
        entry = state.under_way[0]
        order.append(entry.session)
        state.did(0, entry.sequence)
    first_half = order[: order.index(light) + 30]
    assert first_half.count(heavy) <= 5  # about one of it for ten of the other


def test_a_client_that_takes_no_answers_waits_and_the_others_do_not():
    state = _ready()
    slow, quick = _open(state), _open(state)
    state.received(_fetch(slow))
    (sent,) = state.under_way
    assert state.answered(0, sent.sequence, "large", 100) == [Deliver(slow, sent)]
    state.did(0, sent.sequence)
    assert _forwarded(state.received(_fetch(slow, 2))) == []
    assert len(_forwarded(state.received(_fetch(quick)))) == 1
    assert len(_forwarded(state.delivered(slow, 100))) == 1
    state.check()


def test_a_question_is_answered_when_every_rank_has_answered():
    state = _ready(2)
    session = _open(state)
    entry = Entry(session, FrameKind.ASK, b"", request=1)
    state.received(entry)
    assert state.answered(1, entry.sequence, "b", 1) == []
    assert state.answered(0, entry.sequence, "a", 1) == [Deliver(session, entry)]
    assert entry.answers == {0: "a", 1: "b"}
    assert state.answered(0, entry.sequence, "again", 1) == []


def test_a_client_that_goes_leaves_what_ranks_have_seen_and_nothing_else():
    state = _ready(limits=Limits(window_messages=1))
    session = _open(state)
    entries = [_call(session) for _ in range(3)]
    for entry in entries:
        state.received(entry)
    made = state.close_session(session)
    assert [one.entry for one in made if isinstance(one, Release)] == entries[1:]
    assert [entry.kind for entry in _forwarded(state.did(0, state.sequence))] == [FrameKind.CLOSE]
    state.did(0, state.sequence)
    assert state.sessions == {}
    assert state.under_way == deque()
    state.check()


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: nothing is lost, doubled or overtakes within a session."""

    def __init__(self):
        super().__init__()
        self.state = DispatchState(2, _SMALL)
        self.sent = {}
        self.forwarded = {}
        self.paused = set()
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

    @rule()
    def open_one(self):
        number, made = self.state.open_session()
        self.open.append(number)
        self.sent[number] = []
        self._take(made)

    @precondition(lambda self: set(self.open) - self.paused)
    @rule(
        data=st.data(), cost=st.integers(1, 12), nbytes=st.integers(0, 70), asks=st.sampled_from([0, 0, 1, 2])
    )
    def send(self, data, cost, nbytes, asks):
        session = data.draw(st.sampled_from(sorted(set(self.open) - self.paused)))
        self.numbers += 1
        kind = (FrameKind.CALL, FrameKind.FETCH, FrameKind.ASK)[asks]
        entry = Entry(session, kind, b"", nbytes=nbytes, cost=cost, request=self.numbers if asks else None)
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


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
