import io
import struct
import warnings
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from outgrow.compare.readers.entry import read_entry
from outgrow.compare.readers.limits import Limits
from tests.compare.readers.files.file_reader_contract import bits, read_all

KINDS = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "c8", "c16"]


def read(path):
    return read_entry(path, path.name, Limits())


@given(data=st.data())
@pytest.mark.peer
def test_reads_what_numpy_reads(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("peer")
    dtype = np.dtype(data.draw(st.sampled_from(KINDS))).newbyteorder(data.draw(st.sampled_from("<>")))
    array = data.draw(npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)))
    if data.draw(st.booleans()):
        array = np.asfortranarray(array)
    np.save(folder / "x.npy", array, allow_pickle=False)
    version = data.draw(st.sampled_from([(1, 0), (2, 0), (3, 0)]))
    with (folder / "v.npy").open("wb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.lib.format.write_array(file, array, version=version)
    np.savez(folder / "x.npz", first=array, second=array)
    np.savez_compressed(folder / "y.npz", first=array, second=array)
    native = np.load(folder / "x.npy", allow_pickle=False).astype(dtype.newbyteorder("="))
    found = [*read_all(read(folder / "x.npy")).values(), *read_all(read(folder / "v.npy")).values()]
    for file in ("x.npz", "y.npz"):
        content = read_all(read(folder / file))
        assert list(content) == ["first", "second"]
        found += content.values()
    assert len(found) == 6
    for tensor in found:
        assert tensor.shape == native.shape
        assert tensor.dtype == getattr(torch, native.dtype.name)
        assert bits(tensor) == native.tobytes()


def header(text, *, version=1, pad=0):
    raw = text.encode() + b" " * pad + b"\n"
    size = struct.pack("<H", len(raw)) if version == 1 else struct.pack("<I", len(raw))
    return b"\x93NUMPY" + bytes([version, 0]) + size + raw


REFUSED = (
    (header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}") + b"\x80\x04.", "Python objects"),
    (header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}") + bytes(4), "fields"),
    (header("{'descr': '<U3', 'fortran_order': False, 'shape': (1,)}") + bytes(12), "text"),
    (header("{'descr': '|V2', 'fortran_order': False, 'shape': (1,)}") + bytes(2), "ml_dtypes"),
    (
        header("{'descr': '<f16', 'fortran_order': False, 'shape': (1,)}") + bytes(16),
        "cannot be compared",
    ),
    (header("{'descr': '<f3', 'fortran_order': False, 'shape': (1,)}") + bytes(3), "cannot be compared"),
    (header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), "counts"),
    (header("{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}") + bytes(4), "counts"),
    (header("{'descr': '<f4', 'fortran_order': False, 'shape': 3}") + bytes(12), "counts"),
    (header("{'descr': '<f4', 'fortran_order': 1, 'shape': (1,)}") + bytes(4), "order"),
    (header("{'descr': '<f4', 'shape': (1,)}") + bytes(4), "without type"),
    (header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}") + bytes(4), "should have"),
    (header("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}") + bytes(5), "should have"),
    (
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", version=9) + bytes(4),
        "version 9",
    ),
    (header("x", pad=20_000), "header of"),
)


@pytest.mark.parametrize("index", range(len(REFUSED)))
def test_the_rest_is_refused(tmp_path, index):
    data, says = REFUSED[index]
    path = tmp_path / "x.npy"
    path.write_bytes(data)
    content = read(path)
    assert content.records == ()
    (refusal,) = content.refused
    assert says in refusal.reason


def test_one_bad_array_costs_itself_alone(tmp_path):
    good = io.BytesIO()
    np.save(good, np.arange(3))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("good.npy", good.getvalue())
        file.writestr("objects.npy", header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"))
        file.writestr("note.txt", "hello")
        file.writestr("../slip.npy", good.getvalue())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file.writestr("twice.npy", good.getvalue())
            file.writestr("twice.npy", good.getvalue())
    content = read(tmp_path / "x.npz")
    assert list(read_all(content)) == ["good"]
    assert len(content.refused) == 4
    assert {"x.npz/objects.npy", "x.npz/note.txt", "x.npz/twice.npy"} < {r.entry for r in content.refused}


def test_an_archive_of_one_array_keeps_its_name(tmp_path):
    np.savez(tmp_path / "x.npz", np.ones(2))
    assert list(read_all(read(tmp_path / "x.npz"))) == ["arr_0"]
