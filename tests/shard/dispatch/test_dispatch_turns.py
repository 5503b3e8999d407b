"""In which order the messages of several sessions go to the ranks."""

from outgrow.shard.dispatch.dispatch_state import DispatchState, Entry, Forward, Limits
from outgrow.shard.wire.frame import FrameKind

_WIDE = Limits(window_messages=1000, window_cost=10_000, quantum=10)


def _sessions(count, limits):
    """A state whose ranks take nothing yet, and so many sessions in it."""
    state = DispatchState(1, limits)
    return state, [state.open_session()[0] for _ in range(count)]


def _send(state, session, *costs):
    for cost in costs:
        state.received(Entry(session, FrameKind.CALL, b"", cost=cost))


def _ask(state, session, request):
    return state.received(Entry(session, FrameKind.FETCH, b"", request=request))


def _forwarded(made):
    return [one.entry for one in made if isinstance(one, Forward)]


def _order(state):
    """Sessions and costs of what goes out now that the ranks are ready; all of it is done at once."""
    order = []
    made = state.ranks_ready()
    while made:
        state.check()
        order += [(entry.session, entry.cost) for entry in _forwarded(made)]
        made = state.did(0, state.sequence)
    return order


def test_each_session_sends_its_quantum_in_the_order_of_coming():
    """The last message of a turn may overdraw; the debt comes out of the next turn."""
    state, (one, two, three) = _sessions(3, _WIDE)
    _send(state, one, 6, 6, 6)  # with OPEN: 1 + 6 + 6 = 13 of 10; then 7 are left for the next turn
    _send(state, two, 9, 1, 1)  # 1 + 9 is the whole of it
    _send(state, three, 2)
    assert _order(state) == [
        *((one, 1), (one, 6), (one, 6)),
        *((two, 1), (two, 9)),
        *((three, 1), (three, 2)),
        (one, 6),
        *((two, 1), (two, 1)),
    ]


def test_a_debt_of_several_turns_is_paid_turn_by_turn():
    state, (one, two, three) = _sessions(3, _WIDE)
    _send(state, one, 30, 1)  # 21 below nothing: two turns pass, and the third has 9
    _send(state, two, 9, 10, 10, 10, 10)
    _send(state, three, 9, 10, 10, 10, 10)
    order = [session for session, _ in _order(state)]
    assert order == [one, one, two, two, three, three, two, three, two, three, one, two, three, two, three]


def test_a_debt_to_the_last_instruction_passes_one_more_turn():
    state, (one, two) = _sessions(2, _WIDE)
    _send(state, one, 19, 1)  # 10 below nothing: the next turn only brings it to nothing
    _send(state, two, 9, 10, 10)
    assert [session for session, _ in _order(state)] == [one, one, two, two, two, one, two]


def test_a_turn_goes_on_down_to_the_last_instruction_and_no_further():
    state, (one, two) = _sessions(2, _WIDE)
    _send(state, one, 8, 1, 10, 1)  # after OPEN and the first there is one left, and nothing after the second
    _send(state, two, 18, 1, 1)  # nine below nothing: the next turn brings it to one
    assert [session for session, _ in _order(state)] == [one, one, one, two, two, one, two, one, two]


def test_who_has_sent_everything_begins_anew():
    """Nothing is owed and nothing is saved by a session that had nothing more to send."""
    state, (one, two) = _sessions(2, _WIDE)
    _send(state, one, 100)
    _order(state)
    state.ranks_lost()
    _send(state, one, 5, 5, 1)
    _send(state, two, 5, 5, 1)
    assert [session for session, _ in _order(state)] == [one, one, two, two, one, two]


def test_a_question_that_waits_lets_all_the_others_pass_and_keeps_its_place():
    limits = Limits(undelivered_bytes=10, window_messages=1000, quantum=10)
    state, (slow, stuck, one, two) = _sessions(4, limits)
    state.ranks_ready()
    for session in (slow, stuck):
        _ask(state, session, 1)
        state.answered(0, state.sequence, "large", 11)
    state.did(0, state.sequence)
    state.ranks_lost()
    for session in (slow, stuck):
        assert _ask(state, session, 2) == []
    _send(state, one, 3, 7, 1)
    _send(state, two, 1)
    assert [session for session, _ in _order(state)] == [one, one, two, one]
    for session in (slow, stuck):
        assert [entry.session for entry in _forwarded(state.delivered(session, 1))] == [session]


def test_questions_that_waited_together_go_out_in_the_order_of_coming():
    limits = Limits(undelivered_bytes=10, quantum=10)
    state, sessions = _sessions(3, limits)
    state.ranks_ready()
    for session in sessions:
        _ask(state, session, 1)
        state.answered(0, state.sequence, "large", 11)
    for session in sessions:
        assert _ask(state, session, 2) == []
    state.ranks_lost()
    for session in sessions:
        state.delivered(session, 1)
    state.did(0, state.sequence)
    assert [session for session, _ in _order(state)] == sessions


def test_a_debt_is_paid_also_while_others_wait_for_their_clients():
    """A client that takes no answers must not stop one that has sent a long definition."""
    limits = Limits(undelivered_bytes=10, quantum=10)
    state, (slow, quick) = _sessions(2, limits)
    state.ranks_ready()
    _ask(state, slow, 1)
    state.answered(0, state.sequence, "large", 11)
    state.did(0, state.sequence)
    state.ranks_lost()
    _ask(state, slow, 2)
    _send(state, quick, 1000, 1)
    assert _order(state) == [(quick, 1000), (quick, 1)]


def test_the_window_is_full_at_its_bytes_and_at_its_cost():
    for field, entry in (("window_bytes", {"nbytes": 3}), ("window_cost", {"cost": 3})):
        state, (session,) = _sessions(1, Limits(**{field: 6 + (field == "window_cost")}))
        state.ranks_ready()
        made = [state.received(Entry(session, FrameKind.CALL, b"", **entry)) for _ in range(3)]
        assert [bool(each) for each in made] == [True, True, False]
        assert len(_forwarded(state.did(0, 2))) == 1
        state.check()


def test_one_message_may_be_larger_than_the_window_and_waits_for_nothing_else():
    state, (session,) = _sessions(1, Limits(window_bytes=6, window_cost=6))
    state.ranks_ready()
    state.did(0, 1)
    assert state.received(Entry(session, FrameKind.CALL, b"", nbytes=100, cost=100))
    assert state.received(Entry(session, FrameKind.CALL, b"")) == []
    assert len(state.did(0, 2)) == 2
