"""When segments are planned, tried and replayed: a pure state machine. Calls in; questions and modes out; no
clock, no tensors.

Calls between two ends of a step form a *cycle*. A cycle that was seen twice, in the same way, is worth a
plan. The plan's candidates are verified once beside eager execution, then run for a few cycles each, and
the fastest stays. Everything that changes how a segment runs is a decision: plain JSON with the number of
the call from which on it holds. Decisions in, the same modes out: whoever runs the same calls again with
the logged decisions runs the same programs.
"""

__all__ = ["Choose", "Cycle", "HotPath", "Mode", "Plan", "Question", "Seen", "call_key"]

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

WARM: Final = 1
"""Cycles of each candidate that are not measured: state moves to its new place."""
MEASURED: Final = 3
"""Cycles of each candidate that are."""
LONGEST: Final = 16
"""Calls of a cycle; longer ones stay eager."""
REMEMBERED: Final = 64
"""Cycles counted at once; the one seen longest ago is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One call as it was observed."""

    segment: int
    live: tuple[int, ...]
    dying: tuple[int, ...]
    """Inputs that the call frees, as indices."""
    inputs: tuple[int, ...]
    """Numbers of values."""
    outputs: tuple[int, ...]
    """Numbers of values."""
    key: str
    """What decides which program can run it: see `call_key`."""


def call_key(segment: int, live: tuple[int, ...], dying: tuple[int, ...]) -> str:
    """The key of a call: calls that one program can run have the same, also after a restart."""
    return f"{segment}:{_digest((live, dying))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """Calls that make one step together, and where their inputs come from."""

    calls: tuple[Seen, ...]
    sources: tuple[tuple[tuple[Any, ...], ...], ...]
    """For each input of each call: `("same", call, position)`, `("before", call, position)` for outputs, by
    their position among the live ones, of this cycle and the one before, `("kept",)` for a value older
    than that, `("new",)`."""

    @property
    def key(self) -> str:
        """Cycles that run alike have the same."""
        return _digest((tuple(call.key for call in self.calls), self.sources))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Question: what are the candidates for this cycle? Answered by `{"kind": "try", "plans": [...]}`."""

    cycle: Cycle


@dataclass(frozen=True, slots=True, kw_only=True)
class Choose:
    """Question: which candidate runs from now on? Answered by `{"kind": "use", "plan": index or None,
    "is_final": ..., "banned": [...]}`.
    """

    key: str
    """Of the cycle."""
    upcoming: int | None
    """The candidate whose turn it is; None once all had theirs: then the fastest of `seconds` is to be
    chosen."""
    seconds: tuple[tuple[float, ...], ...]
    """For each candidate, what its measured cycles took by this process's clock."""
    banned: frozenset[int]
    """Candidates that gave other results than eager execution."""


Question = Plan | Choose


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """How a call runs."""

    cycle: str | None = None
    """The cycle whose plan it follows; None: eagerly."""
    plan: int = 0
    """Which of its candidates."""
    position: int = 0
    """Which call of the cycle it is."""
    is_verification: bool = False
    """Eagerly, and every candidate beside it, to compare."""


EAGER: Final = Mode()


@dataclass(slots=True)
class _Trial:
    cycle: str
    parts: tuple[str, ...]
    """Keys of the cycle's calls."""
    count: int
    """Of candidates."""
    turn: int | None = None
    """The candidate that runs; None while they are verified."""
    is_over: bool = False
    seen: int = 0
    """Whole cycles since the turn began."""
    seconds: list[list[float]] = field(default_factory=list)
    banned: set[int] = field(default_factory=set)


class HotPath:
    """What is known of one client's calls."""

    def __init__(self) -> None:
        self.modes: dict[str, Mode] = {}
        """By the key of a call."""
        self.trials: dict[str, _Trial] = {}
        """By the key of a cycle: those for which there are candidates."""
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._open: list[Seen] = []
        self._sources: list[tuple[tuple[Any, ...], ...]] = []
        self._before: tuple[str, ...] = ()
        """Keys of the calls of the cycle before."""
        self._modes_run: list[Mode] = []
        self._seconds = 0.0
        self._origins: dict[int, tuple[int, int, int]] = {}
        """From a value to the cycle, call and position that made it."""
        self._arrived: dict[int, int] = {}
        """From a value that was sent to how many calls had run by then."""
        self._calls = 0
        self._first = 0
        """Calls that had run when the open cycle began."""
        self._number = 0
        self._questions: list[Question] = []

    # Events

    def arrive(self, value: int) -> None:
        """A value was sent."""
        self._arrived[value] = self._calls

    def is_fresh(self, value: int) -> bool:
        """Whether a value was sent after the last call: none has read it."""
        return self._arrived.get(value, -1) >= self._calls

    def forget(self, values: Sequence[int]) -> None:
        """Values are no more."""
        for value in values:
            self._origins.pop(value, None)
            self._arrived.pop(value, None)

    def begin(self, key: str) -> list[Question]:
        """A call of this key comes. Questions to be answered by `decide` before `mode` is asked."""
        if any(seen.key == key for seen in self._open) or len(self._open) > LONGEST:
            self._close()
        questions, self._questions = self._questions, []
        return questions

    def mode(self, key: str) -> Mode:
        """How a call of this key runs."""
        return self.modes.get(key, EAGER)

    def end(self, seen: Seen, mode: Mode, seconds: float, *, ends_step: bool) -> None:
        """The call has run so; to be told before the values that it frees are forgotten."""
        position = len(self._open)
        if not position:
            self._first = self._calls
        self._calls += 1
        self._sources.append(self._sources_of(position, seen))
        self._open.append(seen)
        self._modes_run.append(mode)
        self._seconds += seconds
        for at, value in enumerate(seen.outputs):
            self._origins[value] = (self._number, position, at)
        if ends_step:
            self._close()

    def found(self, cycle: str, plan: int) -> None:
        """A candidate gave other results than eager execution."""
        self.trials[cycle].banned.add(plan)

    def start_over(self) -> None:
        """What plans went by has changed: forget them all, and count anew."""
        self.modes.clear()
        self.trials.clear()
        self._counts.clear()
        self._questions.clear()

    def decide(self, decision: dict[str, Any]) -> None:
        """Take up a decision, made now or logged before."""
        if decision["kind"] == "try":
            self._try(decision)
            return
        trial = self.trials.get(decision["cycle"])
        if trial is None:
            return  # given up since
        trial.banned.update(decision.get("banned", ()))
        trial.turn, trial.is_over, trial.seen = decision["plan"], decision["is_final"], 0
        for position, part in enumerate(trial.parts):
            if trial.turn is None:
                self.modes.pop(part, None)
            else:
                self.modes[part] = Mode(cycle=trial.cycle, plan=trial.turn, position=position)

    def check(self) -> None:
        """Raise AssertionError where the state contradicts itself."""
        for part, mode in self.modes.items():
            assert mode.cycle in self.trials, (part, mode)
            trial = self.trials[mode.cycle]
            assert trial.parts[mode.position] == part or mode.is_verification
            assert mode.plan < max(1, trial.count)
        assert len(self._counts) <= REMEMBERED
        assert len(self._modes_run) == len(self._open)

    # Cycles

    def _try(self, decision: dict[str, Any]) -> None:
        plans = decision["plans"]
        trial = _Trial(decision["cycle"], tuple(decision["parts"]), len(plans))
        trial.seconds = [[] for _ in plans]
        self.trials[trial.cycle] = trial
        if not plans:
            trial.is_over = True
            return
        for position, part in enumerate(trial.parts):
            self.modes[part] = Mode(cycle=trial.cycle, position=position, is_verification=True)

    def _close(self) -> None:
        """A cycle is over: count it, and see what there is to ask."""
        calls, self._open = tuple(self._open), []
        sources, self._sources = tuple(self._sources), []
        modes, self._modes_run = self._modes_run, []
        seconds, self._seconds = self._seconds, 0.0
        self._number += 1
        keys = tuple(call.key for call in calls)
        if keys != self._before:
            # Another cycle made these: nothing is known of what this one starts from.
            sources = tuple(
                tuple(("kept",) if source[0] == "before" else source for source in own) for own in sources
            )
        self._before = keys
        if calls and len(calls) <= LONGEST:
            self._count(Cycle(calls=calls, sources=sources), modes, seconds)

    def _sources_of(self, position: int, call: Seen) -> tuple[tuple[Any, ...], ...]:
        found: list[tuple[Any, ...]] = []
        for value in call.inputs:
            origin = self._origins.get(value)
            if origin is None:
                is_new = self._arrived.get(value, -1) >= self._first
                found.append(("new",) if is_new else ("kept",))
            elif origin[0] == self._number and origin[1] < position:
                found.append(("same", *origin[1:]))
            elif origin[0] == self._number - 1:
                found.append(("before", *origin[1:]))
            else:
                found.append(("kept",))
        return tuple(found)

    def _count(self, cycle: Cycle, modes: list[Mode], seconds: float) -> None:
        key = cycle.key
        trial = self.trials.get(key)
        if trial is not None:
            if not trial.is_over and all(mode.cycle == key for mode in modes):
                self._advance(trial, modes, seconds)
            return
        count = self._counts[key] = self._counts.pop(key, 0) + 1
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
        open_parts = self._without_plan(cycle) if count >= 2 else None
        if open_parts is not None:
            self._questions.append(Plan(cycle=open_parts))

    def _without_plan(self, cycle: Cycle) -> Cycle | None:
        """The calls of a cycle that belong to no other that has a plan; None where there are none."""
        taken = {part for trial in self.trials.values() for part in trial.parts}
        kept = [position for position, call in enumerate(cycle.calls) if call.key not in taken]
        if not kept:
            return None
        if len(kept) == len(cycle.calls):
            return cycle
        renumbered = {position: number for number, position in enumerate(kept)}
        sources = []
        for position in kept:
            own: list[tuple[Any, ...]] = []
            for source in cycle.sources[position]:
                if source[0] in ("same", "before"):
                    at = renumbered.get(source[1])
                    own.append(("kept",) if at is None else (source[0], at, source[2]))
                else:
                    own.append(source)
            sources.append(tuple(own))
        return Cycle(calls=tuple(cycle.calls[position] for position in kept), sources=tuple(sources))

    def _advance(self, trial: _Trial, modes: list[Mode], seconds: float) -> None:
        if trial.turn is None:
            if not all(mode.is_verification for mode in modes):
                return
        elif any(mode.plan != trial.turn for mode in modes):
            return
        else:
            trial.seen += 1
            if trial.seen > WARM:
                trial.seconds[trial.turn].append(seconds)
            if trial.seen < WARM + MEASURED:
                return
        after = -1 if trial.turn is None else trial.turn
        upcoming = next((plan for plan in range(after + 1, trial.count) if plan not in trial.banned), None)
        self._questions = [one for one in self._questions if getattr(one, "key", None) != trial.cycle]
        self._questions.append(
            Choose(
                key=trial.cycle,
                upcoming=upcoming,
                seconds=tuple(tuple(one) for one in trial.seconds),
                banned=frozenset(trial.banned),
            )
        )


def _digest(thing: Any) -> str:
    return hashlib.sha256(repr(thing).encode()).hexdigest()[:16]
