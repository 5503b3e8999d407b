"""A client's values on the ranks of this process, and what happens to them."""

__all__ = ["Executor"]

import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from outgrow.placement import Owned, Placement, Replicate
from outgrow.shard.instructions import Segment, Template, TensorMeta
from outgrow.shard.messages import Ask, Call, Define, Fetch, Message, Place, Put, Reply
from outgrow.shard.ranks.fabric import Fabric
from outgrow.shard.ranks.greedy import choose_row
from outgrow.shard.ranks.held import Failure, Held
from outgrow.shard.ranks.kernels import Kernel, template_kernel
from outgrow.shard.ranks.pieces import piece_shape
from outgrow.shard.ranks.redistribute import redistribute
from outgrow.shard.rules import Row, rows

Chooser = Callable[[tuple[Row, ...], list[Placement], Template], Row]


class Executor:
    """The state of one client on the lanes of one process. Every rank is given the same messages in the same order."""

    def __init__(self, fabric: Fabric, *, choose: Chooser | None = None) -> None:
        """`choose` picks a row where no plan does; by default the one that moves the fewest bytes."""
        self.fabric = fabric
        self.values: dict[int, Held] = {}
        self.segments: dict[int, Segment] = {}
        self._choose = choose or self._cheapest
        self._rows: dict[Template, tuple[Row, ...]] = {}
        self._kernels: dict[tuple[Template, int], tuple[Row, list[Kernel]]] = {}

    def handle(self, message: Message) -> Reply | None:
        """Do what a message says; a reply for those that want one."""
        match message:
            case Call():
                self._call(message)
            case Put():
                self._put(message)
            case Define():
                self.segments[message.segment] = message.body
            case Place():
                self._place(message)
            case Fetch():
                return self._fetch(message)
            case Ask():
                return Reply(request=message.request, body=self._answer(message))
        return None

    # Calls

    def _call(self, call: Call) -> None:
        segment = self.segments[call.segment]
        given = [self.values[value] for value in call.inputs]
        for value in call.freed:
            self.values.pop(value, None)
        live = dict(zip(call.live, call.outputs, strict=True))
        last_use = _last_uses(segment)
        made: dict[int, Held] = {}
        number, at_float = 0, 0
        for index, step in enumerate(segment.steps):
            inputs = [made[ref] if ref >= 0 else given[-1 - ref] for ref in step.inputs]
            floats = call.floats[at_float : at_float + step.floats]
            at_float += step.floats
            template = segment.templates[step.template]
            for held in self._step(template, inputs, floats, call.number, index):
                if number in live:
                    self.values[live[number]] = held
                if number in live or number in last_use:
                    made[number] = held
                number += 1
            for ref in step.inputs:
                if ref >= 0 and last_use[ref] == index:
                    made.pop(ref, None)

    def _step(
        self, template: Template, inputs: list[Held], floats: tuple[float, ...], call: int, index: int
    ) -> list[Held]:
        failure = next((held.failure for held in inputs if held.failure is not None), None)
        if failure is None:
            try:
                return self._run(template, inputs, floats)
            except Exception as error:
                failure = Failure(
                    kind=type(error).__name__,
                    message=str(error),
                    traceback=traceback.format_exc(),
                    call=call,
                    step=index,
                )
        return [self._failed(meta, failure) for meta in template.outputs]

    def _failed(self, meta: TensorMeta, failure: Failure) -> Held:
        return Held(meta, Replicate(), [None] * len(self.fabric.lanes), failure=failure)

    def _run(self, template: Template, inputs: list[Held], floats: tuple[float, ...]) -> list[Held]:
        known = self._rows.get(template)
        if known is None:
            known = self._rows[template] = rows(template, self.fabric.world_size)
        row = self._choose(known, [held.placement for held in inputs], template)
        kernels = self._kernels_of(template, row)
        lanes_inputs = [self._moved(held, new) for held, new in zip(inputs, row.inputs, strict=True)]
        results: list[tuple[Tensor, ...]] = []
        for lane, kernel in enumerate(kernels):
            own = [pieces[lane] for pieces in lanes_inputs]
            for written in template.mutates:
                own[written] = own[written].clone()  # type: ignore[union-attr]
            results.append(kernel(own, floats))  # type: ignore[arg-type]
        return [
            Held(meta, placement, [result[number] for result in results])
            for number, (meta, placement) in enumerate(zip(template.outputs, row.outputs, strict=True))
        ]

    def _kernels_of(self, template: Template, row: Row) -> list[Kernel]:
        key = (template, id(row))
        found = self._kernels.get(key)
        if found is None:
            if row.kernel is None:
                kernels = [template_kernel(template, self.fabric.device)] * len(self.fabric.lanes)
            else:
                kernels = [row.kernel(rank, self.fabric.world_size, self.fabric.device) for rank in self.fabric.lanes]
            found = self._kernels[key] = (row, kernels)
        return found[1]

    def _moved(self, held: Held, new: Placement) -> list[Tensor | None]:
        return redistribute(held.pieces, held.meta, held.placement, new, self.fabric)

    def _cheapest(self, known: tuple[Row, ...], placements: list[Placement], template: Template) -> Row:
        return (
            known[0]
            if len(known) == 1
            else choose_row(known, placements, template.inputs, self.fabric.world_size)
        )

    # Values

    def _put(self, put: Put) -> None:
        whole = (
            torch.frombuffer(bytearray(put.data), dtype=torch.uint8)
            if len(put.data)
            else torch.empty(0, dtype=torch.uint8)
        )
        tensor = whole.view(put.meta.dtype).reshape(put.meta.shape).to(self.fabric.device)
        held = Held(put.meta, Replicate(), [tensor] * len(self.fabric.lanes))
        if put.placement is not None:
            held = Held(put.meta, put.placement, self._moved(held, put.placement))
        self.values[put.value] = held

    def _place(self, place: Place) -> None:
        held = self.values[place.value]
        if held.failure is None:
            held.pieces = self._moved(held, place.placement)
            held.placement = place.placement
        held.is_pinned = place.is_pinned

    def _fetch(self, fetch: Fetch) -> Reply:
        held = self.values[fetch.value]
        if held.failure is not None:
            return Reply(request=fetch.request, body={"error": _as_json(held.failure)})
        if fetch.rank is not None:
            return self._fetch_piece(fetch.request, held, fetch.rank)
        target: Placement = held.placement if isinstance(held.placement, Owned) else Replicate()
        pieces = self._moved(held, target)
        body = {"shape": list(held.meta.shape), "dtype": str(held.meta.dtype).removeprefix("torch.")}
        whole = next((piece for piece in pieces if piece is not None), None)
        data = b"" if whole is None else _bytes(whole)
        return Reply(request=fetch.request, body=body, data=data)

    def _fetch_piece(self, request: int, held: Held, rank: int) -> Reply:
        """What one rank holds; every rank takes part, since the reply is sent by another one."""
        world_size = self.fabric.world_size
        is_elsewhere = isinstance(held.placement, Owned) and held.placement.rank != rank
        shape = piece_shape(held.meta.shape, held.placement, rank, world_size)
        body: dict[str, Any] = {
            "placement": str(held.placement),
            "dtype": str(held.meta.dtype).removeprefix("torch."),
        }
        if is_elsewhere:
            return Reply(request=request, body=body | {"shape": None})
        pieces = self.fabric.broadcast(held.pieces, rank, shape, held.meta.dtype)
        return Reply(request=request, body=body | {"shape": list(shape)}, data=_bytes(pieces[0]))

    def _answer(self, ask: Ask) -> dict[str, Any]:
        if ask.topic == "describe":
            values = {str(value): _description(self.values[value]) for value in ask.details["values"]}
            return {"world_size": self.fabric.world_size, "values": values}
        if ask.topic == "barrier":
            return {}
        return {
            "error": {
                "kind": "InputError",
                "message": f"nothing is known about {ask.topic!r}",
                "traceback": "",
            }
        }


def _last_uses(segment: Segment) -> dict[int, int]:
    last: dict[int, int] = {}
    for index, step in enumerate(segment.steps):
        for ref in step.inputs:
            if ref >= 0:
                last[ref] = index
    return last


def _as_json(failure: Failure) -> dict[str, Any]:
    return {field: getattr(failure, field) for field in ("kind", "message", "traceback", "call", "step")}


def _description(held: Held) -> dict[str, Any]:
    shape = next((list(piece.shape) for piece in held.pieces if piece is not None), None)
    return {"placement": str(held.placement), "piece_shape": shape, "is_pinned": held.is_pinned}


def _bytes(whole: Tensor) -> bytes:
    dense = whole.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return bytes(dense.view(torch.uint8).numpy()) if dense.numel() else b""
