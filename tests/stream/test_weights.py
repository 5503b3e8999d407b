"""Pieces cover their weights, and the requests for a piece cover the piece, byte for byte."""

import itertools
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.stream.source import Segment, WeightSource
from outgrow.stream.weights import (
    DIRECT_LEAST_BYTES,
    IN_PLACE_CHUNK_BYTES,
    PAGE_BYTES,
    TILE_ROWS,
    Use,
    Weight,
    chunks_of,
    cut_weight,
    footprint,
    round_up,
    staging_for,
)
from tests.stream.weight_makers import FILE, piece_of, weight


@pytest.mark.parametrize(
    ("use", "tileable", "gathered"),
    [
        (Use.WHOLE, False, False),
        (Use.ROWS, True, False),
        (Use.GATHER, False, True),
        (Use.GATHER_AND_ROWS, True, True),
    ],
)
def test_uses_say_how_a_weight_may_be_read(use, tileable, gathered):
    assert (use.is_tileable, use.is_gathered) == (tileable, gathered)


def test_weight_counts_bytes_in_memory_and_piece_on_disk():
    cast = weight(0, (6, 10), dtype=torch.bfloat16, stored=torch.float32)
    assert (cast.name, cast.nbytes) == ("weight.0", 120)
    piece = piece_of(cast, (2, 5))
    assert (piece.shape, piece.nbytes, piece.is_whole) == ((3, 10), 60, False)
    assert (piece.begin, piece.end) == (80, 200)


@pytest.mark.parametrize("shape", [(), (7,), (0, 5), (5, 0), (3, 4, 5)])
def test_whole_piece_is_all_of_its_weight(shape):
    whole = piece_of(weight(0, shape, Use.WHOLE))
    assert whole.is_whole
    assert (whole.shape, whole.begin, whole.end) == (shape, 0, math.prod(shape) * 2)


# -- tiles ------------------------------------------------------------------------------------


def test_even_tiles_of_64_rows_each():
    # 1,000 rows of 2 KiB, at most 512 KiB: four tiles of 256 rows, the last one shorter.
    assert cut_weight(weight(0, (1000, 1024)), 512 << 10) == [(0, 256), (256, 512), (512, 768), (768, 1000)]


def test_short_last_tile_joins_the_one_before():
    assert cut_weight(weight(0, (1030, 1024)), 256 << 10)[-1] == (896, 1030)
    assert cut_weight(weight(0, (127, 1024)), 1) == [(0, 127)]
    assert cut_weight(weight(0, (128, 1024)), 1) == [(0, 64), (64, 128)]


@pytest.mark.parametrize("whole", [
    weight(0, (1000, 1024), Use.WHOLE),
    weight(0, (1000, 1024), Use.GATHER),
    weight(0, (1000, 32, 32)),
    weight(0, (1000, 1024), stride=(1, 1000)),
    weight(0, (1024000,)),
    weight(0, (0, 1024)),
    weight(0, (1000, 0)),
    weight(0, (), Use.WHOLE),
], ids=lambda whole: f"{whole.use.value} {whole.shape} {whole.stride}")  # fmt: skip
def test_what_has_no_independent_rows_is_not_cut(whole):
    assert cut_weight(whole, 4096) == [(0, whole.shape[0] if whole.shape else 1)]


def test_tiles_of_wide_elements_have_a_multiple_of_192_rows():
    bounds = cut_weight(weight(0, (1000, 64), dtype=torch.float64), 1)
    assert bounds == [(0, 192), (192, 384), (384, 576), (576, 768), (768, 1000)]


def test_weight_of_few_columns_comes_whole():
    assert len(cut_weight(weight(0, (1000, 31)), 1)) == 1
    assert len(cut_weight(weight(0, (1000, 32)), 1)) == 15


def test_weight_that_fits_is_not_cut():
    whole = weight(0, (1000, 1024))
    assert cut_weight(whole, whole.nbytes) == [(0, 1000)]
    assert len(cut_weight(whole, whole.nbytes - 1)) == 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@given(rows=st.integers(1, 5000), columns=st.integers(32, 300), limit=st.integers(1, 1 << 22))
def test_tiles_cover_the_rows_and_none_is_short(rows, columns, limit, dtype):
    whole = weight(0, (rows, columns), dtype=dtype)
    bounds = cut_weight(whole, limit)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == rows
    assert all(end == begin for (_, end), (begin, _) in itertools.pairwise(bounds))
    sizes = [end - begin for begin, end in bounds]
    assert all(size >= min(TILE_ROWS, rows) for size in sizes)
    assert all(size % TILE_ROWS == 0 for size in sizes[:-1])
    most = max(TILE_ROWS, limit // (columns * dtype.itemsize)) + TILE_ROWS - 1
    assert all(size <= most for size in sizes)
    # Even: no tile is much larger than it must be.
    assert len(set(sizes[:-1])) <= 1


# -- footprints -------------------------------------------------------------------------------


def test_footprint_in_place_takes_the_pages_that_the_piece_touches():
    whole = weight(0, (100, 1024), offset=3 * PAGE_BYTES + 72)
    print_of = footprint(piece_of(whole))
    assert (print_of.lead, print_of.alignment, print_of.is_in_place) == (72, PAGE_BYTES, True)
    assert print_of.nbytes == print_of.read_bytes == round_up(72 + 204_800, PAGE_BYTES)


def test_footprint_of_a_tile_begins_in_the_middle_of_a_page():
    whole = weight(0, (1000, 1000), offset=8)
    print_of = footprint(piece_of(whole, (64, 256)))
    assert print_of.lead == (8 + 64 * 2000) % PAGE_BYTES
    assert print_of.lead + 192 * 2000 <= print_of.nbytes


@pytest.mark.parametrize("whole", [
    weight(0, (10, 10)),
    weight(0, (1000, 1024), stored=torch.float32),
    weight(0, (1000, 1024), parts=3),
    weight(0, (1000, 1024), offset=7),
], ids=["small", "cast", "segments", "odd offset"])  # fmt: skip
def test_footprint_through_staging_memory_is_of_the_size_in_memory(whole):
    piece = piece_of(whole)
    print_of = footprint(piece)
    assert (print_of.lead, print_of.alignment, print_of.is_in_place) == (0, 64, False)
    assert print_of.nbytes == round_up(whole.nbytes, 64)
    assert print_of.read_bytes == whole.source.nbytes


def test_nothing_lies_in_place_in_a_gpus_memory():
    piece = piece_of(weight(0, (1000, 1024)))
    assert footprint(piece).is_in_place
    assert not footprint(piece, in_place=False).is_in_place


def test_footprint_of_nothing_is_something():
    assert footprint(piece_of(weight(0, (0, 5)))).nbytes == 64


# -- requests ---------------------------------------------------------------------------------


def test_requests_in_place_are_whole_pages_and_need_only_the_piece():
    whole = weight(0, (5000, 1024), offset=PAGE_BYTES + 8)
    chunks = chunks_of(piece_of(whole), in_place=True, staged_bytes=4096)
    assert [(chunk.offset, chunk.nbytes, chunk.begin) for chunk in chunks] == [
        (PAGE_BYTES, IN_PLACE_CHUNK_BYTES, 0),
        (PAGE_BYTES + IN_PLACE_CHUNK_BYTES, IN_PLACE_CHUNK_BYTES, IN_PLACE_CHUNK_BYTES),
        (PAGE_BYTES + 2 * IN_PLACE_CHUNK_BYTES, 1_855_488, 2 * IN_PLACE_CHUNK_BYTES),
    ]
    assert [chunk.needed for chunk in chunks] == [
        IN_PLACE_CHUNK_BYTES,
        IN_PLACE_CHUNK_BYTES,
        10_240_000 + 8 - 2 * IN_PLACE_CHUNK_BYTES,
    ]
    assert all(chunk.is_in_place for chunk in chunks)


def test_requests_through_staging_memory_are_exact():
    whole = weight(0, (3, 100), dtype=torch.float32, offset=40)
    chunks = chunks_of(piece_of(whole), in_place=True, staged_bytes=500)
    assert [(chunk.offset, chunk.nbytes, chunk.needed, chunk.begin) for chunk in chunks] == [
        (40, 448, 448, 0), (488, 448, 448, 448), (936, 304, 304, 896),
    ]  # fmt: skip
    assert not any(chunk.is_in_place for chunk in chunks)


def encoded(shape, begins, *, run_bytes=10, dtype=torch.bfloat16, index=0, use=Use.ROWS):
    segments = tuple(
        Segment(path=FILE, offset=100 + 50 * number, nbytes=run_bytes, begin=begin)
        for number, begin in enumerate(begins)
    )
    source = WeightSource(name="encoded", shape=shape, dtype=dtype, segments=segments, codec="zip")
    return Weight(index=index, source=source, dtype=dtype, use=use)


def test_requests_for_encoded_bytes_are_whole_runs_that_hang_over():
    whole = encoded((100, 5), [0, 300, 600, 900])
    chunks = chunks_of(piece_of(whole, (40, 70)), in_place=True, staged_bytes=64)
    # The piece is bytes 400 to 700: the runs of 300 to 600 and of 600 to 900.
    assert [(chunk.offset, chunk.nbytes, chunk.begin, chunk.decoded_bytes) for chunk in chunks] == [
        (150, 10, -100, 300), (200, 10, 200, 300),
    ]  # fmt: skip
    assert footprint(piece_of(whole, (40, 70))).read_bytes == 20
    # Bytes 300 to 600 are one run, and its neighbours only touch it.
    assert [
        chunk.offset for chunk in chunks_of(piece_of(whole, (30, 60)), in_place=True, staged_bytes=64)
    ] == [150]


def test_encoded_weight_without_elements_needs_no_request():
    assert chunks_of(piece_of(encoded((0, 5), [])), in_place=True, staged_bytes=64) == []


@st.composite
def pieces(draw):
    dtype = draw(st.sampled_from([torch.float32, torch.bfloat16, torch.uint8]))
    rows, columns = draw(st.integers(1, 700)), draw(st.integers(1, 400))
    whole = weight(
        0,
        (rows, columns),
        dtype=dtype,
        stored=draw(st.sampled_from([dtype, dtype, torch.float32])),
        offset=draw(st.sampled_from([0, 8, 104, 4096, 4103])),
        parts=draw(st.sampled_from([1, 1, 2, 3, 7])),
    )
    bounds = cut_weight(whole, draw(st.integers(1, whole.nbytes)))
    return piece_of(whole, draw(st.sampled_from(bounds)))


@given(piece=pieces(), in_place=st.booleans(), staged=st.integers(64, 1 << 20))
def test_requests_cover_exactly_the_piece(piece, in_place, staged):
    print_of = footprint(piece, in_place=in_place)
    chunks = chunks_of(piece, in_place=in_place, staged_bytes=staged)
    assert {chunk.is_in_place for chunk in chunks} == {print_of.is_in_place}
    stored = piece.weight.source
    if print_of.is_in_place:
        # Whole pages one after the other, from the one with the first byte to the one with the last.
        assert all(chunk.offset % PAGE_BYTES == chunk.nbytes % PAGE_BYTES == 0 for chunk in chunks)
        assert [chunk.begin for chunk in chunks] == [0, *itertools.accumulate(c.nbytes for c in chunks[:-1])]
        assert sum(chunk.nbytes for chunk in chunks) == print_of.nbytes == print_of.read_bytes
        assert sum(chunk.needed for chunk in chunks) == print_of.lead + piece.nbytes
        assert chunks[0].offset + print_of.lead == stored.segments[0].offset + piece.begin
        assert all(0 < chunk.needed <= chunk.nbytes for chunk in chunks)
        assert piece.nbytes >= DIRECT_LEAST_BYTES
        return
    assert [chunk.begin for chunk in chunks] == [0, *itertools.accumulate(c.nbytes for c in chunks[:-1])]
    assert sum(chunk.nbytes for chunk in chunks) == piece.end - piece.begin
    for chunk in chunks:
        assert chunk.needed == chunk.decoded_bytes == chunk.nbytes <= staged
        # Each comes from the one segment that holds its bytes.
        at = piece.begin + chunk.begin
        (segment,) = [s for s in stored.segments if s.begin <= at < s.begin + s.nbytes]
        assert chunk.offset == segment.offset + at - segment.begin
        assert at + chunk.nbytes <= segment.begin + segment.nbytes
    assert footprint(piece, in_place=False).read_bytes == piece.end - piece.begin


@given(piece=pieces(), staged=st.integers(4096, 1 << 20))
def test_staging_memory_holds_every_request_rounded_to_pages(piece, staged):
    room = staging_for([piece], staged)
    for chunk in chunks_of(piece, in_place=False, staged_bytes=staged):
        low = chunk.offset // PAGE_BYTES * PAGE_BYTES
        assert round_up(chunk.offset + chunk.nbytes, PAGE_BYTES) - low <= room


@given(
    rows=st.integers(1, 300),
    cuts=st.sets(st.integers(1, 10_000), max_size=6),
    tile=st.tuples(st.integers(0, 299), st.integers(1, 300)),
)
def test_encoded_runs_cover_the_piece_and_none_is_read_in_vain(rows, cuts, tile):
    whole = encoded((rows, 16), [0, *sorted(cut for cut in cuts if cut < rows * 32)])
    first = min(tile[0], rows - 1)
    piece = piece_of(whole, (first, min(first + tile[1], rows)))
    chunks = chunks_of(piece, in_place=True, staged_bytes=64)
    spans = [(chunk.begin, chunk.begin + chunk.decoded_bytes) for chunk in chunks]
    assert spans[0][0] <= 0
    assert spans[-1][1] >= piece.end - piece.begin
    assert all(end == begin for (_, end), (begin, _) in itertools.pairwise(spans))
    assert all(end > 0 and begin < piece.end - piece.begin for begin, end in spans)
    room = staging_for([piece], 4096)
    assert all(room >= round_up(c.nbytes, PAGE_BYTES) + c.decoded_bytes for c in chunks)


def test_staging_memory_for_nothing_is_none():
    assert staging_for([], 1 << 20) == 0


@pytest.mark.parametrize(
    ("number", "multiple", "expected"), [(0, 64, 0), (1, 64, 64), (64, 64, 64), (65, 64, 128)]
)
def test_round_up(number, multiple, expected):
    assert round_up(number, multiple) == expected


def test_requests_name_the_file_of_their_segment():
    segments = (
        Segment(path=Path("one.bin"), offset=0, nbytes=8, begin=0),
        Segment(path=Path("two.bin"), offset=16, nbytes=8, begin=8),
    )
    source = WeightSource(name="w", shape=(2, 4), dtype=torch.bfloat16, segments=segments)
    whole = Weight(index=0, source=source, dtype=torch.bfloat16, use=Use.ROWS)
    chunks = chunks_of(piece_of(whole), in_place=True, staged_bytes=64)
    assert [(str(chunk.path), chunk.offset, chunk.begin) for chunk in chunks] == [
        ("one.bin", 0, 0),
        ("two.bin", 16, 8),
    ]
