"""Rows of tables on disk are those of `F.embedding`, bit for bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from outgrow.errors import StoreError
from outgrow.store.header import DTYPES
from outgrow.stream.live_weight import LiveWeight
from outgrow.stream.source import WeightSource
from outgrow.stream.table import RowReader
from outgrow.stream.weights import Use, Weight
from outgrow.testing.faults import faulty_reads
from tests.stream.weight_makers import WeightFile

KINDS = ["plain", "odd offset", "segments", "cast", "narrow"]
PACKED = getattr(torch, "float4_e2m1fn_x2", None)
"""Two elements in a byte: no tables are made of it, and torch cannot look up rows of it."""


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    torch.manual_seed(0)
    file = WeightFile(tmp_path_factory.mktemp("table") / "weights.bin")
    file.add(torch.randn(500, 64).bfloat16(), Use.GATHER, align=4096)
    file.add(torch.randn(101, 33).half(), Use.GATHER, align=2)
    file.add(torch.randn(300, 20), Use.GATHER, parts=7)
    file.add(torch.randn(300, 20), Use.GATHER_AND_ROWS, dtype=torch.bfloat16, parts=2)
    file.add(torch.randn(3000, 1).double(), Use.GATHER)
    file.close()
    return dict(zip(KINDS, zip(file.weights, file.values, strict=True), strict=True))


def live(weight):
    return LiveWeight(weight, [], [], torch.device("cpu"))


def gather(weight, indices):
    reader = RowReader()
    try:
        return reader.gather(weight, indices)
    finally:
        reader.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 5), (3, 0), (0,), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_rows_are_those_of_the_whole_table(tables, kind, shape, dtype):
    weight, value = tables[kind]
    indices = torch.randint(0, value.shape[0], shape, dtype=dtype)
    actual = gather(live(weight), indices)
    expected = F.embedding(indices, value)
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_first_and_last_rows_repeated_and_out_of_order(tables, kind):
    weight, value = tables[kind]
    last = value.shape[0] - 1
    indices = torch.tensor([[last, 0, last], [1, last - 1, 0]])
    assert torch.equal(gather(live(weight), indices), value[indices])


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_any_indices(tables, data):
    weight, value = tables[data.draw(st.sampled_from(KINDS))]
    rows = st.integers(0, value.shape[0] - 1)
    indices = torch.tensor(data.draw(st.lists(rows | st.integers(0, 9), max_size=40)), dtype=torch.int64)
    assert torch.equal(gather(live(weight), indices), value[indices])


@pytest.mark.parametrize("dtype", [each for each in DTYPES.values() if each != PACKED], ids=str)
def test_rows_of_every_dtype(tmp_path, dtype):
    file = WeightFile(tmp_path / "weights.bin")
    value = torch.randint(0, 2, (64, 32 * dtype.itemsize), dtype=torch.uint8).view(dtype)
    weight = file.add(value, Use.GATHER)
    file.close()
    actual = gather(live(weight), torch.tensor([5, 0, 63, 5]))
    assert actual.dtype == dtype
    assert torch.equal(actual.view(torch.uint8), value.view(torch.uint8)[[5, 0, 63, 5]])


def test_more_indices_than_rows(tables):
    weight, value = tables["narrow"]
    indices = torch.randint(0, 3000, (400, 500))
    assert torch.equal(gather(live(weight), indices), value[indices])


def test_resident_tiles_are_not_read(tables, monkeypatch):
    weight, value = tables["cast"]
    table = live(weight)
    table.tiles = {(0, 64): value[:64] + 1, (128, 192): value[128:192] + 1}
    indices = torch.tensor([0, 63, 64, 127, 128, 191, 192, 299, 63])
    expected = value[indices] + torch.tensor([1, 1, 0, 0, 1, 1, 0, 0, 1], dtype=value.dtype)[:, None]
    assert torch.equal(gather(table, indices), expected)


@pytest.mark.parametrize("bad", [-1, 500, 1 << 40])
def test_index_out_of_range_is_the_error_that_torch_gives(tables, bad):
    weight, value = tables["plain"]
    with pytest.raises(IndexError):
        F.embedding(torch.tensor([3, bad]), value)
    with pytest.raises(IndexError, match=r"'weight.0': found .*, expected 0 to 499"):
        gather(live(weight), torch.tensor([3, bad]))


@pytest.mark.parametrize("indices", [torch.tensor([1.0]), torch.tensor([True])], ids=["float", "bool"])
def test_indices_that_cannot_be_are_torchs_own_error(tables, indices):
    weight, value = tables["plain"]
    with pytest.raises(RuntimeError) as expected:
        F.embedding(indices, value)
    with pytest.raises(RuntimeError) as actual:
        gather(live(weight), indices)
    assert str(actual.value)[:60] == str(expected.value)[:60]


def test_bad_disk_is_an_error_and_a_disturbed_one_is_not(tables):
    weight, value = tables["segments"]
    indices = torch.arange(0, 300, 7)
    with faulty_reads(["eintr", "short", "half", "empty", "short"]):
        assert torch.equal(gather(live(weight), indices), value[indices])
    with faulty_reads(["ok", "eio"]), pytest.raises(StoreError, match="Input/output error"):
        gather(live(weight), indices)


def test_file_that_is_gone_is_an_error(tmp_path):
    file = WeightFile(tmp_path / "weights.bin")
    weight = file.add(torch.zeros(10, 4), Use.GATHER)
    with pytest.raises(StoreError, match="cannot open"):
        gather(live(weight), torch.tensor([1]))


def test_neighbouring_rows_are_read_at_once(tables):
    weight, _ = tables["plain"]
    with faulty_reads() as reads:
        gather(live(weight), torch.arange(400))
    assert len(reads.calls) == 1


def test_empty_table_has_no_rows():
    source = WeightSource(name="empty", shape=(0, 8), dtype=torch.float32, segments=())
    table = live(Weight(index=0, source=source, dtype=torch.float32, use=Use.GATHER))
    assert gather(table, torch.empty(2, 0, dtype=torch.int64)).shape == (2, 0, 8)
    with pytest.raises(IndexError):
        gather(table, torch.tensor([0]))


def test_rows_without_elements():
    source = WeightSource(name="narrow", shape=(8, 0), dtype=torch.float32, segments=())
    table = live(Weight(index=0, source=source, dtype=torch.float32, use=Use.GATHER))
    assert gather(table, torch.tensor([[7], [0]])).shape == (2, 1, 0)
