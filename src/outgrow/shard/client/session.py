"""One client's line to its workers: instructions gathered into segments, contents sent and fetched."""

__all__ = ["Session", "default_session", "set_default_session", "use_session"]

import collections
import contextlib
import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from outgrow.errors import RemoteError
from outgrow.placement import Placement
from outgrow.shard.client.forms import Form, form_of_tensor
from outgrow.shard.client.inference import Inference
from outgrow.shard.client.link import Link
from outgrow.shard.client.outside import outside
from outgrow.shard.client.sources import Place, Sources, describe
from outgrow.shard.client.stretch import Body, Stretch
from outgrow.shard.client.values import Value
from outgrow.shard.instructions import Segment, Step, TensorMeta
from outgrow.shard.messages import Ask, Call, Define, Fetch, Put


class Session:
    """Values of one client. Nothing is sent before one is fetched, a step ends or the segment grows long.

    Safe in several threads: instructions are numbered and gathered under a lock, each thread's in order.
    """

    LONGEST = 20_000
    """Instructions after which a segment is sent though nobody waits: bounds what the client holds."""
    REMEMBERED = 64
    """Calls whose lines are kept for errors; those under way are fewer."""

    def __init__(self, link: Link, *, inference: Inference | None = None) -> None:
        """`inference` may be shared: what ops give does not depend on the workers."""
        self.link = link
        self.inference = inference or Inference()
        self.lock = threading.RLock()
        self.is_sharing = True
        """Whether a copy starts as the value that it copies: nothing is sent. Not while a call is recorded:
        then the copy has to be an instruction."""
        self.sources = Sources()
        self._stretch = Stretch()
        """What was gathered and is not sent yet."""
        self._freed: list[int] = []
        self._numbers = itertools.count(1)
        self._requests = itertools.count(1)
        self._segments: dict[Body, int] = {}
        self._bodies: list[Body] = []
        """By segment."""
        self._next: dict[int, int] = {}
        """By segment, the one that came after it the last time: programs repeat."""
        self._last = -1
        self._calls = itertools.count()
        self.latest: dict[int, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {}
        """By segment, of its last call: inputs, live local numbers and the values that these became."""
        self._sent: collections.OrderedDict[int, list[Place | None]] = collections.OrderedDict()

    def emit(
        self, template: int, inputs: Sequence[Value], floats: Sequence[float] = (), outputs: int = 1
    ) -> list[Value]:
        """Gather one instruction; gives the values that it makes. `template` counts the inference's."""
        forget = self._freed.append
        with self.lock:
            stretch = self._stretch
            local, given = stretch.made, stretch.given
            refs = []
            for value in inputs:
                number = value.number
                ref = local.get(number)
                if ref is None:
                    ref = given.get(number)
                    if ref is None:
                        ref = given[number] = -1 - len(given)
                refs.append(ref)
            body, expected = stretch.body, stretch.expected
            instruction = (template, tuple(refs))
            if stretch.is_expected and (len(body) >= len(expected) or expected[len(body)] != instruction):
                stretch.is_expected = False
            body.append(instruction)
            stretch.places.append(self.sources.here())
            if floats:
                stretch.floats.extend(floats)
            number = next(self._numbers)
            local[number] = len(local)
            made = [Value(number, forget)]
            for _ in range(1, outputs):
                number = next(self._numbers)
                local[number] = len(local)
                made.append(Value(number, forget))
            if len(body) >= self.LONGEST:
                self.flush()
        return made

    def put(self, tensor: Tensor, placement: Placement | None = None) -> Value:
        """Send the contents of a CPU tensor at once: it may be changed right after."""
        with outside():
            dense = tensor.detach().resolve_conj().resolve_neg().contiguous()
            # Not `reshape(-1)`: of one element, that keeps whatever stride it had.
            flat = dense.as_strided((dense.numel(),), (1,))
            data = bytes(flat.view(torch.uint8).numpy()) if dense.numel() else b""
        meta = TensorMeta(tuple(dense.shape), tuple(dense.stride()), dense.dtype)
        with self.lock:
            number = next(self._numbers)
            self.link.send(Put(value=number, meta=meta, data=data, placement=placement))
            # Not before: what was refused is nothing that workers could forget.
            return Value(number, self._freed.append)

    def flush(self, *, ends_step: bool = False) -> None:
        """Send what was gathered as one segment."""
        with self.lock:
            # Before the instructions are taken: what is freed now is used by none that comes later.
            freed = self._freed[:]
            del self._freed[: len(freed)]
            stretch = self._stretch
            if not stretch.body and not freed:
                return
            segment = self._known(stretch)
            self._last = segment
            self._stretch = Stretch(self._bodies[self._next.get(segment, segment)])
            number = next(self._calls)
            self._sent[number] = stretch.places
            if len(self._sent) > self.REMEMBERED:
                self._sent.popitem(last=False)
            made, gone = stretch.made, set(freed)
            # Numbers rise with local ones, so both come in order.
            outputs = tuple(sorted(made.keys() - gone))
            live = tuple([made[value] for value in outputs])
            inputs = tuple(stretch.given)
            self.latest[segment] = (inputs, live, outputs)
            if len(self.latest) > self.REMEMBERED:
                self.latest.pop(next(iter(self.latest)))
            self.link.send(
                Call(
                    segment=segment,
                    inputs=inputs,
                    live=live,
                    outputs=outputs,
                    freed=tuple(sorted(gone.difference(made))),
                    floats=tuple(stretch.floats),
                    ends_step=ends_step,
                    number=number,
                )
            )

    def _known(self, stretch: Stretch) -> int:
        """The segment that was gathered; defined first where it is new."""
        if stretch.is_expected and len(stretch.body) == len(stretch.expected):
            return self._next.get(self._last, self._last)
        body = tuple(stretch.body)
        segment = self._segments.get(body, -1)
        if segment < 0:
            segment = self._segments[body] = len(self._segments)
            self._bodies.append(body)
            self.link.send(Define(segment=segment, body=self._segment(body, len(stretch.given))))
        self._next[self._last] = segment
        return segment

    def _segment(self, body: Body, count: int) -> Segment:
        templates: dict[int, int] = {}
        steps = []
        metas: list[TensorMeta | None] = [None] * count
        for index, refs in body:
            template = self.inference.templates[index]
            steps.append(
                Step(
                    templates.setdefault(index, len(templates)),
                    refs,
                    len(template.outputs),
                    self.inference.float_counts[index],
                )
            )
            for ref, meta in zip(refs, template.inputs, strict=True):
                if ref < 0:
                    metas[-1 - ref] = meta
        return Segment(
            templates=tuple(self.inference.templates[index] for index in templates),
            steps=tuple(steps),
            inputs=tuple(meta for meta in metas if meta is not None),
        )

    def fetch(self, value: Value, *, rank: int | None = None, form: Form | None = None) -> Tensor:
        """The contents of a value, or what one rank holds of it; waits for everything before it.

        `form` gives the strides of the result; row-major without it.

        Raises:
            RemoteError: what should have made it failed on a worker; names the client's own line.
        """
        with self.lock:
            self.flush()
            reply = self.link.request(Fetch(request=next(self._requests), value=value.number, rank=rank))
        if "error" in reply.body:
            raise self._failure(reply.body["error"])
        shape, dtype = reply.body["shape"], getattr(torch, reply.body["dtype"])
        if not len(reply.data):
            whole = torch.empty(shape, dtype=dtype)
        else:
            whole = torch.frombuffer(bytearray(reply.data), dtype=torch.uint8).view(dtype).reshape(shape)
        if form is None or form_of_tensor(whole) is form or not form.is_dense():
            return whole
        return torch.empty_strided(form.shape, form.stride, dtype=form.dtype).copy_(whole)

    def ask(self, topic: str, **details: Any) -> dict[str, Any]:
        """An answer about the workers' state, once everything before it has run."""
        with self.lock:
            self.flush()
            reply = self.link.request(Ask(request=next(self._requests), topic=topic, details=details))
        if "error" in reply.body:
            raise self._failure(reply.body["error"])
        return reply.body

    def _failure(self, error: dict[str, Any]) -> RemoteError:
        places = self._sent.get(error.get("call", -1)) or []
        step = error.get("step")
        where = ""
        if step is not None and 0 <= step < len(places):
            where = f"\n  asked for at {describe(places[step])}"
        traced = f"\n\nOn the worker:\n{error['traceback'].rstrip()}" if error.get("traceback") else ""
        return RemoteError(
            f"{error['kind']}: {error['message']}{where}{traced}",
            hint="mend the line that asked for it; tensors that do not depend on it are as they were",
        )

    def close(self) -> None:
        """Give the workers back."""
        with self.lock:
            self.link.close()


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
    """Let new tensors belong to this session; gives the one before, still open. None: the next use
    starts one."""
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
    from outgrow.shard.engines.default import start_default

    return Session(start_default())
