import json
import struct

import pytest

from outgrow.compare.readers.entry import read_entry
from outgrow.compare.readers.limits import Limits
from tests.compare.readers.files.file_reader_contract import read_all


def read(tmp_path, header, data=b"", **limits):
    path = tmp_path / "x.safetensors"
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
    return read_entry(path, path.name, Limits(**limits))


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_one_lie_costs_its_own_tensor_alone(tmp_path):
    header = {"good": entry(), "lie": entry(shape=(9,), offsets=(8, 16)), "__metadata__": {"a": "b"}}
    content = read(tmp_path, header, struct.pack("<4f", 1, 2, 3, 4))
    assert read_all(content)["good"].tolist() == [1, 2]
    assert [refusal.entry for refusal in content.refused] == ["x.safetensors/lie"]


def test_overlaps_and_holes_are_named(tmp_path):
    content = read(tmp_path, {"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12))
    assert {refusal.entry for refusal in content.refused} == {"x.safetensors/b"}
    assert "overlaps" in content.refused[0].reason


def test_half_bytes_are_refused_by_name(tmp_path):
    content = read(tmp_path, {"half": entry("F4", (4,), (0, 2)), "good": entry(offsets=(2, 10))}, bytes(10))
    assert list(read_all(content)) == ["good"]
    assert [refusal.entry for refusal in content.refused] == ["x.safetensors/half"]


@pytest.mark.parametrize(
    ("limits", "says"),
    [({"max_entries": 1}, "max_entries"), ({"max_header_bytes": 20}, "max_header_bytes")],
    ids=str,
)
def test_limits_are_options(tmp_path, limits, says):
    content = read(tmp_path, {"a": entry(), "b": entry(offsets=(8, 16))}, bytes(16), **limits)
    assert content.records == ()
    assert says in content.refused[0].reason


def test_names_without_utf8_survive(tmp_path):
    content = read(tmp_path, b'{"\\ud800":%s}' % json.dumps(entry()).encode(), bytes(8))
    assert list(read_all(content)) == ["\ud800"]
