"""Files of torch hold what torch reads of them, by name."""

import collections
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.readers.dtypes import DTYPES
from outgrow.compare.readers.entry import read_entry
from outgrow.compare.readers.limits import Limits
from outgrow.testing.strategies import tensors
from tests.compare.readers.files.file_reader_contract import read_all, same
from tests.compare.readers.files.torch_contents import WAYS, names, read
from tests.compare.readers.pickle_maker import tensor, text, torch_legacy, write


class Subclass(torch.Tensor):
    pass


@given(data=st.data())
@pytest.mark.peer
def test_reads_what_torch_reads(tmp_path_factory, data):
    """Views of every kind on storages that are shared."""
    path = tmp_path_factory.mktemp("peer") / "x.pth"
    # Of one dtype: torch takes empty tensors of two for views of the same memory.
    kind = data.draw(st.sampled_from(list(DTYPES.values())))
    found = [data.draw(tensors(dtypes=(kind,))) for _ in range(data.draw(st.integers(1, 3)))]
    views = []
    for tensor_ in found:
        view = tensor_
        for _ in range(data.draw(st.integers(0, 3))):
            dim = data.draw(st.integers(0, max(0, view.dim() - 1)))
            if not view.dim():
                view = view[None]
            elif data.draw(st.booleans()):
                view = view.transpose(0, dim)
            else:
                start = data.draw(st.integers(0, view.shape[dim]))
                view = view.narrow(dim, start, view.shape[dim] - start)
                if view.shape[dim]:
                    view = view[(slice(None),) * dim + (slice(None, None, data.draw(st.integers(1, 3))),)]
        views.append(view)
    # What torch itself cannot read again: new dtypes in old files.
    is_new = (kind.itemsize == 1 and kind.is_floating_point) or kind in (
        torch.uint16,
        torch.uint32,
        torch.uint64,
    )
    ways = [way for way in WAYS if way != "legacy" or not is_new]
    torch.save({"whole": found, "view": views}, path, **WAYS[data.draw(st.sampled_from(ways))])
    loaded = torch.load(path, weights_only=False)  # the only way to read its own newer protocols
    content = read_all(read_entry(path, path.name, Limits()))
    expected = {}
    for key, values in loaded.items():
        for index, value in enumerate(values):
            expected[f"{key}[{index}]" if len(values) > 1 else key] = value
    assert set(content) == set(expected)
    assert all(same(content[key], value) for key, value in expected.items())


def test_nested_containers_have_names(save):
    value = {
        "a": torch.ones(1),
        "b": [torch.ones(2), torch.ones(3)],
        "c": {"d": (torch.ones(4), {"e": torch.ones(5)}), 7: torch.ones(6)},
        "od": collections.OrderedDict(x=torch.ones(7)),
        "dd": collections.defaultdict(list, y=torch.ones(8)),
        "one": [torch.ones(9)],
    }
    assert names(read(save(value))) == [
        "a", "b[0]", "b[1]", "c.d[0]", "c.d[1].e", "c.7", "od.x", "dd.y", "one",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "wrapped", [lambda t: t, lambda t: [t], lambda t: ((t,),)], ids=["bare", "list", "tuples"]
)
def test_a_bare_tensor_has_no_name_of_its_own(save, wrapped):
    (record,) = read(save(wrapped(torch.arange(3)))).records
    assert record.inner == ""
    assert record.read().tolist() == [0, 1, 2]


def test_numbers_are_tensors_without_dims(save):
    values = {"i": -3, "f": 0.1, "t": True, "c": 1 + 2j, "big": 2**63 - 1, "zero": 0, "nan": float("nan")}
    found = read_all(read(save(values)))
    assert {key: value.dtype for key, value in found.items()} == {
        "i": torch.int64, "f": torch.float64, "t": torch.bool, "c": torch.complex128, "big": torch.int64,
        "zero": torch.int64, "nan": torch.float64,
    }  # fmt: skip
    assert found["i"].item() == -3
    assert found["big"].item() == 2**63 - 1
    assert found["c"].item() == 1 + 2j
    assert found["nan"].isnan()


def test_settings_are_passed_over(save):
    value = {
        "none": None, "text": "abc", "bytes": b"abc", "dtype": torch.float32, "path": Path("x"),
        "device": torch.device("cpu"), "layout": torch.strided, "t": torch.ones(1),
    }  # fmt: skip
    content = read(save(value))
    assert names(content) == ["t"]
    assert content.refused == ()


def test_numpy_is_read(save):
    value = {
        "f": np.float32(2.5), "i": np.int8(-1), "b": np.bool_(True), "h": np.float16(0.5),
        "c": np.complex64(1j), "u": np.uint64(2**64 - 1),
        "rows": np.arange(6.0).reshape(2, 3), "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"), "none": np.zeros((0, 3)), "one": np.array(7),
        "cut": np.arange(10)[2:9:3],
    }  # fmt: skip
    found = read_all(read(save(value)))
    assert list(found) == list(value)
    for key, expected in value.items():
        assert found[key].dtype == getattr(torch, expected.dtype.name)
        assert found[key].tolist() == expected.tolist(), key


def test_parameters_and_subclasses_are_their_numbers(save, monkeypatch):
    parameter = torch.nn.Parameter(torch.arange(3.0))
    stated = torch.nn.Parameter(torch.arange(4.0))
    stated.note = "state"
    value = {
        "parameter": parameter, "stated": stated, "grad": torch.ones(2, requires_grad=True),
        "buffer": torch.nn.Buffer(torch.ones(3)), "subclass": torch.ones(5).as_subclass(Subclass),
    }  # fmt: skip
    # As torch saves and this test's class is pickled: by its module's name.
    monkeypatch.setitem(sys.modules, Subclass.__module__, sys.modules[__name__])
    found = read_all(read(save(value)))
    assert {key: tensor.tolist() for key, tensor in found.items()} == {
        key: tensor.tolist() for key, tensor in value.items()
    }
    assert all(type(tensor) is torch.Tensor and not tensor.requires_grad for tensor in found.values())


def test_conjugates_and_negatives_are_resolved(save):
    value = torch.tensor([1 + 2j, -3 + 0.5j])
    found = read_all(read(save({"conj": value.conj(), "neg": value.clone().conj().imag})))
    assert found["conj"].tolist() == value.conj().tolist()
    assert found["neg"].tolist() == value.conj().imag.tolist()
    assert not found["conj"].is_conj()
    assert not found["neg"].is_neg()


@pytest.mark.parametrize("layout", ["coo", "csr", "csc", "bsr", "bsc"])
@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_tensors_are_made_dense(save, layout):
    dense = torch.tensor([[0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, -1.0]])
    blocks = {"blocksize": (2, 2)} if layout.startswith("b") else {}
    sparse = dense.to_sparse() if layout == "coo" else getattr(dense, f"to_sparse_{layout}")(**blocks)
    found = read_all(read(save({"s": sparse, "t": torch.ones(1)})))
    assert found["s"].tolist() == dense.tolist()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("dtype", [torch.quint8, torch.qint8, torch.qint32])
def test_quantized_tensors_are_numbers_and_codes(save, dtype):
    plain = torch.linspace(-3, 3, 24).reshape(4, 6)
    by_tensor = torch.quantize_per_tensor(plain, 0.037, 3, dtype)
    scales, zeros = torch.tensor([0.1, 0.03, 0.021, 0.5]), torch.tensor([0, 3, 5, 1])
    by_channel = torch.quantize_per_channel(plain, scales, zeros, 0, dtype)
    found = read_all(read(save({"t": by_tensor, "c": by_channel})))
    assert list(found) == ["t", "t.codes", "c", "c.codes"]
    for key, quantized in (("t", by_tensor), ("c", by_channel)):
        assert torch.equal(found[key], quantized.dequantize())
        assert torch.equal(found[f"{key}.codes"], quantized.int_repr())


def test_a_shared_storage_is_read_by_both_names(save):
    weight = torch.arange(6.0)
    found = read_all(read(save({"a": weight, "b": weight, "part": weight[2:4]})))
    assert found["a"].tolist() == found["b"].tolist()
    assert found["part"].tolist() == [2.0, 3.0]


def test_numbers_are_mapped_and_not_copied(tmp_path):
    def anonymous():
        status = Path("/proc/self/status").read_text()
        return int(status.split("RssAnon:")[1].split()[0]) * 1024

    torch.save({"big": torch.ones(2**24)}, tmp_path / "x.pth")
    (record,) = read(tmp_path / "x.pth").records
    before = anonymous()
    found = record.read()
    assert found.sum() == 2**24
    assert anonymous() - before < 16e6


@pytest.mark.parametrize("keeps", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_file_that_was_packed_again_is_read(tmp_path, keeps):
    torch.save({"a": torch.arange(1000.0)}, tmp_path / "plain.pth")
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(tmp_path / "plain.pth") as old, zipfile.ZipFile(path, "w", keeps) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    assert read_all(read(path))["a"].tolist() == list(range(1000))


def test_odd_names_survive(save):
    odd = [
        "[red]x[/red]",
        "<script>alert(1)</script>",
        "line\nbreak",
        "\x1b[31m",
        "\ud800",
        "",
        "é" * 50,
        "a.b",
    ]
    assert names(read(save({key: torch.ones(1) for key in odd}))) == odd


def test_torchs_own_settings_stay(save):
    """No allow-list of the process is touched."""
    before = torch.serialization.get_safe_globals()
    read(save({"a": np.float32(1)}))
    assert torch.serialization.get_safe_globals() == before


def test_old_files_of_hand_are_read(tmp_path):
    keys = b"](" + text("0") + b"e"
    rest = (4).to_bytes(8, "little") + np.arange(4, dtype="f4").tobytes()
    content = read(write(tmp_path / "x.bin", torch_legacy(tensor(), keys=keys, rest=rest)))
    assert read_all(content)[""].tolist() == [0, 1, 2, 3]
