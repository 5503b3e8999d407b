"""IDX files: what is whole is read, everything else is named."""

import gzip

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from outgrow.errors import InputError
from outgrow.evolve.data import IdxCorrupt, read_idx

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx(array):
    head = bytes([0, 0, CODES[array.dtype.str[1:]], array.ndim])
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return head + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


@given(
    st.sampled_from(sorted(CODES)).flatmap(
        lambda code: arrays.arrays(np.dtype(code), arrays.array_shapes(max_dims=4, max_side=4, min_side=0))
    )
)
def test_what_was_written_is_read(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(idx(array))
    found = read_idx(path)
    assert found.shape == array.shape
    assert np.array_equal(found.numpy(), array, equal_nan=array.dtype.kind == "f")


def test_compressed_files_are_read_whatever_their_name(tmp_path):
    array = np.arange(12, dtype="u1").reshape(3, 2, 2)
    for name in ("plain.gz", "packed"):
        (tmp_path / name).write_bytes(idx(array) if name == "plain.gz" else gzip.compress(idx(array)))
        assert torch.equal(read_idx(tmp_path / name, dims=3), torch.from_numpy(array))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: b"", "begins with nothing"),
        (lambda data: b"\x89PNG" + data, "is not an IDX file: it begins with 89504e47"),
        (lambda data: data[:2] + b"\x07" + data[3:], "is not an IDX file"),
        (lambda data: data[:9], "ends within its header"),
        (lambda data: data[:-1], "was cut short: 11 bytes of data, 12 by its header"),
        (lambda data: data + b"x", "has something behind its data"),
        (lambda data: data[:4] + b"\xff" * 4 + data[8:], "was cut short"),
        (lambda data: gzip.compress(data)[:-9], "cannot be unpacked"),
    ],
    ids=["empty", "picture", "type", "header", "short", "long", "huge", "gzip"],
)
def test_damage_is_named(tmp_path, damage, words):
    path = tmp_path / "file"
    path.write_bytes(damage(idx(np.arange(12, dtype="u1").reshape(3, 2, 2))))
    with pytest.raises(IdxCorrupt, match=words):
        read_idx(path)


def test_labels_are_no_pictures(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(idx(np.arange(3, dtype="u1")))
    with pytest.raises(InputError, match="has 1 dims, expected 3"):
        read_idx(path, dims=3)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_idx(tmp_path / "gone")
