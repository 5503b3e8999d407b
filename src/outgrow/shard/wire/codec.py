"""Messages to frames and back. Both sides remember the templates that passed, so that each passes once."""

__all__ = ["Decoder", "Encoder", "decode_reply", "encode_reply", "inline_put", "inline_reply"]

import itertools
import json
import os
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from outgrow.errors import InputError
from outgrow.placement import parse_placement
from outgrow.shard.instructions import Template
from outgrow.shard.messages import Ask, Call, Define, Fetch, Message, Place, Put, Reply
from outgrow.shard.wire.arguments import decode_meta, encode_meta
from outgrow.shard.wire.frame import Frame, FrameKind, ProtocolError
from outgrow.shard.wire.segments import decode_segment, encode_segment
from outgrow.shard.wire.shared_bytes import make_shared, open_shared
from outgrow.shard.wire.templates import decode_template, encode_template

_LENGTH = struct.Struct("<I")
_CALL = struct.Struct("<IQBIIIII")
SHARED_FROM = 1 << 16
"""Contents of so many bytes go as a file in memory where both sides are on one machine."""


class Encoded(NamedTuple):
    """One frame to be."""

    kind: FrameKind
    parts: tuple[Any, ...]
    """Bytes that may be kept: none of them is the caller's memory."""
    file: int | None = None
    """A descriptor that the receiver of this value closes."""


class Encoder:
    """The sending side of one line: `encode` gives the frames of a message, in order."""

    def __init__(self, *, passes_files: bool) -> None:
        self._passes_files = passes_files
        self._templates: dict[Template, int] = {}
        # Templates live as long as the client: those already met are found without hashing their arguments.
        self._known: dict[int, tuple[Template, int]] = {}

    def encode(self, message: Message) -> list[Encoded]:
        """The frames. Contents are copied.

        Raises:
            InputError: the message holds what cannot be sent; nothing is remembered of it.
        """
        match message:
            case Call():
                return [Encoded(FrameKind.CALL, (_encode_call(message),))]
            case Put():
                return [self._encode_put(message)]
            case Define():
                return self._encode_define(message)
            case Place():
                body: dict[str, Any] = {
                    "value": message.value,
                    "placement": str(message.placement),
                    "is_pinned": message.is_pinned,
                }
                return [Encoded(FrameKind.PLACE, (_json(body),))]
            case Fetch():
                body = {"request": message.request, "value": message.value, "rank": message.rank}
                return [Encoded(FrameKind.FETCH, (_json(body),))]
            case Ask():
                body = {"request": message.request, "topic": message.topic, "details": message.details}
                return [Encoded(FrameKind.ASK, (_json(body),))]

    def _encode_put(self, put: Put) -> Encoded:
        data = memoryview(put.data).cast("B") if len(put.data) else memoryview(b"")
        if len(data) != put.meta.nbytes:
            raise InputError(
                f"value {put.value} has {len(data):,} bytes, its shape and dtype need {put.meta.nbytes:,}",
                hint="give dense, row-major bytes",
            )
        is_shared = self._passes_files and len(data) >= SHARED_FROM
        body = {
            "value": put.value,
            "meta": encode_meta(put.meta),
            "placement": None if put.placement is None else str(put.placement),
            "is_shared": is_shared,
        }
        if is_shared:
            return Encoded(FrameKind.PUT, (_with_length(body),), make_shared(data))
        return Encoded(FrameKind.PUT, (_with_length(body), bytes(data)))

    def _encode_define(self, define: Define) -> list[Encoded]:
        numbers: list[int] = []
        fresh: list[tuple[Template, list[Any]]] = []
        count = len(self._templates)
        for template in define.body.templates:
            known = self._known.get(id(template))
            number = self._templates.get(template) if known is None else known[1]
            if number is None:
                encoded = encode_template(template)
                number = count + len(fresh)
                fresh.append((template, encoded))
            numbers.append(number)
        segment = encode_segment(define.segment, define.body, numbers)
        for template, number in zip(define.body.templates, numbers, strict=True):
            self._templates.setdefault(template, number)
            self._known[id(template)] = (template, number)
        frames = [Encoded(FrameKind.DEFINE, (segment,))]
        if fresh:
            body = {"first": count, "templates": [encoded for _, encoded in fresh]}
            frames.insert(0, Encoded(FrameKind.TEMPLATES, (_json(body),)))
        return frames


class Decoder:
    """The receiving side of one line. Everything is checked before anything is believed."""

    def __init__(self) -> None:
        self.templates: list[Template] = []
        """Those that passed, by number."""

    def decode(self, frame: Frame) -> Message | None:
        """The message; None where the frame only prepares others. A file that came with the frame stays the
        caller's.

        Raises:
            ProtocolError: the frame holds none.
        """
        decode = _DECODERS.get(frame.kind)
        try:
            if decode is not None:
                return decode(frame)
            if frame.kind is FrameKind.DEFINE:
                number, segment = decode_segment(frame.payload, self.templates)
                return Define(segment=number, body=segment)
            if frame.kind is FrameKind.TEMPLATES:
                self._learn(_parse(frame.payload))
                return None
        except (LookupError, TypeError, ValueError, OverflowError, struct.error, RecursionError) as err:
            raise ProtocolError(f"a {frame.kind.name} cannot be read: {type(err).__name__}: {err}") from err
        raise ProtocolError(f"a {frame.kind.name} is no message")

    def _learn(self, body: Any) -> None:
        if body["first"] != len(self.templates):
            raise ProtocolError(
                f"templates from number {body['first']!r} on came, expected {len(self.templates)}"
            )
        self.templates.extend([decode_template(one) for one in body["templates"]])


def _encode_call(call: Call) -> bytes:
    counts = (len(call.inputs), len(call.live), len(call.outputs), len(call.freed), len(call.floats))
    inputs, live, outputs, freed, floats = counts
    return _CALL.pack(call.segment, call.number, call.ends_step, *counts) + struct.pack(
        f"<{inputs}Q{live}I{outputs}Q{freed}Q{floats}d",
        *call.inputs, *call.live, *call.outputs, *call.freed, *call.floats,
    )  # fmt: skip


def _decode_call(frame: Frame) -> Call:
    segment, number, ends_step, *counts = _CALL.unpack_from(frame.payload)
    inputs, live, outputs, freed, floats = counts
    if live != outputs:
        raise ProtocolError(f"a call keeps {live} values under {outputs} numbers")
    form = f"<{inputs}Q{live}I{outputs}Q{freed}Q{floats}d"
    if len(frame.payload) != _CALL.size + struct.calcsize(form):
        raise ProtocolError("a call is not as long as it says")
    found = struct.unpack_from(form, frame.payload, _CALL.size)
    ends = [0]
    for count in counts:
        ends.append(ends[-1] + count)
    parts = [found[start:stop] for start, stop in itertools.pairwise(ends)]
    return Call(
        segment=segment, number=number, ends_step=bool(ends_step),
        inputs=parts[0], live=parts[1], outputs=parts[2], freed=parts[3], floats=parts[4],
    )  # fmt: skip


def _decode_put(frame: Frame) -> Put:
    body, at = _parse_prefix(frame.payload)
    meta = decode_meta(body["meta"])
    placement = None if body["placement"] is None else parse_placement(_text(body["placement"]))
    if body["is_shared"]:
        if len(frame.files) != 1:
            raise ProtocolError(f"shared contents came with {len(frame.files)} files")
        data = open_shared(frame.files[0], meta.nbytes)
    else:
        data = memoryview(frame.payload)[at:]
        if len(data) != meta.nbytes:
            raise ProtocolError(f"contents have {len(data):,} bytes, expected {meta.nbytes:,}")
    return Put(value=_number(body["value"]), meta=meta, data=data, placement=placement)


def inline_put(payload: Any, file: int) -> bytes:
    """The payload of a PUT whose contents are in a file, with the contents in it: for a rank on another
    machine."""
    body, _ = _parse_prefix(payload)
    nbytes = os.fstat(file).st_size
    body["is_shared"] = False
    return b"".join((_with_length(body), open_shared(file, nbytes)))


def _decode_place(frame: Frame) -> Place:
    body = _parse(frame.payload)
    return Place(
        value=_number(body["value"]),
        placement=parse_placement(_text(body["placement"])),
        is_pinned=body["is_pinned"] is True,
    )


def _decode_fetch(frame: Frame) -> Fetch:
    body = _parse(frame.payload)
    rank = None if body["rank"] is None else _number(body["rank"])
    return Fetch(request=_number(body["request"]), value=_number(body["value"]), rank=rank)


def _decode_ask(frame: Frame) -> Ask:
    body = _parse(frame.payload)
    if not isinstance(body["details"], dict):
        raise ProtocolError("the details of a question are no object")
    return Ask(request=_number(body["request"]), topic=_text(body["topic"]), details=body["details"])


_DECODERS: dict[FrameKind, Callable[[Frame], Message]] = {
    FrameKind.CALL: _decode_call,
    FrameKind.PUT: _decode_put,
    FrameKind.PLACE: _decode_place,
    FrameKind.FETCH: _decode_fetch,
    FrameKind.ASK: _decode_ask,
}


def encode_reply(reply: Reply, *, passes_files: bool) -> Encoded:
    """The frame of an answer; its contents are not copied unless they become a file."""
    is_shared = passes_files and len(reply.data) >= SHARED_FROM
    body = {"request": reply.request, "body": reply.body, "shared": len(reply.data) if is_shared else None}
    if is_shared:
        return Encoded(FrameKind.REPLY, (_with_length(body),), make_shared(reply.data))
    return Encoded(FrameKind.REPLY, (_with_length(body), reply.data))


def decode_reply(frame: Frame) -> Reply:
    """The answer; its data may be written to.

    Raises:
        ProtocolError: the frame holds none.
    """
    try:
        body, at = _parse_prefix(frame.payload)
        if body["shared"] is None:
            data: Any = memoryview(bytearray(memoryview(frame.payload)[at:]))
        else:
            data = open_shared(frame.files[0], body["shared"])
        return Reply(request=_number(body["request"]), body=body["body"], data=data)
    except (LookupError, TypeError, ValueError, OverflowError, struct.error, RecursionError) as err:
        raise ProtocolError(f"a reply cannot be read: {type(err).__name__}: {err}") from err


def inline_reply(payload: Any, file: int) -> bytes:
    """The payload of a REPLY whose contents are in a file, with the contents in it: for a client on another
    machine."""
    body, _ = _parse_prefix(payload)
    nbytes, body["shared"] = body["shared"], None
    return b"".join((_with_length(body), open_shared(file, nbytes)))


def _json(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _with_length(body: Any) -> bytes:
    text = _json(body)
    return _LENGTH.pack(len(text)) + text


def _parse(payload: Any) -> Any:
    return json.loads(bytes(payload))


def _parse_prefix(payload: Any) -> tuple[Any, int]:
    (length,) = _LENGTH.unpack_from(payload)
    at = _LENGTH.size + length
    if at > len(payload):
        raise ProtocolError("a header is longer than its frame")
    return json.loads(bytes(memoryview(payload)[_LENGTH.size : at])), at


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ProtocolError(f"{value!r:.100} is no number of anything")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 1000:
        raise ProtocolError(f"{value!r:.100} is no name")
    return value
