"""Runs one client's calls: eagerly, or by the program that was decided on."""

__all__ = ["Replayer"]

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from outgrow.placement import Partial, Placement, Replicate, parse_placement
from outgrow.shard.instructions import TensorMeta
from outgrow.shard.messages import Call
from outgrow.shard.planner import Costs
from outgrow.shard.planner.calibrate import calibrate, typical_costs
from outgrow.shard.ranks.cores import CoreShare
from outgrow.shard.ranks.eager import Eager, SegmentOps
from outgrow.shard.ranks.fabric import Fabric
from outgrow.shard.ranks.held import Failure, Held
from outgrow.shard.ranks.redistribute import redistribute
from outgrow.shard.replay.agreement import from_first_rank
from outgrow.shard.replay.candidates import Pins, make_candidates
from outgrow.shard.replay.decided import Decided, choice
from outgrow.shard.replay.hot_path import HotPath, Mode, Plan, Question, Seen, call_key
from outgrow.shard.replay.program import Program, compile_program
from outgrow.shard.replay.verification import Verifier
from outgrow.shard.rules import rows

SIGNATURES: Final = 1024
"""Keys of calls kept ready."""
PROGRAMS: Final = 64
"""Programs kept; of more the one used longest ago is made anew when it is wanted again."""


class Replayer:
    """All that happens between a call's inputs and its live values."""

    def __init__(
        self,
        fabric: Fabric,
        eager: Eager,
        *,
        costs: Callable[[], Costs] | None,
        on_decision: Callable[[dict[str, Any]], None],
        hold_as: Callable[[Held, Placement, list[Tensor | None]], None],
        decisions: Sequence[dict[str, Any]] = (),
        decided_until: int = -1,
        memory_bytes: int | None = None,
        is_replaying: bool = True,
    ) -> None:
        """`costs` is called on every rank at once and may talk. `hold_as` takes other pieces of a value, and
        counts them. `decided_until` is the last call whose
        decisions are all among `decisions`: none is made for it or any before. `is_replaying`: False keeps
        everything eager."""
        self.fabric, self.eager = fabric, eager
        self.memory_bytes = memory_bytes
        self.hot = HotPath()
        self.decided = Decided(decisions)
        self.kinds: tuple[str, ...] = ()
        """Kinds of plans that may be tried; none stands for all."""
        self.replays = 0
        """Calls that ran by a program."""
        self.ops_run = 0
        """Steps of these."""
        self._wanted: dict[TensorMeta, Placement] = {}
        """How the programs in use want what is sent for every step."""
        self._demanded: set[tuple[TensorMeta, Placement]] = set()
        self._costs, self._on_decision, self._hold_as = costs, on_decision, hold_as
        self._known_costs: Costs | None = None
        self._decided_until, self._is_replaying = decided_until, is_replaying
        self._segments: dict[int, SegmentOps] = {}
        self._programs: dict[tuple[str, str, int], Program] = {}
        self._keys: dict[tuple[Any, ...], str] = {}
        self._cores = CoreShare(fabric)
        self._verifier = Verifier(fabric, eager)

    def run(self, call: Call, ops: SegmentOps, given: Sequence[Held], pins: Callable[[], Pins]) -> list[Held]:
        """The live values of a call whose inputs are `given`."""
        if not self._is_replaying or not ops.segment.steps:
            self.hot.forget(call.freed)
            return self.eager.run(ops, given, call.floats, call.live, call.number)
        freed = set(call.freed)
        dying = tuple(index for index, value in enumerate(call.inputs) if value in freed)
        key = self._key((call.segment, call.live, dying))
        self._segments[call.segment] = ops
        questions = self.hot.begin(key)
        for decision in self.decided.due(call.number):
            self._take_up(decision)
        if call.number > self._decided_until:
            for question in questions:
                self._ask(question, call.number, pins)
        seen = Seen(
            segment=call.segment,
            live=call.live,
            dying=dying,
            inputs=call.inputs,
            outputs=call.outputs,
            key=key,
        )
        mode = self.hot.mode(key)
        began = time.perf_counter()
        if mode.cycle is None or any(held.failure is not None for held in given):
            self._cores.share()
            made = self.eager.run(ops, given, call.floats, call.live, call.number)
        elif mode.is_verification:
            self._cores.share()
            made = self._verify(call, seen, ops, given, mode)
        else:
            made = self._replay(call, seen, ops, given, mode)
            self.replays += 1
            self.ops_run += len(ops.segment.steps)
        self.hot.end(seen, mode, time.perf_counter() - began, ends_step=call.ends_step)
        self.hot.forget(call.freed)
        return made

    def _key(self, signature: tuple[int, tuple[int, ...], tuple[int, ...]]) -> str:
        found = self._keys.get(signature)
        if found is None:
            if len(self._keys) >= SIGNATURES:
                self._keys.clear()
            found = self._keys[signature] = call_key(*signature)
        return found

    def _verify(
        self, call: Call, seen: Seen, ops: SegmentOps, given: Sequence[Held], mode: Mode
    ) -> list[Held]:
        """Eager execution, with every candidate beside it on the same inputs: what it gives is eager
        execution's.
        """
        assert mode.cycle is not None
        expected = self.eager.run(ops, given, call.floats, call.live, call.number)
        if any(held.failure is not None for held in expected):
            return expected
        for plan in range(self.decided.count(mode.cycle)):
            candidate = Mode(cycle=mode.cycle, plan=plan, position=mode.position)
            copies = [Held(held.meta, held.placement, list(held.pieces)) for held in given]
            actual = self._replay(call, seen, ops, copies, candidate)
            why = self._verifier.disagreement(actual, expected, ops, given, call)
            if why is not None:
                self.hot.found(mode.cycle, plan)
                self.decided.ban(mode.cycle, plan, why)
        return expected

    # Decisions

    def _ask(self, question: Question, call: int, pins: Callable[[], Pins]) -> None:
        if isinstance(question, Plan):
            costs = self._measured_costs()
            segments = [self._segments[seen.segment].segment for seen in question.cycle.calls]
            decision = from_first_rank(
                self.fabric,
                lambda: make_candidates(
                    question.cycle, segments, costs, pins(), self.memory_bytes, self.kinds
                ),
            )
        else:
            decision = from_first_rank(self.fabric, lambda: choice(question))
        decision["call"] = call
        self._take_up(decision)
        self._on_decision(decision)

    def _measured_costs(self) -> Costs:
        """Every rank comes here at once."""
        if self._known_costs is None:
            if self._costs is not None:
                self._known_costs = self._costs()
            elif len(self.fabric.lanes) == 1:
                self._known_costs = calibrate(self.fabric)
            else:
                self._known_costs = typical_costs(self.fabric.world_size)
        return self._known_costs

    def _take_up(self, decision: dict[str, Any]) -> None:
        self.decided.add(decision)
        self.hot.decide(decision)
        if decision["kind"] == "use" and decision["plan"] is not None:
            for new in self.decided.plan(decision["cycle"], decision["plan"])["uploads"]:
                meta, placement = _demand(new)
                self._wanted[meta] = placement

    def restore(self, decisions: Sequence[dict[str, Any]], demands: Sequence[dict[str, Any]]) -> None:
        """Take up what `Decided.in_force` and `demands` gave when a checkpoint was taken."""
        self._demanded.update(_demand(one) for one in demands)
        for decision in decisions:
            self._take_up(decision)

    def demanded(self, value: int, meta: TensorMeta, placement: Placement, *, is_pinned: bool) -> None:
        """Somebody says how a value is to be held, or that it need not be any more.

        What is sent anew for every step and placed each time is no news after the first time: plans made
        since know of it.
        """
        what = (meta, placement)
        if is_pinned and what in self._demanded and self.hot.is_fresh(value):
            return
        self.start_over()
        if is_pinned:
            self._demanded.add(what)

    def demands(self) -> list[dict[str, Any]]:
        """What was demanded of values sent anew, as plain JSON."""
        return [_described(meta, placement) for meta, placement in self._demanded]

    def start_over(self) -> None:
        """A placement was demanded: plans that know nothing of it are given up."""
        self.hot.start_over()
        self.decided.start_over()
        self._programs.clear()
        self._wanted.clear()

    def wanted(self, meta: TensorMeta) -> Placement | None:
        """How the program that will read a value which is sent now holds it; None where none is known to."""
        return self._wanted.get(meta)

    # Programs

    def program(self, seen: Seen, ops: SegmentOps, mode: Mode) -> Program:
        """The program of a call in a mode, made where it is not there."""
        assert mode.cycle is not None
        name = (seen.key, mode.cycle, mode.plan)
        found = self._programs.pop(name, None)
        if found is None:
            if len(self._programs) >= PROGRAMS:
                self._programs.pop(next(iter(self._programs)))
            found = self._compile(seen, ops, mode)
        self._programs[name] = found
        return found

    def _compile(self, seen: Seen, ops: SegmentOps, mode: Mode) -> Program:
        assert mode.cycle is not None
        plan = self.decided.plan(mode.cycle, mode.plan)
        part = plan["parts"][mode.position]
        inputs = [parse_placement(text) for text in part["inputs"]]
        outputs = [parse_placement(text) for text in part["outputs"]]
        segment, world_size = ops.segment, self.fabric.world_size
        is_solo = plan["kind"] == "solo"
        numbers = [0] * len(segment.steps) if is_solo else part["rows"]
        known = {template: rows(template, world_size) for template in segment.templates}
        return compile_program(
            segment,
            [
                known[segment.templates[step.template]][number]
                for step, number in zip(segment.steps, numbers, strict=True)
            ],
            [Replicate()] * len(inputs) if is_solo else inputs,
            dict.fromkeys(seen.live, Replicate()) if is_solo else dict(zip(seen.live, outputs, strict=True)),
            frozenset(seen.dying),
            self.fabric,
            is_solo=is_solo,
        )

    def _replay(
        self,
        call: Call,
        seen: Seen,
        ops: SegmentOps,
        given: Sequence[Held],
        mode: Mode,
    ) -> list[Held]:
        metas = ops.segment.values()
        program = None
        try:
            program = self.program(seen, ops, mode)
            self._cores.share(is_solo=program.is_solo)
            lanes = self._lanes(program, given, seen.dying)
            results = program.run(lanes, call.floats)
        except Exception as error:
            step = None if program is None else program.failed_step(error)
            failure = Failure.of(error, call.number, step)
            self.eager.on_failure(failure)
            return [self.eager.failed(metas[number], failure) for number in call.live]
        made = []
        for at, number in enumerate(call.live):
            held = Held(
                metas[number], program.outputs[at], [None if one is None else one[at] for one in results]
            )
            held.is_own = program.is_own[at]
            source = program.successors[at]
            held.is_pinned = source is not None and given[source].is_pinned
            made.append(held)
        return made

    def _lanes(
        self, program: Program, given: Sequence[Held], dying: Sequence[int]
    ) -> list[list[Tensor | None]]:
        """For each lane its pieces of the inputs, held as the program wants them."""
        columns = []
        for index, (held, wanted) in enumerate(zip(given, program.inputs, strict=True)):
            pieces, is_own = held.pieces, held.is_own
            if held.placement != wanted:
                pieces, is_own = self._moved(held, wanted), False
                if index not in dying and not held.is_pinned and not isinstance(held.placement, Partial):
                    self._hold_as(held, wanted, pieces)
            if index in program.donated and not is_own:
                pieces = [None if piece is None else piece.clone() for piece in pieces]
            columns.append(pieces)
        return [[column[lane] for column in columns] for lane in range(len(self.fabric.lanes))]

    def _moved(self, held: Held, wanted: Placement) -> list[Tensor | None]:
        pieces = redistribute(held.pieces, held.meta, held.placement, wanted, self.fabric)
        # A piece cut out of a whole would keep the whole in memory.
        return [
            piece if piece is None or piece.untyped_storage().nbytes() <= 2 * piece.nbytes else piece.clone()
            for piece in pieces
        ]


def _described(meta: TensorMeta, placement: Placement) -> dict[str, Any]:
    return {
        "shape": list(meta.shape),
        "stride": list(meta.stride),
        "dtype": str(meta.dtype).removeprefix("torch."),
        "placement": str(placement),
    }


def _demand(told: dict[str, Any]) -> tuple[TensorMeta, Placement]:
    dtype = getattr(torch, told["dtype"])
    return TensorMeta(tuple(told["shape"]), tuple(told["stride"]), dtype), parse_placement(told["placement"])
