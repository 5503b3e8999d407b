"""Whether a client's frame may go to the ranks: checked once, before any rank sees it, so that no rank can
fail on it alone."""

__all__ = ["Admission"]

import struct
from typing import Any

from outgrow.errors import InputError
from outgrow.placement import Owned, Partial, Placement, Shard
from outgrow.shard.dispatch.dispatch_state import Entry
from outgrow.shard.messages import Ask, Call, Fetch, Place, Put
from outgrow.shard.wire.codec import Decoder
from outgrow.shard.wire.frame import CLIENT_KINDS, Frame, FrameKind, ProtocolError
from outgrow.shard.wire.segments import SegmentCounts, count_segment

_MOST_VALUES = 1 << 22
_MOST_SEGMENTS = 1 << 16
_MOST_TEMPLATES = 1 << 18


class Admission:
    """What one client has made known, and so may name."""

    def __init__(self, session: int, world_size: int) -> None:
        self.session = session
        self.world_size = world_size
        self.values: set[int] = set()
        self._segments: dict[int, SegmentCounts] = {}
        self._decoder = Decoder()

    def admit(self, frame: Frame) -> Entry:
        """The message, ready for its queue.

        Raises:
            ProtocolError: it is no message of a client, or names what is not there.
        """
        if frame.kind not in CLIENT_KINDS or frame.kind is FrameKind.CLOSE:
            raise ProtocolError(f"a client sent a {frame.kind.name}")
        if len(frame.files) > (frame.kind is FrameKind.PUT):
            raise ProtocolError(f"a {frame.kind.name} came with {len(frame.files)} files")
        entry = Entry(self.session, frame.kind, frame.payload, frame.files, nbytes=len(frame.payload))
        if frame.kind is FrameKind.DEFINE:
            counts = self._define(frame)
            entry.segment = counts.number
            entry.details = {"instructions": counts.steps, "ops": counts.ops}
            return entry
        message = self._decoder.decode(frame)
        match message:
            case Call():
                entry.cost += self._call(message)
                entry.segment, entry.call = message.segment, message.number
            case Put():
                self._placement(message.placement, len(message.meta.shape))
                self._new([message.value])
                entry.nbytes += len(message.data) if frame.files else 0
            case Place():
                # How many dims a result has is known to the ranks alone, which see to that.
                self._placement(message.placement, None)
                self._known([message.value])
            case Fetch():
                self._known([message.value])
                if message.rank is not None and message.rank >= self.world_size:
                    raise ProtocolError(f"there is no rank {message.rank}, only {self.world_size} ranks")
                entry.request = message.request
            case Ask():
                self._question(message.topic, message.details)
                entry.request, entry.topic, entry.details = message.request, message.topic, message.details
        if len(self._decoder.templates) > _MOST_TEMPLATES:
            raise ProtocolError(f"a client has more than {_MOST_TEMPLATES:,} kinds of instructions")
        return entry

    def _placement(self, placement: Placement | None, dims: int | None) -> None:
        is_possible = not isinstance(placement, Partial)
        if isinstance(placement, Owned):
            is_possible = 0 <= placement.rank < self.world_size
        elif isinstance(placement, Shard):
            is_possible = placement.dim >= 0 and (dims is None or placement.dim < dims)
        if not is_possible:
            raise ProtocolError(f"no value of this session can be held as {placement}")

    def _question(self, topic: str, details: dict[str, Any]) -> None:
        """Those that ranks answer out of what the client names."""
        wanted = {"describe": ("values", int), "plans": ("kinds", str)}.get(topic)
        if wanted is None:
            return
        name, kind = wanted
        given = details.get(name)
        if not isinstance(given, list) or not all(type(one) is kind for one in given):
            raise ProtocolError(f"a question about {topic!r} comes without its {name}")
        if kind is int:
            self._known(given)

    def _define(self, frame: Frame) -> SegmentCounts:
        try:
            counts = count_segment(frame.payload, self._decoder.templates)
        except (LookupError, TypeError, ValueError, OverflowError, struct.error, RecursionError) as err:
            raise ProtocolError(f"a segment cannot be read: {type(err).__name__}: {err}") from err
        if counts.number in self._segments:
            raise ProtocolError(f"segment {counts.number} is defined twice")
        if len(self._segments) >= _MOST_SEGMENTS:
            raise ProtocolError(f"a client has more than {_MOST_SEGMENTS:,} segments")
        # What it is made of is for the log alone.
        self._segments[counts.number] = counts._replace(ops={})
        return counts

    def _call(self, call: Call) -> int:
        counts = self._segments.get(call.segment)
        if counts is None:
            raise ProtocolError(f"a call names segment {call.segment}, which was not defined")
        if len(call.inputs) != counts.inputs or len(call.floats) != counts.floats:
            raise ProtocolError(
                f"a call gives segment {call.segment} {len(call.inputs)} values and {len(call.floats)} "
                f"floats, and it takes {counts.inputs} and {counts.floats}"
            )
        if call.live and (max(call.live) >= counts.values or len(set(call.live)) != len(call.live)):
            raise ProtocolError(f"a call keeps values that segment {call.segment} does not make")
        self._known(call.inputs)
        self._known(call.freed)
        self._new(call.outputs)
        self.values.difference_update(call.freed)
        return counts.steps

    def _known(self, values: tuple[int, ...] | list[int]) -> None:
        if not self.values.issuperset(values):
            missing = next(value for value in values if value not in self.values)
            raise ProtocolError(
                f"value {missing} is none of this session",
                hint="a tensor can be used in the session that made it only",
            )

    def _new(self, values: tuple[int, ...] | list[int]) -> None:
        if not self.values.isdisjoint(values) or len(set(values)) != len(values):
            raise ProtocolError("a value is made a second time")
        self.values.update(values)
        if len(self.values) > _MOST_VALUES:
            raise InputError(f"a client holds more than {_MOST_VALUES:,} values", hint="free some")
