"""A segment in few bytes: its steps as columns of whole numbers, each column as narrow as its numbers
allow."""

__all__ = ["SegmentCounts", "count_segment", "decode_segment", "encode_segment"]

import json
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from outgrow.shard.instructions import Segment, Step, Template, TensorMeta
from outgrow.shard.wire.arguments import decode_meta, encode_meta
from outgrow.shard.wire.frame import ProtocolError

_LENGTH = struct.Struct("<I")
_WIDTHS = ("<i1", "<i2", "<i4")


class SegmentCounts(NamedTuple):
    """What a call must fit."""

    number: int
    inputs: int
    steps: int
    values: int
    """That its steps make."""
    floats: int
    ops: dict[str, int]
    """How many of each, by name."""


def encode_segment(number: int, segment: Segment, templates: Sequence[int]) -> bytes:
    """The payload; `templates` are the numbers under which the line knows the segment's own."""
    steps = segment.steps
    columns = [
        [step.template for step in steps],
        [len(step.inputs) for step in steps],
        [step.outputs for step in steps],
        [step.floats for step in steps],
        [ref for step in steps for ref in step.inputs],
    ]
    widths, packed = [], []
    for column in columns:
        array = np.array(column, dtype=np.int64)
        low, high = (int(array.min()), int(array.max())) if len(column) else (0, 0)
        width = next(
            index for index, bits in enumerate((7, 15, 31)) if -(1 << bits) <= low and high < 1 << bits
        )
        widths.append(width)
        packed.append(array.astype(_WIDTHS[width]).tobytes())
    head = json.dumps(
        {
            "segment": number,
            "templates": list(templates),
            "inputs": [encode_meta(meta) for meta in segment.inputs],
            "steps": len(steps),
            "refs": len(columns[-1]),
            "widths": widths,
        },
        separators=(",", ":"),
    ).encode()
    return b"".join((_LENGTH.pack(len(head)), head, *packed))


def decode_segment(payload: Any, templates: Sequence[Template]) -> tuple[int, Segment]:
    """The number and the segment; `templates` are all that passed the line.

    Raises:
        ProtocolError: a step names what does not exist before it, or what it does not fit.
    """
    number, columns, own, inputs = _read(payload, templates)
    return number, Segment(templates=own, steps=_steps(columns), inputs=inputs)


def count_segment(payload: Any, templates: Sequence[Template]) -> SegmentCounts:
    """The same checks without making the segment, in a tenth of the time.

    Raises:
        ProtocolError: as `decode_segment`.
    """
    number, columns, own, inputs = _read(payload, templates)
    template, _, made, floats, _ = columns
    ops: dict[str, int] = {}
    for one, count in zip(own, np.bincount(template, minlength=len(own)).tolist(), strict=True):
        ops[one.op] = ops.get(one.op, 0) + count
    return SegmentCounts(number, len(inputs), len(made), int(made.sum()), int(floats.sum()), ops)


def _read(
    payload: Any, templates: Sequence[Template]
) -> tuple[int, list[NDArray[Any]], tuple[Template, ...], tuple[TensorMeta, ...]]:
    (length,) = _LENGTH.unpack_from(payload)
    head = json.loads(bytes(memoryview(payload)[_LENGTH.size : _LENGTH.size + length]))
    count, refs, at = head["steps"], head["refs"], _LENGTH.size + length
    if any(type(one) is not int or one < 0 for one in (count, refs, head["segment"])):
        raise ProtocolError("a segment's counts are no numbers")
    columns: list[NDArray[Any]] = []
    for width, entries in zip(head["widths"], (count, count, count, count, refs), strict=True):
        form = np.dtype(_WIDTHS[width])
        if at + entries * form.itemsize > len(payload):
            raise ProtocolError("a segment is shorter than it says")
        columns.append(np.frombuffer(payload, form, entries, at).astype(np.int64))
        at += entries * form.itemsize
    if at != len(payload):
        raise ProtocolError("a segment is longer than it says")
    own = tuple([templates[_index(number, len(templates))] for number in head["templates"]])
    inputs = tuple([decode_meta(meta) for meta in head["inputs"]])
    _check(columns, own, len(inputs))
    return head["segment"], columns, own, inputs


def _check(columns: list[NDArray[Any]], templates: tuple[Template, ...], given: int) -> None:
    """Each step fits its template and refers only to what was there before it."""
    template, taken, made, floats, refs = columns
    if len(template) == 0:
        if len(refs):
            raise ProtocolError("a segment without steps refers to values")
        return
    if template.min() < 0 or template.max() >= len(templates):
        raise ProtocolError("a step names a template that its segment does not have")
    if min(made.min(), floats.min(), taken.min()) < 0 or int(taken.sum()) != len(refs):
        raise ProtocolError("a segment's steps do not add up")
    takes = np.array([len(one.inputs) for one in templates])
    makes = np.array([len(one.outputs) for one in templates])
    if (takes[template] != taken).any() or (makes[template] != made).any():
        raise ProtocolError("a step takes or makes another number of values than its template")
    first = np.concatenate(([0], np.cumsum(made)[:-1]))
    if len(refs) and ((refs >= np.repeat(first, taken)).any() or refs.min() < -given):
        raise ProtocolError("a step takes a value that is not there before it")


def _steps(columns: list[NDArray[Any]]) -> tuple[Step, ...]:
    template, taken, made, floats, refs = (column.tolist() for column in columns)
    steps, at = [], 0
    for index, count in enumerate(taken):
        steps.append(Step(template[index], tuple(refs[at : at + count]), made[index], floats[index]))
        at += count
    return tuple(steps)


def _index(number: Any, count: int) -> int:
    if type(number) is not int or not 0 <= number < count:
        raise ProtocolError(f"template {number!r:.50} did not pass this line")
    return number
