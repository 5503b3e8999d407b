"""Honest archives, damaged at random: refusals come out, or the tensors that went in, and nothing stays."""

import functools
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outgrow.compare.readers.archives import open_archive
from outgrow.compare.readers.limits import Limits
from outgrow.errors import OutgrowError
from tests.compare.readers.archive_makers import KINDS, tensor_file

LIMITS = Limits(max_bytes=2**24, max_entries=1000)
# Values that lengths, offsets and counts break at.
_EDGES = [0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1]


def _torch_file() -> bytes:
    buffer = io.BytesIO()
    torch.save({"w": torch.arange(20.0), "s": 3}, buffer)
    return buffer.getvalue()


@functools.cache
def _honest(kind: str) -> bytes:
    content = {"run/0.safetensors": tensor_file(0, 5, 7), "run/1.pth": _torch_file(), "run/2.txt": b"text"}
    return KINDS[kind][1](content)


def _mutate(data: bytes, draw: Callable[[st.SearchStrategy[int]], int]) -> bytes:
    raw = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(raw) - 1)))
        what = draw(st.integers(0, 5))
        if what == 0 and raw:
            raw[at] ^= 1 << draw(st.integers(0, 7))
        elif what == 1:
            value = _EDGES[draw(st.integers(0, len(_EDGES) - 1))]
            wide = 2 ** draw(st.integers(0, 3))
            raw[at : at + wide] = (value % 256**wide).to_bytes(wide, "little")
        elif what == 2:
            del raw[at : at + draw(st.integers(1, 2000))]
        elif what == 3:
            size = draw(st.integers(1, 2000))
            to = draw(st.integers(0, len(raw)))
            raw[to:to] = raw[at : at + size]
        elif what == 4:
            size = draw(st.integers(1, 600))
            to = draw(st.integers(0, len(raw)))
            raw[to : to + size] = raw[at : at + size]
        else:
            raw[at:] = b""
    return bytes(raw)


def _bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the archive lies, and where temporary files would."""
    path = tmp_path_factory.mktemp("fuzz")
    with mock.patch("tempfile.tempdir", str(path)):
        yield path


@pytest.fixture(scope="module")
def originals(folder: Path) -> frozenset[bytes]:
    """The bytes of all tensors that are in the honest archives."""
    path = folder / "x"
    path.write_bytes(_honest("zip"))
    archive = open_archive(path, LIMITS)
    found = {_bits(record.read()) for _, content in archive.contents for record in content.records}
    archive.close()
    assert len(found) == 3
    return frozenset(found)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(data=st.data())
def test_damage_gives_refusals_or_the_same_tensors(folder, originals, kind, data):
    path = folder / "x"
    path.write_bytes(_mutate(_honest(kind), data.draw))
    try:
        archive = open_archive(path, LIMITS)
    except OutgrowError:
        return
    try:
        for name, content in archive.contents:
            assert name
            assert ".." not in name.split("/")
            for record in content.records:
                try:
                    tensor = record.read()
                except OutgrowError:
                    continue
                # A plain tar has no checksums, and a compressed one that was cut short lost its own.
                has_checksum = "zip" in kind or ("z" in kind and not archive.refused)
                assert not has_checksum or _bits(tensor) in originals
        for refusal in archive.refused:
            assert refusal.entry.isprintable()
            assert refusal.reason
    finally:
        archive.close()
    assert [file.name for file in folder.iterdir()] == ["x"]


@given(data=st.binary(max_size=2000))
def test_any_bytes_at_all(folder, data):
    path = folder / "x"
    for magic in (b"", b"PK\3\4", b"\x1f\x8b\x08\0", b"BZh9", b"\xfd7zXZ\0"):
        path.write_bytes(magic + data)
        with pytest.raises(OutgrowError):
            open_archive(path, LIMITS)
