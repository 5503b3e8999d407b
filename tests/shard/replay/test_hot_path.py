import dataclasses
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from outgrow.shard.replay.decided import Decided, choice
from outgrow.shard.replay.hot_path import Choose, HotPath, Mode, Plan, Seen, call_key


class Loop:
    """Calls of a training loop: one input sent anew, one value of state that each call replaces."""

    def __init__(self) -> None:
        self.hot = HotPath()
        self.state = 1
        self.next = 100
        self.questions: list[Any] = []
        self.wrong: tuple[int, ...] = ()
        """Candidates that verification will find wrong."""

    def call(self, segment: int = 0, *, ends_step: bool = True, seconds: float = 1.0) -> Mode:
        sent, made = self.next, self.next + 1
        self.next += 2
        self.hot.arrive(sent)
        key = call_key(segment, (3,), (0, 1))
        self.questions = self.hot.begin(key)
        for question in self.questions:
            self.answer(question)
        mode = self.hot.mode(key)
        seen = Seen(
            segment=segment, live=(3,), dying=(0, 1), inputs=(sent, self.state), outputs=(made,), key=key
        )
        for plan in self.wrong if mode.is_verification else ():
            assert mode.cycle is not None
            self.hot.found(mode.cycle, plan)
        self.hot.end(seen, mode, seconds, ends_step=ends_step)
        self.hot.forget((sent, self.state))
        self.state = made
        self.hot.check()
        return mode

    def answer(self, question: Any, plans: int = 2) -> None:
        if isinstance(question, Plan):
            parts = [call.key for call in question.cycle.calls]
            cycle = question.cycle.key
            self.hot.decide({"kind": "try", "cycle": cycle, "parts": parts, "plans": [{}] * plans})
            return
        assert isinstance(question, Choose)
        fastest = None
        if question.upcoming is None:
            measured = [(sum(one), at) for at, one in enumerate(question.seconds) if one]
            fastest = min(measured)[1] if measured else None
        self.hot.decide(
            {
                "kind": "use",
                "cycle": question.key,
                "plan": fastest if question.upcoming is None else question.upcoming,
                "is_final": question.upcoming is None,
            }
        )


def test_a_step_seen_twice_in_the_same_way_is_planned():
    loop = Loop()
    modes = [loop.call() for _ in range(3)]
    assert modes == [Mode()] * 3
    loop.call()
    (question,) = loop.questions
    assert isinstance(question, Plan)
    assert question.cycle.sources == ((("new",), ("before", 0, 0)),)


def test_candidates_are_verified_then_measured_in_turns_and_the_fastest_stays():
    loop = Loop()
    speeds = {0: 3.0, 1: 2.0}
    modes = []
    for _ in range(16):
        upcoming = loop.hot.mode(call_key(0, (3,), (0, 1)))
        modes.append(loop.call(seconds=speeds.get(upcoming.plan, 9.0)))
    turns = ["eager" if m.cycle is None else "verify" if m.is_verification else m.plan for m in modes]
    assert turns == ["eager"] * 3 + ["verify"] + [0] * 4 + [1] * 4 + [1] * 4


def test_a_candidate_with_wrong_results_never_runs():
    loop = Loop()
    loop.wrong = (0,)
    for _ in range(4):
        loop.call()
    assert {loop.call().plan for _ in range(8)} == {1}


def test_a_candidate_with_wrong_results_never_runs_in_a_later_life_either():
    loop, decided = Loop(), Decided()
    loop.wrong = (1,)

    def answer(question: Any) -> None:
        if isinstance(question, Plan):
            parts = [call.key for call in question.cycle.calls]
            decision = {"kind": "try", "cycle": question.cycle.key, "parts": parts, "plans": [{}] * 3}
        else:
            decision = choice(question)
        decided.add(decision)
        loop.hot.decide(decision)

    loop.answer = answer  # type: ignore[method-assign]
    while loop.call().plan or not decided.in_force() or decided.in_force()[-1]["kind"] != "use":
        pass
    loop.hot = HotPath()
    for decision in json.loads(json.dumps(decided.in_force())):
        loop.hot.decide(decision)
    assert {loop.call().plan for _ in range(20)} == {0, 2}


def test_where_every_candidate_is_wrong_the_step_stays_eager():
    loop = Loop()
    loop.wrong = (0, 1)
    for _ in range(4):
        loop.call()
    assert {loop.call() for _ in range(5)} == {Mode()}
    assert not loop.questions


def test_calls_that_differ_each_time_stay_eager():
    loop = Loop()
    assert all(loop.call(segment) == Mode() and not loop.questions for segment in range(100))


def test_a_fetch_in_the_middle_of_a_step_makes_one_cycle_of_both_calls():
    loop = Loop()
    for _ in range(3):
        loop.call(0, ends_step=False)
        loop.call(1)
    loop.call(0, ends_step=False)
    (question,) = loop.questions
    assert [call.segment for call in question.cycle.calls] == [0, 1]
    assert question.cycle.sources[1] == (("new",), ("same", 0, 0))


def test_calls_without_an_end_of_step_are_cycles_of_their_own_once_they_come_back():
    loop = Loop()
    modes = [loop.call(ends_step=False) for _ in range(6)]
    assert modes[3].is_verification
    assert not modes[4].is_verification


def test_a_cycle_around_one_that_has_a_plan_is_planned_without_it():
    loop = Loop()
    for _ in range(20):
        loop.call()
    for _ in range(4):
        loop.call(7, ends_step=False)
        loop.call()
    assert {trial.parts for trial in loop.hot.trials.values()} == {
        (call_key(0, (3,), (0, 1)),),
        (call_key(7, (3,), (0, 1)),),
    }


def test_logged_decisions_give_the_same_modes():
    first = Loop()
    decided: list[dict[str, Any]] = []
    inner = first.hot.decide

    def noted(decision: dict[str, Any]) -> None:
        decided.append({**decision, "before": len(modes)})
        inner(decision)

    first.hot.decide = noted  # type: ignore[method-assign]
    modes: list[Mode] = []
    modes.extend(first.call() for _ in range(20))
    second = HotPath()
    key = call_key(0, (3,), (0, 1))
    again = []
    for number in range(20):
        for decision in decided:
            if decision["before"] == number:
                second.decide(decision)
        again.append(second.mode(key))
    assert again == modes


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=60))
def test_any_calls_leave_a_state_without_contradictions(calls):
    loop = Loop()
    for segment, ends_step in calls:
        loop.call(segment, ends_step=ends_step)


def test_seen_is_a_value():
    seen = Seen(segment=0, live=(), dying=(), inputs=(), outputs=(), key="0:x")
    assert dataclasses.replace(seen) == seen
