import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from outgrow.errors import InputError
from outgrow.store.header import (
    DTYPES,
    HEADER_LIMIT_BYTES,
    StoreCorrupt,
    encode_header,
    inspect_header,
    read_header,
)
from outgrow.testing.strategies import tensor_dicts


def write(path: Path, header: object, data: bytes = b"", *, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def entry(dtype="F32", shape=(2,), offsets=(0, 8)) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@given(tensors=tensor_dicts())
@pytest.mark.peer
def test_reads_what_safetensors_writes(tmp_path_factory, tensors):
    path = tmp_path_factory.mktemp("peer") / "x.safetensors"
    save_file(tensors, path, metadata={"format": "pt", "ü": "é"})
    metas, metadata = read_header(path)
    assert metadata == {"format": "pt", "ü": "é"}
    assert {name: (meta.dtype, meta.shape) for name, meta in metas.items()} == {
        name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()
    }
    content = path.read_bytes()
    for name, meta in metas.items():
        data = content[meta.offset : meta.offset + meta.nbytes]
        assert data == bytes(tensors[name].reshape(-1).view(torch.uint8).tolist())


def test_knows_every_dtype_of_safetensors():
    from safetensors.torch import _TYPES

    assert set(_TYPES) <= set(DTYPES)
    assert {"F8_E8M0", "F4"} <= set(DTYPES)


def test_a_missing_file_is_the_callers_mistake(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_header(tmp_path / "gone.safetensors")
    with pytest.raises(InputError, match="is a directory"):
        read_header(tmp_path)


HOSTILE = {
    "empty": (lambda path: path.write_bytes(b""), "it has 0 bytes"),
    "only a length": (lambda path: path.write_bytes(b"\x02" + b"\0" * 7), "it has 8 bytes"),
    "huge length": (
        lambda path: write(path, {}, b"1234", length=2**63),
        "would have 9,223,372,036,854,775,808",
    ),
    "just over the limit": (lambda path: write(path, {}, length=HEADER_LIMIT_BYTES + 1), "100,000,001 bytes"),
    "length past the end": (lambda path: write(path, {}, length=100), "ends at byte 108 but the file has 10"),
    "zip": (lambda path: path.write_bytes(b"PK\x03\x04\0\0\0\0" * 2**14), "not a safetensors file"),
    "not json": (lambda path: write(path, b"{hello}"), "cannot be understood"),
    "not utf-8": (lambda path: write(path, b'{"\xff": 1}'), "cannot be understood"),
    "deep": (lambda path: write(path, b'{"a":' * 100_000), "cannot be understood"),
    "duplicate": (
        lambda path: write(path, b'{"a":%s,"a":%s}' % ((json.dumps(entry()).encode(),) * 2), b"12345678"),
        "the name 'a' occurs twice",
    ),
    "metadata of numbers": (lambda path: write(path, {"__metadata__": {"a": 1}}), "metadata"),
    "entry is a list": (lambda path: write(path, {"a": []}), "needs a dtype"),
    "no dtype": (lambda path: write(path, {"a": {"shape": [], "data_offsets": [0, 0]}}), "needs a dtype"),
    "unknown dtype": (lambda path: write(path, {"a": entry("Q7")}, b"12345678"), "unknown dtype 'Q7'"),
    "negative dim": (lambda path: write(path, {"a": entry(shape=(-2,))}, b"12345678"), "counts"),
    "bool dim": (lambda path: write(path, {"a": entry(shape=(True, 2))}, b"12345678"), "counts"),
    "float dim": (lambda path: write(path, {"a": entry(shape=(2.0,))}, b"12345678"), "counts"),
    "many dims": (lambda path: write(path, {"a": entry(shape=(2**60,) * 10_000)}), "64 counts"),
    "wrong size": (lambda path: write(path, {"a": entry(shape=(3,))}, b"12345678"), "has 8 bytes but"),
    "overflowing shape": (
        lambda path: write(path, {"a": entry(shape=(2**62, 4), offsets=(0, 0))}),
        "has 0 bytes but",
    ),
    "backwards": (lambda path: write(path, {"a": entry(offsets=(8, 0))}, b"12345678"), "not a range"),
    "three offsets": (lambda path: write(path, {"a": entry(offsets=(0, 4, 8))}, b"12345678"), "not a range"),
    "truncated": (
        lambda path: write(path, {"a": entry()}, b"1234"),
        r"weight 'a' in .* ends at byte \d+ but the file has \d+ bytes",
    ),
    "overlap": (
        lambda path: write(path, {"a": entry(), "b": entry(offsets=(4, 12))}, b"123456789012"),
        "overlaps",
    ),
    "hole": (lambda path: write(path, {"a": entry(offsets=(4, 12))}, b"123456789012"), "hole"),
    "trailing": (lambda path: write(path, {"a": entry()}, b"123456789"), "the last tensor of"),
}


STRICTER_THAN_SAFETENSORS = {"duplicate"}


@pytest.mark.parametrize("case", HOSTILE)
def test_refuses_a_hostile_file(tmp_path, case):
    make, message = HOSTILE[case]
    path = tmp_path / "x.safetensors"
    make(path)
    with pytest.raises(StoreCorrupt, match=message) as caught:
        read_header(path)
    assert caught.value.hint
    if case not in STRICTER_THAN_SAFETENSORS:
        with pytest.raises((SafetensorError, OSError)):
            load_file(path)


@given(
    data=st.binary(max_size=64),
    flips=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 255)), max_size=4),
)
def test_any_damage_is_either_refused_or_harmless(tmp_path_factory, data, flips):
    path = tmp_path_factory.mktemp("damage") / "x.safetensors"
    save_file({"a": torch.arange(4), "b": torch.ones(3, dtype=torch.bfloat16)}, path)
    content = bytearray(path.read_bytes())
    for place, bits in flips:
        content[place % len(content)] ^= bits
    path.write_bytes(content + data)
    try:
        metas, _ = read_header(path)
    except (StoreCorrupt, InputError):
        return
    for meta in metas.values():
        assert 8 <= meta.offset <= meta.offset + meta.nbytes <= path.stat().st_size


def test_a_format_that_torch_lacks_is_named(tmp_path):
    path = write(tmp_path / "x.safetensors", {"a": entry("F6_E2M3", (4,), (0, 3))}, b"123")
    with pytest.raises(InputError, match=r"'a'.* is F6_E2M3, which torch .* has not"):
        read_header(path)
    path = write(tmp_path / "y.safetensors", {"a": entry("F4", (2, 3), (0, 3))}, b"123")
    with pytest.raises(InputError, match=r"is F4 of shape \[2, 3\], which torch cannot hold"):
        read_header(path)


def test_an_unknown_key_is_left_to_those_who_know_it(tmp_path):
    path = write(tmp_path / "x.safetensors", {"a": entry() | {"later": 1}}, b"12345678")
    assert read_header(path)[0]["a"].nbytes == 8
    assert load_file(path)["a"].shape == (2,)


def test_lists_every_problem_and_keeps_the_sound_tensors(tmp_path):
    header = {
        "good": entry(),
        "cut": entry(offsets=(8, 16)),
        "odd": entry("Q7", offsets=(16, 24)),
        "gone": entry(offsets=(24, 32)),
    }
    path = write(tmp_path / "x.safetensors", header, b"12345678")
    metas, _, problems = inspect_header(path)
    assert list(metas) == ["good"]
    assert [problem.tensor for problem in problems] == ["cut", "odd", "gone"]


def test_header_bytes_are_these():
    header, places = encode_header(
        [("a", (2, 3), torch.bfloat16), ("b", (), torch.float32)], {"k": "v"}, alignment=8
    )
    text = (
        b'{"__metadata__":{"k":"v"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},'
        b'"b":{"dtype":"F32","shape":[],"data_offsets":[12,16]}}'
    )
    padded = text + b" " * (-len(text) % 8)
    assert header == len(padded).to_bytes(8, "little") + padded
    assert places == {"a": (len(header), 12), "b": (len(header) + 12, 4)}


@pytest.mark.parametrize(
    ("specs", "metadata", "message"),
    [
        pytest.param([("a", (), torch.int8)] * 2, None, "'a' twice", id="twice"),
        pytest.param([("__metadata__", (), torch.int8)], None, "__metadata__", id="reserved"),
        pytest.param([("a", (), torch.complex128)], None, "complex128", id="dtype"),
        pytest.param([("a", (), torch.float4_e2m1fn_x2)], None, "a dim of its own", id="4-bit scalar"),
        pytest.param([], {"a": 1}, "must be text", id="metadata"),
    ],
)
def test_refuses_what_the_format_cannot_say(specs, metadata, message):
    with pytest.raises(InputError, match=message):
        encode_header(specs, metadata)
