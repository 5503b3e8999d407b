from collections import deque

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


def test_sessions_are_numbered_from_one_and_open_with_an_empty_message():
    state = _ready()
    opened = [state.open_session() for _ in range(3)]
    assert [number for number, _ in opened] == [1, 2, 3]
    entries = [entry for _, made in opened for entry in _forwarded(made)]
    assert entries == [
        Entry(number, FrameKind.OPEN, b"", sequence=number) for number in (1, 2, 3)
    ]  # the order is that of coming
    state.close_session(2)
    assert state.under_way[-1] == Entry(2, FrameKind.CLOSE, b"", sequence=4)


def test_what_comes_from_a_client_that_is_gone_is_let_go():
    state = _ready()
    session = _open(state)
    state.close_session(session)
    late = _call(session)
    assert state.received(late) == [Release(late)]
    assert state.close_session(session) == []
    assert [entry.kind for entry in state.under_way] == [FrameKind.CLOSE]
    state.check()


def test_a_client_that_is_gone_is_neither_paused_nor_resumed_nor_answered():
    state = _ready()
    session = _open(state)
    asked = [_fetch(session, number) for number in (1, 2, 3)]
    assert [Pause(session)] == [one for entry in asked for one in state.received(entry) if type(one) is Pause]
    assert Resume(session) not in state.close_session(session)
    assert state.answered(0, asked[0].sequence, "late", 1) == []
    assert not state.is_waiting(asked[0].sequence)
    made = state.did(0, asked[2].sequence)
    assert made == [Release(entry) for entry in asked]
    crowd = state.open_session()[0]
    state.close_session(crowd)
    assert Pause(crowd) not in state.did(0, state.sequence)


def test_an_answer_for_a_session_that_is_no_more_is_dropped():
    state = _ready()
    session = _open(state)
    entry = _fetch(session)
    state.received(entry)
    state.close_session(session)
    state.did(0, state.sequence)
    assert state.sessions == {}
    assert state.is_waiting(entry.sequence)
    assert state.answered(0, entry.sequence, "late", 1) == []
    assert not state.is_waiting(entry.sequence)
    assert state.delivered(session, 1) == []


def test_unanswered_questions_pause_and_answers_resume_at_half():
    state = _ready()
    session = _open(state)
    asked = [_fetch(session, number) for number in (1, 2, 3)]
    made = [state.received(entry) for entry in asked]
    assert [Pause(session) in each for each in made] == [False, False, True]
    made = [state.answered(0, entry.sequence, "x", 1) for entry in asked]
    assert [Resume(session) in each for each in made] == [False, True, False]  # at one of three
    state.check()


def test_bytes_pause_at_the_limit_and_resume_below_half():
    state = _ready()
    session = _open(state)
    made = [state.received(_call(session, nbytes=nbytes)) for nbytes in (30, 20, 49, 1)]
    assert [Pause(session) in each for each in made] == [False, False, False, True]
    first = state.sequence - 2
    assert Resume(session) not in state.did(0, first)  # 70 left
    assert Resume(session) not in state.did(0, first + 1)  # 50, which is half
    assert Resume(session) in state.did(0, first + 2)
    state.check()


def test_what_was_dropped_counts_no_more():
    """A closed session's queue goes with everything that was counted of it."""
    state = _ready(limits=Limits(window_messages=3))
    session = state.open_session()[0]
    for nbytes in (3, 4, 8, 16, 32):
        state.received(_call(session, nbytes=nbytes))
    for number in (1, 2):
        state.received(_fetch(session, number))
    state.close_session(session)
    kept = state.sessions[session]
    assert (kept.messages, kept.nbytes, kept.requests) == (4, 7, 0)  # three under way, and the close


def test_a_client_may_take_more_than_was_counted():
    """A dropped answer is counted by nobody; what is left never falls below nothing."""
    state = _ready(limits=Limits(undelivered_bytes=0))
    session = _open(state)
    state.received(_fetch(session))
    state.answered(0, state.sequence, "x", 5)
    assert _forwarded(state.received(_fetch(session, 2))) == []
    assert _forwarded(state.delivered(session, 4)) == []
    assert len(_forwarded(state.delivered(session, 4))) == 1  # nothing is left: exactly the limit
    assert state.sessions[session].undelivered_bytes == 0


def test_answers_that_a_client_has_not_taken_add_up():
    state = _ready()
    session = _open(state)
    for number in (1, 2):
        state.received(_fetch(session, number))
        state.answered(0, state.sequence, "x", 30)
    state.did(0, state.sequence)
    assert _forwarded(state.received(_fetch(session, 3))) == []  # 60 of 50
    assert len(_forwarded(state.delivered(session, 10))) == 1


def test_a_question_of_one_rank_is_answered_by_it_alone():
    state = _ready(2)
    session = _open(state)
    entry = _fetch(session)
    state.received(entry)
    assert state.is_waiting(entry.sequence)
    assert not state.is_waiting(entry.sequence - 1)
    assert state.answered(0, entry.sequence, "a", 1) == [Deliver(session, entry)]
    assert not state.is_waiting(entry.sequence)


def test_after_a_loss_nothing_goes_out_and_every_rank_is_asked_anew():
    state = _ready(2)
    session = _open(state)
    entry = Entry(session, FrameKind.ASK, b"", request=1)
    state.received(entry)
    state.answered(0, entry.sequence, "of the lost", 1)
    state.ranks_lost()
    assert _forwarded(state.received(_call(session))) == []
    assert state.under_way == deque([entry])
    assert state.is_waiting(entry.sequence)
    assert len(_forwarded(state.ranks_ready())) == 1
    assert state.answered(1, entry.sequence, "b", 1) == []  # the answer before the loss does not count
    assert state.answered(0, entry.sequence, "a", 1) == [Deliver(session, entry)]
    assert entry.answers == {0: "a", 1: "b"}


def test_a_message_is_let_go_when_the_last_rank_has_done_it():
    state = DispatchState(2, _SMALL)
    state.ranks_ready()
    assert state.done == [0, 0]
    session, made = state.open_session()
    entries = [*_forwarded(made), _call(session), _call(session)]
    for entry in entries[1:]:
        state.received(entry)
    assert state.did(0, 3) == []
    assert state.did(1, 2) == [Release(entry) for entry in entries[:2]]
    assert state.did(1, 2) == []
    assert state.did(1, 99) == [Release(entries[2])]  # a rank of another incarnation may claim more
    assert state.done == [3, 3]
    state.check()


def test_the_close_of_one_session_does_not_keep_back_what_others_have_done():
    state = _ready()
    one, two = _open(state), _open(state)
    state.close_session(one)
    last = _call(two)
    state.received(last)
    made = state.did(0, state.sequence)
    assert [each.entry.session for each in made if isinstance(each, Release)] == [one, two]
    assert set(state.sessions) == {two}
    assert state.sessions[two].messages == 0
