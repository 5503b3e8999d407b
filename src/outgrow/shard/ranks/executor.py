"""A client's values on the ranks of this process, and what happens to them."""

__all__ = ["Executor"]

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from outgrow.placement import Owned, Placement, Replicate, Shard, parse_placement
from outgrow.shard.instructions import Segment, TensorMeta
from outgrow.shard.messages import Ask, Call, Define, Fetch, Message, Place, Put, Reply
from outgrow.shard.planner import Costs
from outgrow.shard.ranks.answers import array_of, contents, described, failed_reply
from outgrow.shard.ranks.eager import Chooser, Eager, SegmentOps
from outgrow.shard.ranks.fabric import Fabric
from outgrow.shard.ranks.held import Failure, Held
from outgrow.shard.ranks.holdings import Holdings
from outgrow.shard.ranks.pieces import piece_bounds, piece_shape
from outgrow.shard.ranks.redistribute import redistribute
from outgrow.shard.replay.candidates import Pins
from outgrow.shard.replay.replayer import Replayer
from outgrow.shard.rules.expansion import Expansion, expand_segment


def _ignored(decision: dict[str, Any]) -> None:
    """Nobody logs what is decided."""


def _as_sent(held: Held, call: int, expansion: Expansion) -> Held:
    """A value whose failure, if any arose in this call, names the step that the client sent."""
    failure = held.failure
    if failure is None or failure.call != call or failure.step is None:
        return held
    held.failure = dataclasses.replace(failure, step=expansion.origin[failure.step])
    return held


class Executor:
    """The state of one client on the lanes of one process. Every rank is given the same messages in the same
    order.
    """

    def __init__(
        self,
        fabric: Fabric,
        *,
        choose: Chooser | None = None,
        memory_bytes: int | None = None,
        costs: Callable[[], Costs] | None = None,
        on_decision: Callable[[dict[str, Any]], None] = _ignored,
        decisions: Sequence[dict[str, Any]] = (),
        decided_until: int = -1,
        is_replaying: bool = True,
    ) -> None:
        """`choose` picks a row where no plan does; by default the one that moves the fewest bytes.

        `memory_bytes` is what one rank may hold of values at rest. `costs` measures what ranks cost, on
        all of them at once. `on_decision` is told, on every rank, of each decision before the call that it
        is about runs. `decisions` are those of an earlier life, complete for calls up to number
        `decided_until`: what runs until then runs as it ran.
        """
        self.fabric = fabric
        self.values = Holdings(fabric, memory_bytes)
        self.segments: dict[int, SegmentOps] = {}
        self._expansions: dict[int, Expansion] = {}
        self._unprepared: dict[int, tuple[Segment, Failure]] = {}
        """Segments with an op that nothing here knows how to run, and why: their values fail so."""
        self.calls_run = 0
        self.busy_seconds = 0.0
        self.poisoned: dict[int, Failure] = {}
        """By the number of a call: it is not run, its outputs fail so."""
        self.eager = Eager(fabric, choose)
        self.replayer = Replayer(
            fabric,
            self.eager,
            costs=costs,
            on_decision=on_decision,
            hold_as=self.values.hold_as,
            decisions=decisions,
            decided_until=decided_until,
            memory_bytes=memory_bytes,
            is_replaying=is_replaying and choose is None,
        )

    def handle(self, message: Message) -> Reply | None:
        """Do what a message says; a reply for those that want one."""
        with torch.inference_mode():
            match message:
                case Call():
                    self._call(message)
                case Put():
                    self._put(message)
                case Define():
                    self.define(message.segment, message.body)
                case Place():
                    self._place(message)
                case Fetch():
                    return self._fetch(message)
                case Ask():
                    return Reply(request=message.request, body=self._answer(message))
        return None

    def define(self, number: int, segment: Segment) -> None:
        """A segment that calls may name; held, run and planned with an op for each tensor."""
        try:
            expansion = expand_segment(segment)
            self.segments[number] = self.eager.prepare(expansion.segment)
        except Exception as error:  # the same on every rank; other clients must not notice
            self._unprepared[number] = segment, Failure.of(error, -1, None)
            return
        if not expansion.is_same:
            self._expansions[number] = expansion

    # Calls

    def _call(self, call: Call) -> None:
        if call.segment in self._unprepared:
            self._fail(call, *self._unprepared[call.segment])
            return
        began = time.perf_counter()
        ops = self.segments[call.segment]
        expansion = self._expansions.get(call.segment)
        if expansion is not None:
            call = dataclasses.replace(
                call,
                live=tuple([expansion.values[number] for number in call.live]),
                floats=tuple([call.floats[place] for place in expansion.floats]),
            )
        given = [self.values[value] for value in call.inputs]
        # What the call does not read goes first, so that its memory can be used again.
        read = set(call.inputs)
        for value in call.freed:
            if value not in read:
                self.values.drop(value)
        failure = self.poisoned.pop(call.number, None)
        if failure is not None:
            metas = ops.segment.values()
            made = [self.eager.failed(metas[number], failure) for number in call.live]
        else:
            made = self.replayer.run(call, ops, given, self._pins)
            if expansion is not None:
                made = [_as_sent(held, call.number, expansion) for held in made]
        del given
        for value in call.freed:
            self.values.drop(value)
        for value, held in zip(call.outputs, made, strict=True):
            self.values.add(value, held, call.number)
        self.calls_run += 1
        self.busy_seconds += time.perf_counter() - began

    def _fail(self, call: Call, segment: Segment, failure: Failure) -> None:
        metas, failure = segment.values(), dataclasses.replace(failure, call=call.number)
        for value in call.freed:
            self.values.drop(value)
        for value, number in zip(call.outputs, call.live, strict=True):
            self.values.add(value, self.eager.failed(metas[number], failure), call.number)

    def _pins(self) -> Pins:
        held = [(value, self.values[value]) for value in self.values]
        return Pins(
            values={value: one.placement for value, one in held if one.is_pinned},
            names={},
            bytes={value: self.values.bytes_of(one) for value, one in held},
        )

    # Values

    def _put(self, put: Put) -> None:
        placement = put.placement or self.replayer.wanted(put.meta) or self.values.default_placement(put.meta)
        array = array_of(put.data, put.meta)
        pieces: list[Tensor | None] = []
        for rank in self.fabric.lanes:
            own = array
            if isinstance(placement, Shard):
                start, stop = piece_bounds(put.meta.shape[placement.dim], rank, self.fabric.world_size)
                own = array[(slice(None),) * placement.dim + (slice(start, stop),)]
            bits = torch.from_numpy(own.copy())
            pieces.append(bits.view(put.meta.dtype).to(self.fabric.device))
        is_cut = isinstance(placement, Shard | Replicate)
        held = Held(put.meta, placement if is_cut else Replicate(), pieces, is_own=True)
        if not is_cut:
            held = self._moved(held, placement)
        self.values.add(put.value, held)
        self.replayer.hot.arrive(put.value)

    def _moved(self, held: Held, placement: Placement) -> Held:
        pieces = redistribute(held.pieces, held.meta, held.placement, placement, self.fabric)
        return Held(held.meta, placement, pieces, is_pinned=held.is_pinned)

    def _place(self, place: Place) -> None:
        held = self.values[place.value]
        if isinstance(place.placement, Shard) and place.placement.dim >= len(held.meta.shape):
            return  # refused where programs ask for it; a rank must not fail of it
        if held.failure is None:
            self.values.place(held, place.placement)
        if place.is_pinned or held.is_pinned:
            self.replayer.demanded(place.value, held.meta, place.placement, is_pinned=place.is_pinned)
        held.is_pinned = place.is_pinned

    def _fetch(self, fetch: Fetch) -> Reply:
        held = self.values[fetch.value]
        if held.failure is not None:
            return failed_reply(fetch.request, held.failure)
        if fetch.rank is not None:
            return self._fetch_piece(fetch.request, held, fetch.rank)
        target: Placement = held.placement if isinstance(held.placement, Owned) else Replicate()
        pieces = redistribute(held.pieces, held.meta, held.placement, target, self.fabric)
        body = {"shape": list(held.meta.shape), "dtype": str(held.meta.dtype).removeprefix("torch.")}
        return contents(fetch.request, next((piece for piece in pieces if piece is not None), None), body)

    def _fetch_piece(self, request: int, held: Held, rank: int) -> Reply:
        """What one rank holds; every rank takes part, since the reply is sent by another one."""
        is_elsewhere = isinstance(held.placement, Owned) and held.placement.rank != rank
        shape = piece_shape(held.meta.shape, held.placement, rank, self.fabric.world_size)
        dtype = str(held.meta.dtype).removeprefix("torch.")
        body: dict[str, Any] = {"placement": str(held.placement), "dtype": dtype}
        if is_elsewhere:
            return Reply(request=request, body=body | {"shape": None})
        pieces = self.fabric.broadcast(held.pieces, rank, shape, held.meta.dtype)
        return contents(request, pieces[0], body | {"shape": list(shape)})

    # Questions

    def _answer(self, ask: Ask) -> dict[str, Any]:
        match ask.topic:
            case "describe":
                values = {str(value): described(self.values[value]) for value in ask.details["values"]}
                return {"world_size": self.fabric.world_size, "values": values}
            case "explain":
                return {"world_size": self.fabric.world_size, "cycles": self.replayer.decided.explain()}
            case "statistics":
                return self.statistics()
            case "plans":
                self.replayer.kinds = tuple(ask.details["kinds"])
                return {}
            case "barrier":
                return {}
        error = {
            "kind": "InputError",
            "message": f"nothing is known about {ask.topic!r}",
            "traceback": "",
            "call": -1,
            "step": None,
        }
        return {"error": error}

    def statistics(self) -> dict[str, Any]:
        """What this process did for the client so far."""
        return {
            "calls": self.calls_run,
            "replayed_calls": self.replayer.replays,
            "ops": self.eager.ops_run + self.replayer.ops_run,
            "busy_seconds": self.busy_seconds,
            "values": len(self.values),
            "held_bytes": self.values.bytes,
            "peak_bytes": self.values.peak_bytes,
            "memory_bytes": self.values.memory_bytes,
        }

    # Another life

    def snapshot(self) -> dict[str, Any]:
        """Everything that a rank which takes this one's place must know, but for the segments: those are in
        the log.

        `state` is plain JSON; `pieces` holds, for each value with contents on a lane, `(value, lane,
        tensor)`. The tensors are the ones in use: whoever keeps them copies them before the next message.
        """
        values, pieces = [], []
        for number in self.values:
            held = self.values[number]
            failure = None if held.failure is None else failed_reply(0, held.failure).body["error"]
            values.append(
                {
                    "value": number,
                    "shape": list(held.meta.shape),
                    "stride": list(held.meta.stride),
                    "dtype": str(held.meta.dtype).removeprefix("torch."),
                    "placement": str(held.placement),
                    "is_pinned": held.is_pinned,
                    "is_fresh": self.replayer.hot.is_fresh(number),
                    "failure": failure,
                }
            )
            pieces += [(number, lane, piece) for lane, piece in enumerate(held.pieces) if piece is not None]
        state = {
            "values": values,
            "decisions": self.replayer.decided.in_force(),
            "demanded": self.replayer.demands(),
            "kinds": list(self.replayer.kinds),
        }
        return {"state": state, "pieces": pieces}

    def restore(self, state: dict[str, Any], pieces: Sequence[tuple[int, int, Tensor]]) -> None:
        """Take up what `snapshot` gave, in an executor that has done nothing yet. The tensors become ours."""
        own: dict[int, list[Tensor | None]] = {}
        for value, lane, piece in pieces:
            own.setdefault(value, [None] * len(self.fabric.lanes))[lane] = piece
        for entry in state["values"]:
            dtype = getattr(torch, entry["dtype"])
            held = Held(
                TensorMeta(tuple(entry["shape"]), tuple(entry["stride"]), dtype),
                parse_placement(entry["placement"]),
                own.get(entry["value"], [None] * len(self.fabric.lanes)),
                failure=None if entry["failure"] is None else Failure(**entry["failure"]),
                is_pinned=entry["is_pinned"],
            )
            self.values.restore(entry["value"], held)
            if entry["is_fresh"]:
                self.replayer.hot.arrive(entry["value"])
        self.replayer.kinds = tuple(state["kinds"])
        self.replayer.restore(state["decisions"], state["demanded"])
