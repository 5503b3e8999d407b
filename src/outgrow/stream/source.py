"""Where the bytes of a weight lie: runs of bytes in files that together are the weight, in its own order."""

__all__ = ["Segment", "WeightSource", "cut", "join", "read_rows", "source_of"]

import bisect
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

import torch
from torch import Tensor

from outgrow.errors import InputError, StoreError, hint_for
from outgrow.store.header import TensorMeta


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A run of bytes of a file that becomes a run of bytes of a weight."""

    path: Path
    """The file that holds the run."""
    offset: int
    """First byte of the run within the file."""
    nbytes: int
    """Length of the run in the file; above zero."""
    begin: int
    """First byte of the run within the assembled weight."""

    def __post_init__(self) -> None:
        if self.offset < 0 or self.nbytes <= 0 or self.begin < 0:
            raise InputError(
                f"a segment of {str(self.path)!r} cannot have offset {self.offset}, {self.nbytes} bytes "
                f"and begin {self.begin}",
                hint="bytes are counted from 0, and a segment has one at least",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSource:
    """Where the bytes of one weight lie, and how to read them.

    The segments are in order of `begin`, without gaps or overlaps, and cover `nbytes`. A weight without
    elements has no segments. A segment of an encoded weight is encoded by itself and decodes to the bytes up
    to the next one's `begin`.

    Raises:
        InputError: the segments do not cover the weight.
    """

    name: str
    """Qualified name of the weight in the model."""
    shape: tuple[int, ...]
    """Shape of the whole weight, row-major."""
    dtype: torch.dtype
    """Dtype as stored, which is not always the one that the model computes in."""
    segments: tuple[Segment, ...]
    """In order of `begin`, gapless."""
    codec: str | None = None
    """Name of the lossless codec of the segments' bytes; None where they are the weight's own."""

    def __post_init__(self) -> None:
        if self.codec is not None:
            begins = [segment.begin for segment in self.segments]
            if begins and (begins[0] != 0 or sorted(set(begins)) != begins or begins[-1] >= self.nbytes):
                raise InputError(
                    f"the encoded segments of weight {self.name!r} do not follow each other from byte 0",
                    hint="give them in order, the first at 0, each behind the one before",
                )
            return
        end = 0
        for segment in self.segments:
            if segment.begin != end:
                raise InputError(
                    f"the segments of weight {self.name!r} leave a gap or overlap at byte {end:,}: "
                    f"the next one begins at {segment.begin:,}",
                    hint="give segments in order whose bytes are those of the weight, each once",
                )
            end += segment.nbytes
        if end != self.nbytes:
            raise InputError(
                f"the segments of weight {self.name!r} hold {end:,} bytes, but {self.dtype} in shape "
                f"{list(self.shape)} takes {self.nbytes:,}",
                hint="give segments in order whose bytes are those of the weight, each once",
            )

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded weight in its stored dtype."""
        return math.prod(self.shape) * self.dtype.itemsize

    def rows(self, first: int, last: int) -> "WeightSource":
        """The source of `weight[first:last]` along dim 0; bounds in rows, `0 <= first <= last <= shape[0]`.

        Raises:
            InputError: the weight is encoded or has no dims, or the bounds lie outside it.
        """
        if self.codec is not None:
            raise InputError(
                f"weight {self.name!r} is encoded with {self.codec!r}: it cannot be read by rows",
                hint="ask for the whole weight, or store it without a codec",
            )
        if not self.shape:
            raise InputError(f"weight {self.name!r} is a scalar: it has no rows", hint="read it whole")
        if not 0 <= first <= last <= self.shape[0]:
            raise InputError(
                f"rows {first}:{last} lie outside weight {self.name!r} with {self.shape[0]} rows",
                hint="rows count from 0, and the last one is left out: 0 <= first <= last <= their number",
            )
        row_nbytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        return replace(
            self,
            shape=(last - first, *self.shape[1:]),
            segments=cut(self.segments, first * row_nbytes, last * row_nbytes),
        )


def cut(segments: tuple[Segment, ...], begin: int, end: int) -> tuple[Segment, ...]:
    """The bytes `begin:end` of an assembled weight as segments of their own, counted from `begin`."""
    pieces = []
    at = max(0, bisect.bisect_right(segments, begin, key=attrgetter("begin")) - 1)
    while at < len(segments) and segments[at].begin < end:
        segment = segments[at]
        low, high = max(begin, segment.begin), min(end, segment.begin + segment.nbytes)
        if low < high:
            offset = segment.offset + low - segment.begin
            pieces.append(Segment(path=segment.path, offset=offset, nbytes=high - low, begin=low - begin))
        at += 1
    return tuple(pieces)


def join(pieces: Iterable[tuple[Segment, ...]]) -> tuple[Segment, ...]:
    """Pieces one after the other, each counted from its own beginning; runs that touch in a file become
    one."""
    joined: list[Segment] = []
    end = 0
    for segment in itertools.chain.from_iterable(pieces):
        last = joined[-1] if joined else None
        if last and last.path == segment.path and last.offset + last.nbytes == segment.offset:
            joined[-1] = replace(last, nbytes=last.nbytes + segment.nbytes)
        else:
            joined.append(replace(segment, begin=end))
        end += segment.nbytes
    return tuple(joined)


def source_of(meta: TensorMeta) -> WeightSource:
    """The source of a tensor that lies in one file as it is."""
    run = Segment(path=meta.path, offset=meta.offset, nbytes=meta.nbytes, begin=0) if meta.nbytes else None
    return WeightSource(name=meta.name, shape=meta.shape, dtype=meta.dtype, segments=(run,) if run else ())


def read_rows(source: WeightSource, first: int, last: int | None) -> Tensor:
    """`weight[first:last]` along dim 0, or all of it where `last` is None, in the stored dtype on the CPU.

    Plain buffered reads, one after the other: for buffers and other small things. A scalar counts as one row.

    Raises:
        StoreError: a file cannot be read or is shorter than the source says.
    """
    part = source if last is None or not source.shape else source.rows(first, last)
    slab = torch.empty(part.nbytes, dtype=torch.uint8)
    view: memoryview = slab.numpy().data
    for segment in part.segments:
        _read_into(segment, view[segment.begin : segment.begin + segment.nbytes])
    return slab.view(part.dtype).reshape(part.shape)


def _read_into(segment: Segment, into: memoryview) -> None:
    try:
        with segment.path.open("rb") as file:
            file.seek(segment.offset)
            found = file.readinto(into)
    except OSError as err:
        raise StoreError(
            f"cannot read {str(segment.path)!r}: {err.strerror or err}", hint=hint_for(err)
        ) from err
    if found != segment.nbytes:
        raise StoreError(
            f"{str(segment.path)!r} ends early: expected {segment.nbytes:,} bytes at offset "
            f"{segment.offset:,}, found {found:,}",
            hint=f"the file was truncated; run `outgrow store verify {segment.path.parent}`",
        )
