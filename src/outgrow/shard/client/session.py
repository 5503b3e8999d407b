"""One client's line to its workers: instructions gathered into segments, contents sent and fetched."""

__all__ = ["Link", "Session", "default_session", "set_default_session", "use_session"]

import contextlib
import importlib
import importlib.util
import itertools
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from outgrow.errors import RemoteError
from outgrow.placement import Placement
from outgrow.shard.client.inference import Inference
from outgrow.shard.client.values import Value
from outgrow.shard.environment import Environment
from outgrow.shard.instructions import Segment, Step, TensorMeta
from outgrow.shard.messages import Ask, Call, Define, Fetch, Message, Put, Reply


class Link(Protocol):
    """How messages reach the workers."""

    def send(self, message: Message) -> None:
        """Hand a message over; may wait where too much is under way."""
        ...

    def request(self, message: Fetch | Ask) -> Reply:
        """Hand a question over and wait for its answer."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class Session:
    """Values of one client. Nothing is sent before a value is fetched, a step ends or the segment grows long."""

    LONGEST = 20_000
    """Instructions after which a segment is sent though nobody waits: bounds what the client holds."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.inference = Inference()
        self.steps: list[tuple[int, list[int], tuple[int, ...], tuple[float, ...]]] = []
        """`(template, input values, output values, floats)` not sent yet."""
        self.freed: list[int] = []
        self._numbers = itertools.count(1)
        self._requests = itertools.count(1)
        self._segments: dict[tuple[Any, ...], int] = {}
        self._calls = itertools.count()

    def new_value(self) -> Value:
        """A value that an instruction to come will make."""
        return Value(next(self._numbers), self.freed.append)

    def put(self, tensor: Tensor, placement: Placement | None = None) -> Value:
        """Send the contents of a CPU tensor at once: it may be changed right after."""
        value = self.new_value()
        dense = tensor.detach().contiguous().reshape(-1)
        data = bytes(dense.view(torch.uint8).numpy()) if dense.numel() else b""
        meta = TensorMeta(tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)
        self.link.send(Put(value=value.number, meta=meta, data=data, placement=placement))
        return value

    def flush(self, *, ends_step: bool = False) -> None:
        """Send what was gathered as one segment."""
        steps, self.steps = self.steps, []
        freed, self.freed[:] = list(self.freed), []
        if not steps and not freed:
            return
        local: dict[int, int] = {}
        inputs: list[int] = []
        templates: dict[int, int] = {}
        body: list[Step] = []
        floats: list[float] = []
        made = 0
        for template, arguments, outputs, values in steps:
            refs = []
            for number in arguments:
                ref = local.get(number)
                if ref is None:
                    inputs.append(number)
                    ref = local[number] = -len(inputs)
                refs.append(ref)
            body.append(
                Step(templates.setdefault(template, len(templates)), tuple(refs), len(outputs), len(values))
            )
            floats.extend(values)
            for number in outputs:
                local[number] = made
                made += 1
        gone = set(freed)
        live = [(ref, number) for number, ref in local.items() if ref >= 0 and number not in gone]
        key = (tuple(templates), tuple(body))
        segment = self._segments.get(key)
        if segment is None:
            segment = self._segments[key] = len(self._segments)
            self.link.send(Define(segment=segment, body=self._segment(tuple(templates), tuple(body), inputs)))
        self.link.send(
            Call(
                segment=segment,
                inputs=tuple(inputs),
                live=tuple(ref for ref, _ in live),
                outputs=tuple(number for _, number in live),
                freed=tuple(number for number in freed if local.get(number, -1) < 0),
                floats=tuple(floats),
                ends_step=ends_step,
                number=next(self._calls),
            )
        )

    def _segment(self, templates: tuple[int, ...], body: tuple[Step, ...], inputs: list[int]) -> Segment:
        known = tuple(self.inference.templates[template] for template in templates)
        metas: list[TensorMeta | None] = [None] * len(inputs)
        for step in body:
            for ref, meta in zip(step.inputs, known[step.template].inputs, strict=True):
                if ref < 0:
                    metas[-1 - ref] = meta
        return Segment(templates=known, steps=body, inputs=tuple(meta for meta in metas if meta is not None))

    def fetch(self, value: Value, *, rank: int | None = None) -> Tensor:
        """The contents of a value, or what one rank holds of it; waits for everything before it."""
        self.flush()
        reply = self.link.request(Fetch(request=next(self._requests), value=value.number, rank=rank))
        error = reply.body.get("error")
        if error is not None:
            raise RemoteError(
                f"{error['kind']}: {error['message']}\n{error['traceback']}", hint="see the traceback"
            )
        shape, dtype = reply.body["shape"], getattr(torch, reply.body["dtype"])
        if not len(reply.data):
            return torch.empty(shape, dtype=dtype)
        return torch.frombuffer(bytearray(reply.data), dtype=torch.uint8).view(dtype).reshape(shape)

    def ask(self, topic: str, **details: Any) -> dict[str, Any]:
        """An answer about the workers' state, once everything before it has run."""
        self.flush()
        return self.link.request(Ask(request=next(self._requests), topic=topic, details=details)).body


_default: Session | None = None


def default_session() -> Session:
    """The session that new tensors belong to; started by the first use.

    Raises:
        InputError: what the environment says cannot be.
    """
    global _default
    if _default is None:
        _default = _start()
    return _default


def set_default_session(session: Session | None) -> Session | None:
    """Let new tensors belong to this session; gives the one before, which is left open. None: the next use starts one."""
    global _default
    before, _default = _default, session
    return before


@contextlib.contextmanager
def use_session(session: Session) -> Iterator[Session]:
    """While inside, new tensors belong to this session, in every thread."""
    before = set_default_session(session)
    try:
        yield session
    finally:
        set_default_session(before)


def _start() -> Session:
    if importlib.util.find_spec("outgrow.shard.engines.local") is not None:
        local = importlib.import_module("outgrow.shard.engines.local")
        link: Link = local.start_local()
        return Session(link)
    from outgrow.shard.engines.simulated import SimulatedLink

    return Session(SimulatedLink(Environment.read().world_size(torch.cuda.device_count())))
