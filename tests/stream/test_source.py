"""Sources describe exactly the bytes of their weights, whole and by rows."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.errors import InputError, StoreError
from outgrow.store.header import TensorMeta
from outgrow.stream.source import Segment, WeightSource, cut, join, read_rows, source_of

FILE = Path("weights.bin")


def segment(offset, nbytes, begin, path=FILE):
    return Segment(path=path, offset=offset, nbytes=nbytes, begin=begin)


def source(shape, segments, dtype=torch.bfloat16, codec=None):
    return WeightSource(name="w", shape=shape, dtype=dtype, segments=tuple(segments), codec=codec)


def test_source_of_a_tensor_in_a_file_is_one_segment():
    meta = TensorMeta(name="a.b", dtype=torch.float32, shape=(3, 5), path=FILE, offset=104, nbytes=60)
    expected = WeightSource(name="a.b", shape=(3, 5), dtype=torch.float32, segments=(segment(104, 60, 0),))
    assert source_of(meta) == expected
    assert expected.nbytes == 60


def test_empty_tensor_has_no_segments():
    meta = TensorMeta(name="a", dtype=torch.float32, shape=(0, 5), path=FILE, offset=104, nbytes=0)
    assert source_of(meta).segments == ()
    assert read_rows(source_of(meta), 0, None).shape == (0, 5)


def test_rows_split_segments():
    # Six rows of 4 bytes; the second segment begins in the middle of row 2.
    whole = source((6, 2), [segment(100, 10, 0), segment(500, 14, 10)])
    assert whole.rows(1, 4) == source((3, 2), [segment(104, 6, 0), segment(500, 6, 6)])
    assert whole.rows(0, 2) == source((2, 2), [segment(100, 8, 0)])
    assert whole.rows(3, 6) == source((3, 2), [segment(502, 12, 0)])
    assert whole.rows(0, 6) == whole
    assert whole.rows(4, 4) == source((0, 2), [])


@pytest.mark.parametrize(("first", "last"), [(-1, 2), (2, 1), (0, 7)])
def test_rows_outside_are_refused(first, last):
    with pytest.raises(InputError, match=r"outside weight 'w' with 6 rows"):
        source((6,), [segment(0, 12, 0)]).rows(first, last)


def test_rows_of_a_scalar_are_refused():
    with pytest.raises(InputError, match="scalar"):
        source((), [segment(0, 2, 0)]).rows(0, 1)


def test_rows_of_an_encoded_weight_are_refused():
    encoded = source((6,), [segment(0, 5, 0)], codec="zstd")
    assert (encoded.nbytes, sum(segment.nbytes for segment in encoded.segments)) == (12, 5)
    with pytest.raises(InputError, match="encoded with 'zstd'"):
        encoded.rows(0, 1)


@pytest.mark.parametrize(
    "segments",
    [
        [segment(0, 10, 0)],
        [segment(0, 14, 0)],
        [segment(0, 6, 0), segment(6, 6, 7)],
        [segment(0, 6, 0), segment(6, 7, 5)],
        [segment(6, 6, 6), segment(0, 6, 0)],
        [],
    ],
    ids=["short", "long", "gap", "overlap", "unordered", "nothing"],
)
def test_segments_that_do_not_cover_the_weight_are_refused(segments):
    with pytest.raises(InputError, match="'w'"):
        source((6,), segments)


@pytest.mark.parametrize(("offset", "nbytes", "begin"), [(-1, 1, 0), (0, 0, 0), (0, 1, -1)])
def test_impossible_segment_is_refused(offset, nbytes, begin):
    with pytest.raises(InputError, match=r"weights\.bin"):
        segment(offset, nbytes, begin)


def test_join_counts_anew_and_merges_what_touches():
    other = Path("other.bin")
    pieces = [(segment(0, 4, 0),), (segment(4, 4, 0), segment(0, 4, 4, other)), (segment(4, 2, 0),)]
    assert join(pieces) == (segment(0, 8, 0), segment(0, 4, 8, other), segment(4, 2, 12))
    assert join([]) == ()


@st.composite
def scattered(draw):
    """Rows of a weight scattered over a file: the shape, the segments, and the bytes they mean."""
    rows, row_bytes = draw(st.integers(1, 13)), draw(st.integers(1, 7)) * 2
    content = bytes(range(256)) * 8
    segments, begin = [], 0
    while begin < rows * row_bytes:
        nbytes = min(draw(st.integers(1, 40)), rows * row_bytes - begin)
        segments.append(segment(draw(st.integers(0, len(content) - nbytes)), nbytes, begin))
        begin += nbytes
    expected = b"".join(content[one.offset : one.offset + one.nbytes] for one in segments)
    return source((rows, row_bytes // 2), segments), content, expected


@given(scattered(), st.data())
def test_cut_means_the_same_bytes_as_a_slice(case, data):
    whole, content, expected = case
    begin = data.draw(st.integers(0, len(expected)))
    end = data.draw(st.integers(begin, len(expected)))
    pieces = cut(whole.segments, begin, end)
    assert b"".join(content[one.offset : one.offset + one.nbytes] for one in pieces) == expected[begin:end]
    assert [one.begin for one in pieces] == [
        sum(before.nbytes for before in pieces[:i]) for i in range(len(pieces))
    ]
    first = data.draw(st.integers(0, whole.shape[0]))
    last = data.draw(st.integers(first, whole.shape[0]))
    row_bytes = whole.nbytes // whole.shape[0]
    assert whole.rows(first, last).segments == cut(whole.segments, first * row_bytes, last * row_bytes)


def test_read_rows_reads_what_was_written(tmp_path):
    weight = torch.randn(7, 3)
    path = tmp_path / "weights.bin"
    path.write_bytes(b"12345" + weight.numpy().tobytes())
    whole = source((7, 3), [segment(5, 84, 0, path)], dtype=torch.float32)
    assert torch.equal(read_rows(whole, 0, None), weight)
    assert torch.equal(read_rows(whole, 2, 5), weight[2:5])


def test_read_rows_of_a_short_file_says_so(tmp_path):
    path = tmp_path / "weights.bin"
    path.write_bytes(b"1234")
    with pytest.raises(StoreError, match="expected 12 bytes at offset 2, found 2") as caught:
        read_rows(source((6,), [segment(2, 12, 0, path)]), 0, None)
    assert "verify" in caught.value.hint
    with pytest.raises(StoreError, match="cannot read"):
        read_rows(source((6,), [segment(2, 12, 0, tmp_path / "gone")]), 0, None)
