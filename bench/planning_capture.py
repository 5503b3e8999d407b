"""Training steps as the client sends them, made into problems for the planner."""

__all__ = ["OPTIMIZERS", "Capture", "capture"]

from typing import Any, NamedTuple

import torch
from torch import Tensor

import outgrow.shard  # noqa: F401  (registers the device)
from bench.planning_models import Case
from outgrow.shard.client.session import Session, use_session
from outgrow.shard.engines.simulated import SimulatedLink
from outgrow.shard.messages import Ask, Call, Define, Message, Put
from outgrow.shard.planner.calibrate import typical_costs
from outgrow.shard.planner.problem import Problem
from outgrow.shard.rules import rows
from outgrow.shard.rules.expansion import expand_segment

OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.05),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.003),
}


class Capture(NamedTuple):
    """A step that was run once, on one simulated rank."""

    problem: Problem
    inputs: tuple[Tensor, ...]
    """What the segment was given, whole."""
    floats: tuple[float, ...]
    outputs: dict[int, Tensor]
    """What the state became, by local number."""


class _Recording:
    def __init__(self) -> None:
        self.link = SimulatedLink(1)
        self.sent: list[Message] = []
        self.given: list[Tensor] = []
        self.last = -1
        """The segment of the last call that does anything."""
        self.long: set[int] = set()

    def send(self, message: Message) -> None:
        if isinstance(message, Define) and len(message.body.steps) > 8:
            self.long.add(message.segment)
        if isinstance(message, Call) and message.segment in self.long:
            self.last = message.segment
            self.link.request(_barrier())
            values = self.link.executor.values
            self.given = [values[number].pieces[0].clone() for number in message.inputs]
        self.sent.append(message)
        self.link.send(message)

    def request(self, message: Any) -> Any:
        return self.link.request(message)

    def close(self) -> None:
        self.link.close()


def _barrier() -> Any:
    return Ask(request=0, topic="barrier")


def capture(
    case: Case, optimizer: str, world_size: int, *, uploads: bool = True, dtype: torch.dtype = torch.float32
) -> Capture:
    """The last of four steps; `uploads`: the data are sent anew for each of them."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        return _capture(case, optimizer, world_size, uploads=uploads)
    finally:
        torch.set_default_dtype(before)


def _capture(case: Case, optimizer: str, world_size: int, *, uploads: bool) -> Capture:
    link = _Recording()
    session = Session(link)
    torch.manual_seed(0)
    with use_session(session):
        model = case.make().to("workers")
        updates = OPTIMIZERS[optimizer](model.parameters())
        host = case.data()
        data = [one.to("workers") for one in host]
        for _ in range(4):
            if uploads:
                data = [one.to("workers") for one in host]
            updates.zero_grad()
            loss = case.loss(model(data[0]), data[1])
            loss.backward()
            updates.step()
            loss.item()
        calls = [one for one in link.sent if isinstance(one, Call) and one.segment == link.last]
        before, call = calls[-2:]
        assert before.segment == call.segment, "the steps are not alike"
        (body,) = [one.body for one in link.sent if isinstance(one, Define) and one.segment == call.segment]
        made = dict(zip(before.outputs, before.live, strict=True))
        put = {one.value for one in link.sent if isinstance(one, Put)}
        state = tuple((at, made[value]) for at, value in enumerate(call.inputs) if value in made)
        kept = tuple(at for at, value in enumerate(call.inputs) if value in before.inputs)
        sent = tuple(
            at
            for at, value in enumerate(call.inputs)
            if value in put and value not in before.inputs and value not in made
        )
        link.link.request(_barrier())
        numbers = dict(zip(call.live, call.outputs, strict=True))
        outputs = {local: link.link.executor.values[numbers[local]].pieces[0].clone() for _, local in state}
    expansion = expand_segment(body)
    now, body = expansion.values, expansion.segment
    known = [rows(template, world_size) for template in body.templates]
    problem = Problem(
        segment=body,
        rows=tuple(known[step.template] for step in body.steps),
        state=tuple((at, now[local]) for at, local in state),
        kept=kept,
        uploads=sent,
        live=tuple(now[local] for local in call.live),
        costs=typical_costs(world_size),
    )
    return Capture(
        problem,
        tuple(link.given),
        tuple(call.floats[number] for number in expansion.floats),
        {now[local]: tensor for local, tensor in outputs.items()},
    )
