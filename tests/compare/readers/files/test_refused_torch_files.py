"""What a torch file holds besides tensors is refused by name, and what is damaged costs itself alone."""

import collections
import io
import pickle
import types
import warnings
import zipfile

import numpy as np
import pytest
import torch

from outgrow.errors import StoreError
from tests.compare.readers.files.torch_contents import names, read, reasons
from tests.compare.readers.pickle_maker import (
    call,
    counts,
    dict_of,
    name,
    number,
    storage,
    tensor,
    torch_zip,
    write,
)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**100, 10**2000])
def test_integers_beyond_64_bits_are_refused(save, value):
    content = read(save({"x": value, "y": 1}))
    assert names(content) == ["y"]
    assert reasons(content) == {"x.pth/x": "is an integer beyond 64 bits"}


REFUSED = {
    "objects": (lambda: np.array([1, None], dtype=object), "Python objects"),
    "text": (lambda: np.array(["a"]), "text"),
    "bytes": (lambda: np.array([b"a"]), "text"),
    "fields": (lambda: np.zeros(2, dtype=[("a", "f4")]), "fields"),
    "dates": (lambda: np.array(["2020"], dtype="M8[Y]"), "dates"),
    "durations": (lambda: np.array([1], dtype="m8[s]"), "durations"),
    "long double": (lambda: np.zeros(2, dtype=np.longdouble), "cannot be compared"),
    "module": (lambda: torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
    "object": (lambda: types.SimpleNamespace(a=1), "SimpleNamespace"),
    "nested": (lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "nested"),
    "half complex": (lambda: torch.ones(2, dtype=torch.complex32), "omplex"),
    "function": (lambda: collections.namedtuple, "namedtuple"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_rest_is_refused_by_name(save, case):
    make, says = REFUSED[case]
    content = read(save({"before": torch.ones(1), "odd": make(), "after": torch.ones(2)}))
    assert names(content) == ["before", "after"]
    ((entry, reason),) = reasons(content).items()
    assert entry == "x.pth/odd"
    assert says in reason


def test_meta_tensors_are_refused_by_name(tmp_path):
    torch.save({"meta": torch.empty(2, device="meta"), "t": torch.ones(1)}, tmp_path / "x.pth")
    content = read(tmp_path / "x.pth")
    assert names(content) == ["t"]
    assert "meta tensor" in reasons(content)["x.pth/meta"]


def test_indices_of_sparse_tensors_are_checked(tmp_path):
    parts = tensor((1, 1), (1, 1)), tensor((1,))
    indices = call(
        "torch._utils._rebuild_tensor_v2",
        storage("1", 1, "torch.LongStorage"), number(0), counts(1, 1), counts(1, 1), b"\x89", b"}",
    )  # fmt: skip
    body = call(
        "torch._utils._rebuild_sparse_tensor",
        name("torch.sparse_coo"), b"(" + indices + parts[1] + counts(4) + b"\x89t",
    )  # fmt: skip
    data = torch_zip(body, storages={"0": bytes(16), "1": (10**9).to_bytes(8, "little")})
    (record,) = read(write(tmp_path / "x.pth", data)).records
    with pytest.raises(StoreError, match="contradicts itself"):
        record.read()


def test_a_packed_storage_that_is_damaged_is_named(tmp_path):
    data = torch_zip(tensor(), storages={"0": b"\x01" * 16}, method=zipfile.ZIP_DEFLATED)
    # One byte of what is packed, found by packing it again.
    packer = zipfile.ZipFile(io.BytesIO(data))
    info = packer.getinfo("archive/data/0")
    at = info.header_offset + 30 + len(info.filename)
    (record,) = read(write(tmp_path / "x.pth", data[:at] + b"\x4b" + data[at + 1 :])).records
    with pytest.raises(StoreError, match="archive/data/0"):
        record.read()


def test_one_bad_storage_costs_its_own_tensors_alone(tmp_path):
    body = dict_of(a=tensor(key="0"), b=tensor(key="1"), c=tensor(key="2"))
    content = read(write(tmp_path / "x.pth", torch_zip(body, storages={"0": bytes(16), "2": bytes(4)})))
    assert names(content) == ["a"]
    assert set(reasons(content)) == {"x.pth/b", "x.pth/c"}


def test_limits_are_options(tmp_path):
    torch.save({"a": torch.ones(1).expand(1000), "b": torch.eye(100).to_sparse()}, tmp_path / "x.pth")
    assert len(read(tmp_path / "x.pth").records) == 2
    assert "max_expanded_bytes" in str(read(tmp_path / "x.pth", max_expanded_bytes=1000).refused)
    assert "limit is 1" in str(read(tmp_path / "x.pth", max_entries=1).refused)
    torch.save(dict.fromkeys(range(30), 1), tmp_path / "many.pth")
    assert "max_entries" in str(read(tmp_path / "many.pth", max_entries=20).refused)
    assert "limit is 100" in str(read(tmp_path / "x.pth", max_header_bytes=100).refused)
    torch.save([[[torch.ones(1), 1], 1], 1], tmp_path / "y.pth")
    content = read(tmp_path / "y.pth", max_depth=2)
    assert names(content) == ["[0][1]", "[1]"]
    assert "max_depth" in str(content.refused)


@pytest.mark.filterwarnings("ignore:.*TorchScript", "ignore:.*torch.jit", "ignore::DeprecationWarning")
def test_torchscript_is_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(1, 1)).save(tmp_path / "x.pt")
    content = read(tmp_path / "x.pt")
    assert content.records == ()
    assert "TorchScript" in str(content.refused)


def test_plain_pickles_are_refused(tmp_path):
    content = read(write(tmp_path / "x.pt", pickle.dumps({"a": 1}, protocol=4)))
    assert "torch.save did not write" in str(content.refused)


def test_a_name_of_a_megabyte_is_refused(save):
    content = read(save({"x" * 2**20: torch.ones(1), "y": torch.ones(1)}))
    assert names(content) == ["y"]
    ((entry, reason),) = reasons(content).items()
    assert len(entry) < 300
    assert "1,048,576 characters" in reason


def test_one_storage_may_not_stand_for_a_thousand(tmp_path):
    body = b"](" + tensor((4096,), numel=4096) * 500 + b"e"
    path = write(tmp_path / "x.pth", torch_zip(body, storages={"0": bytes(4 * 4096)}))
    assert len(read(path).records) == 500
    assert "max_ratio" in str(read(path, max_expanded_bytes=1000, max_ratio=10).refused)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (tensor((5,), (1,)), "ends at byte 20 of a storage of 16 bytes"),
        (tensor((2,), (4,)), "ends at byte 20 of a storage of 16 bytes"),
        (tensor((4,), (1,), offset=1), "ends at byte 20 of a storage of 16 bytes"),
        (tensor((5,), (1,), numel=5), "needs a storage of 20 bytes, which has 16"),
    ],
    ids=["shape", "stride", "offset", "storage"],
)
def test_nothing_is_read_beyond_its_storage(tmp_path, body, says):
    content = read(write(tmp_path / "x.pth", torch_zip(body)))
    assert content.records == ()
    assert [refusal.reason for refusal in content.refused] == [says]
