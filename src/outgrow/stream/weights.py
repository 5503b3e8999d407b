"""What is streamed: weights, the pieces they are read in, and how a piece lies in memory. No I/O."""

__all__ = [
    "PAGE_BYTES",
    "PHASE_BYTES",
    "Chunk",
    "Footprint",
    "Piece",
    "Use",
    "Weight",
    "chunks_of",
    "cut_weight",
    "footprint",
    "round_up",
    "staging_for",
]

import enum
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from outgrow.stream.source import WeightSource

PAGE_BYTES = 4096
"""File offsets, addresses and lengths of direct reads are multiples of it."""
LINE_BYTES = 64
"""What every weight in memory is aligned to at least: a cache line, and the widest vector register."""
PHASE_BYTES = 16
"""Kernels tell addresses apart by their remainder modulo this: fp32 products of MKL round otherwise at 4 and
8 than at 0, and grouped products of experts take another way. At 16, 32 and 48 all were equal to those at
0."""
DIRECT_LEAST_BYTES = 64 * 1024
"""Below this a page-rounded read in place wastes more than it saves; such a piece goes through the staging
memory."""
IN_PLACE_CHUNK_BYTES = 4 << 20
"""One request to the disk. 4 threads with 4 MiB each reached the same bandwidth as larger ones (bench case
`floor`)."""
STAGED_CHUNK_BYTES = 1 << 20
"""One request through a thread's staging memory, at most; decoded bytes."""
TILE_ROWS = 64
"""Tiles have a multiple of this many rows, and never fewer: with 16 or 32 rows and a short last tile, fp32
products on CPUs were seen to differ in the last bit from the whole product; from 64 rows on they were equal
in every case tried."""
WIDE_TILE_ROWS = 192
"""The same for elements of 8 bytes and more: of fp64, tiles of 64, 128, 256 and 512 rows differed, of 96 and
192 not."""
TILE_COLUMNS = 32
"""Weights with fewer columns come whole: products with 4 to 16 of them differed now and then, in any
tiles."""


class Use(enum.Enum):
    """How a model uses a weight, which says how it may be read."""

    WHOLE = "whole"
    """All of it at once: convolutions, norms, anything unknown."""
    ROWS = "rows"
    """As the weight of a Linear: `[out, in]`, whose rows give independent outputs, so that it may come in
    tiles."""
    GATHER = "gather"
    """As the table of an embedding alone: single rows, never all of them."""
    GATHER_AND_ROWS = "gather and rows"
    """As both: an embedding tied to an output head."""

    @property
    def is_tileable(self) -> bool:
        """Whether row tiles can stand in for the whole."""
        return self in (Use.ROWS, Use.GATHER_AND_ROWS)

    @property
    def is_gathered(self) -> bool:
        """Whether single rows are looked up."""
        return self in (Use.GATHER, Use.GATHER_AND_ROWS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """A parameter as the planner sees it."""

    index: int
    """Position among the model's weights, in module order."""
    source: WeightSource
    """Where its bytes lie."""
    dtype: torch.dtype
    """Dtype in memory; differs from `source.dtype` where the model was opened in another one."""
    use: Use
    """How it is used."""
    stride: tuple[int, ...] | None = None
    """Strides in elements where the parameter is dense but not row-major; None where it is row-major."""
    phase: int = 0
    """What its address would be modulo `PHASE_BYTES` if the whole model were in memory, and therefore is when
    streamed."""

    @property
    def name(self) -> str:
        """Qualified name of the first parameter that it is."""
        return self.source.name

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape in memory."""
        return self.source.shape

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What is fetched and kept as one: a weight, or some rows of one."""

    index: int
    """Position among the plan's pieces."""
    weight: Weight
    """The weight that it is part of."""
    first_row: int
    """First row; 0 for a whole weight."""
    last_row: int
    """One past the last row; `shape[0]` for a whole weight, 1 for a scalar."""

    @property
    def is_whole(self) -> bool:
        """Whether the piece is all of its weight."""
        return self.first_row == 0 and self.last_row == _rows(self.weight)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the piece in memory."""
        return (
            self.weight.shape if self.is_whole else (self.last_row - self.first_row, *self.weight.shape[1:])
        )

    @property
    def nbytes(self) -> int:
        """Bytes in memory, without rounding."""
        return math.prod(self.shape) * self.weight.dtype.itemsize

    @property
    def begin(self) -> int:
        """First byte within the weight, in its stored dtype."""
        return self.first_row * _row_bytes(self.weight)

    @property
    def phase(self) -> int:
        """What its address in memory is modulo `PHASE_BYTES`."""
        weight = self.weight
        row_bytes = math.prod(weight.shape[1:]) * weight.dtype.itemsize
        return (weight.phase + self.first_row * row_bytes) % PHASE_BYTES

    @property
    def end(self) -> int:
        """One past the last byte within the weight, in its stored dtype."""
        return self.begin + math.prod(self.shape) * self.weight.source.dtype.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What a piece takes of memory and of the disk."""

    nbytes: int
    """Bytes to reserve, rounding included."""
    alignment: int
    """What their address must be a multiple of."""
    lead: int
    """Where in them the piece begins: what lies before it in its first page on disk comes along."""
    is_in_place: bool
    """Whether the disk writes straight into them, or a thread converts from its staging memory."""
    read_bytes: int
    """Bytes that come from the disk for one fetch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One request: a range of a file, and where its bytes go."""

    path: Path
    """The file."""
    offset: int
    """First byte wanted; page-aligned for chunks in place."""
    nbytes: int
    """Bytes to read."""
    needed: int
    """How many of them must come: a range rounded up may reach past the end of the file."""
    begin: int
    """Where in the piece's memory they go, in bytes of the *stored* dtype (in place: from the reservation's
    start). Below zero where an encoded run begins before the piece."""
    decoded_bytes: int
    """How many bytes of the stored dtype they decode to; `nbytes` where nothing is encoded."""
    is_in_place: bool = False
    """Whether the range is rounded to pages and goes to the reservation as it is."""


def cut_weight(weight: Weight, limit_bytes: int) -> list[tuple[int, int]]:
    """Row ranges of the pieces that `weight` is read in, each at most about `limit_bytes`; one range where it
    must be whole.

    Tiles are even and have a multiple of `TILE_ROWS` rows (`WIDE_TILE_ROWS` for wide elements); the last one
    may have up to as many more, less one.
    """
    rows = _rows(weight)
    if (
        not weight.use.is_tileable
        or weight.nbytes <= limit_bytes
        or len(weight.shape) != 2
        or weight.shape[1] < TILE_COLUMNS
        or weight.stride is not None
    ):
        return [(0, rows)]
    step = WIDE_TILE_ROWS if weight.dtype.itemsize >= 8 else TILE_ROWS
    row_bytes = weight.nbytes // rows
    per_tile = max(step, limit_bytes // row_bytes // step * step)
    count = math.ceil(rows / per_tile)
    # Even tiles rather than full ones and a rest, so that no slot of the window is left half used.
    even = math.ceil(rows / count / step) * step
    bounds = [*range(0, rows, even), rows]
    if len(bounds) > 2 and bounds[-1] - bounds[-2] < step:
        del bounds[-2]
    return list(itertools.pairwise(bounds))


def footprint(piece: Piece, *, in_place: bool = True) -> Footprint:
    """How `piece` lies in the window and what one fetch of it reads.

    `in_place` says whether the disk can write into the window at all; into a GPU's memory it cannot.
    """
    source = piece.weight.source
    if in_place and _fits_in_place(piece):
        segment = source.segments[0]
        low = segment.offset + piece.begin
        lead = low % PAGE_BYTES
        nbytes = round_up(lead + piece.nbytes, PAGE_BYTES)
        return Footprint(nbytes=nbytes, alignment=PAGE_BYTES, lead=lead, is_in_place=True, read_bytes=nbytes)
    read = sum(chunk.nbytes for chunk in chunks_of(piece, in_place=False, staged_bytes=STAGED_CHUNK_BYTES))
    return Footprint(
        nbytes=round_up(max(piece.phase + piece.nbytes, 1), LINE_BYTES),
        alignment=LINE_BYTES,
        lead=piece.phase,
        is_in_place=False,
        read_bytes=read,
    )


def chunks_of(piece: Piece, *, in_place: bool, staged_bytes: int) -> list[Chunk]:
    """The requests that together read `piece`; in any order.

    `in_place` as for `footprint`; what cannot go in place comes in requests of at most `staged_bytes` bytes.
    """
    source = piece.weight.source
    if in_place and _fits_in_place(piece):
        segment = source.segments[0]
        low = (segment.offset + piece.begin) // PAGE_BYTES * PAGE_BYTES
        end = segment.offset + piece.end
        high = round_up(end, PAGE_BYTES)
        return [
            Chunk(
                path=segment.path,
                offset=at,
                nbytes=min(IN_PLACE_CHUNK_BYTES, high - at),
                needed=min(IN_PLACE_CHUNK_BYTES, end - at),
                begin=at - low,
                decoded_bytes=min(IN_PLACE_CHUNK_BYTES, high - at),
                is_in_place=True,
            )
            for at in range(low, high, IN_PLACE_CHUNK_BYTES)
        ]
    return _encoded_chunks(piece) if source.codec is not None else _staged_chunks(piece, staged_bytes)


def staging_for(pieces: Iterable[Piece], chunk_bytes: int) -> int:
    """Staging memory in bytes that one thread needs to read `pieces`, none of them in place, by
    `chunk_bytes`.

    Room for the bytes as they lie on disk, rounded out to pages, and for what encoded ones decode to.
    """
    staging = 0
    for piece in pieces:
        source = piece.weight.source
        if source.codec is None:
            staging = max(
                staging, round_up(min(piece.end - piece.begin, chunk_bytes), PAGE_BYTES) + 2 * PAGE_BYTES
            )
            continue
        for chunk in _encoded_chunks(piece):
            raw = round_up(chunk.nbytes, PAGE_BYTES) + 2 * PAGE_BYTES
            staging = max(staging, raw + round_up(chunk.decoded_bytes, PAGE_BYTES))
    return staging


def round_up(number: int, multiple: int) -> int:
    """The least multiple of `multiple` that is at least `number`."""
    return -(-number // multiple) * multiple


def _fits_in_place(piece: Piece) -> bool:
    weight = piece.weight
    source = weight.source
    return (
        source.codec is None
        and weight.dtype == source.dtype
        and len(source.segments) == 1
        and source.segments[0].offset % source.dtype.itemsize == 0
        and source.segments[0].offset % PHASE_BYTES == weight.phase
        and piece.nbytes >= DIRECT_LEAST_BYTES
    )


def _staged_chunks(piece: Piece, staged_bytes: int) -> list[Chunk]:
    chunks = []
    step = max(staged_bytes // LINE_BYTES * LINE_BYTES, LINE_BYTES)
    for segment in piece.weight.source.segments:
        low = max(segment.begin, piece.begin)
        high = min(segment.begin + segment.nbytes, piece.end)
        for at in range(low, high, step):
            count = min(step, high - at)
            chunks.append(
                Chunk(
                    path=segment.path,
                    offset=segment.offset + at - segment.begin,
                    nbytes=count,
                    needed=count,
                    begin=at - piece.begin,
                    decoded_bytes=count,
                )
            )
    return chunks


def _encoded_chunks(piece: Piece) -> list[Chunk]:
    source = piece.weight.source
    bounds = itertools.pairwise([*(segment.begin for segment in source.segments), source.nbytes])
    return [
        Chunk(
            path=segment.path,
            offset=segment.offset,
            nbytes=segment.nbytes,
            needed=segment.nbytes,
            begin=begin - piece.begin,
            decoded_bytes=end - begin,
        )
        for segment, (begin, end) in zip(source.segments, bounds, strict=True)
        if begin < piece.end and end > piece.begin
    ]


def _rows(weight: Weight) -> int:
    return weight.shape[0] if weight.shape else 1


def _row_bytes(weight: Weight) -> int:
    return math.prod(weight.shape[1:]) * weight.source.dtype.itemsize
