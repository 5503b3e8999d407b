import collections
from pathlib import Path

import numpy as np
import pytest
import torch

from outgrow.compare.readers import open_recording
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.memory import read_memory
from outgrow.errors import InputError


def read(value):
    return {record.inner: record.read() for record in read_memory(value, Limits()).records}


def reasons(value):
    return {refusal.entry: refusal.reason for refusal in read_memory(value, Limits()).refused}


def test_state_dicts_are_read_by_their_names():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    found = read(model.state_dict())
    assert list(found) == list(model.state_dict())
    assert all(torch.equal(found[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(tensor.requires_grad for tensor in read(dict(model.named_parameters())).values())


def test_containers_are_walked():
    value = {
        "a": [torch.ones(1), {"b": torch.ones(2)}],
        "c": collections.OrderedDict(d=(torch.ones(3),)),
        3: torch.ones(4),
        "none": None, "text": "abc", "dtype": torch.float32,
    }  # fmt: skip
    assert list(read(value)) == ["a[0]", "a[1].b", "c.d", "3"]
    assert reasons(value) == {}


def test_numbers_and_arrays_are_tensors():
    value = {
        "i": 3, "f": 0.5, "b": True, "c": 1j, "np": np.float16(2), "rows": np.arange(6).reshape(2, 3),
        "back": np.arange(4)[::-1], "big": np.arange(3, dtype=">i2"),
        "cols": np.asfortranarray(np.ones((2, 3))),
    }  # fmt: skip
    found = read(value)
    assert {name: tensor.dtype for name, tensor in found.items()} == {
        "i": torch.int64, "f": torch.float64, "b": torch.bool, "c": torch.complex128, "np": torch.float16,
        "rows": torch.int64, "back": torch.int64, "big": torch.int16, "cols": torch.float64,
    }  # fmt: skip
    for name, tensor in found.items():
        assert tensor.tolist() == (value[name].tolist() if hasattr(value[name], "tolist") else value[name])


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_odd_tensors_are_plain_when_read():
    quantized = torch.quantize_per_tensor(torch.ones(3), 0.1, 3, torch.quint8)
    number = torch.tensor([1 + 2j])
    found = read(
        {"s": torch.eye(3).to_sparse(), "q": quantized, "conj": number.conj(), "neg": number.conj().imag}
    )
    assert found["s"].tolist() == torch.eye(3).tolist()
    assert torch.equal(found["q"], quantized.dequantize())
    assert torch.equal(found["q.codes"], quantized.int_repr())
    assert found["conj"].tolist() == [1 - 2j]
    assert not found["conj"].is_conj()
    assert found["neg"].tolist() == [-2.0]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (lambda: torch.empty(2, device="meta"), "meta"),
        (lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "nested"),
        (lambda: torch.nn.Linear(1, 1), "state_dict"),
        (lambda: object(), "object"),
        (lambda: Path("x"), "Path"),
        (lambda: 2**64, "64 bits"),
        (lambda: np.array([None]), "object"),
        (lambda: np.array(["a"]), "str"),
        (lambda: torch.ones(2, dtype=torch.complex32), "complex32"),
    ],
    ids=["meta", "nested", "module", "object", "path", "large", "objects", "text", "half complex"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_rest_is_refused_by_name(value, says):
    found = reasons({"x": {"odd": value()}, "t": torch.ones(1)})
    assert list(found) == ["(in memory)/x.odd"]
    assert says in found["(in memory)/x.odd"]


def test_fake_and_wrapping_tensors_are_refused():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = torch.ones(2)
    assert "FakeTensor" in reasons({"fake": fake})["(in memory)/fake"]


def test_a_dict_that_holds_itself_ends():
    value = {"t": torch.ones(1)}
    value["self"] = value
    assert "max_depth" in str(reasons(value))
    wide = {}
    wide.update({str(index): wide for index in range(10)})
    with pytest.raises(InputError, match="too many values"):
        read(wide)


def test_it_is_opened_as_a_recording():
    recording = open_recording({"a": {"b": torch.ones(1)}, "c": 2.0})
    assert recording.label == "(in memory)"
    assert [record.name for record in recording.records] == ["a.b", "c"]
    assert [record.name for record in open_recording(torch.ones(2)).records] == ["tensor"]
