"""Tensors from numbers."""

import numpy as np
import pytest
import torch

import outgrow.shard as gt
from outgrow.errors import InputError

pytestmark = pytest.mark.usefixtures("session")


def test_lists_become_float32_and_arrays_stay():
    assert gt.tensor([1, 2, 3]).dtype == "float32"
    assert gt.tensor([1, 2], dtype="int64").dtype == gt.int64
    assert gt.tensor(np.arange(3)).dtype == "int64"
    assert gt.tensor(torch.arange(3)).dtype == "int64"
    assert gt.from_numpy(np.float64(2.0)).shape == ()


@pytest.mark.parametrize(
    "dtype",
    ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "complex64"],
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (7, 2)], ids=str)
def test_arrays_come_back_as_they_went(dtype, shape):
    array = (np.arange(np.prod(shape, dtype=int)) % 2).reshape(shape).astype(dtype)
    back = gt.from_numpy(array).data.numpy()
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype


def test_any_order_of_elements_and_bytes():
    array = np.arange(12, dtype=">f4").reshape(3, 4)[::-1, ::2].T
    np.testing.assert_array_equal(gt.from_numpy(array).data, array)


def test_changing_the_array_afterwards_changes_nothing():
    array = np.zeros(3, "float32")
    x = gt.from_numpy(array)
    array[:] = 1
    np.testing.assert_array_equal(x.data, 0)
    local = torch.zeros(2)
    y = gt.tensor(local)
    local.add_(1)
    np.testing.assert_array_equal(y.data, 0)


@pytest.mark.parametrize(
    "array",
    [np.array(["a"]), np.array([None]), np.array(["2020-01-01"], "M8[D]")],
    ids=["text", "object", "date"],
)
def test_other_arrays_are_refused_by_dtype(array):
    with pytest.raises(InputError, match=str(array.dtype).replace("[", r"\[")):
        gt.from_numpy(array)


def test_a_seed_gives_the_same_numbers_as_torch():
    torch.manual_seed(3)
    ours = gt.randn(2, 3), gt.rand((4,))
    torch.manual_seed(3)
    torch.testing.assert_close(ours[0].cpu(), torch.randn(2, 3), rtol=0, atol=0)
    torch.testing.assert_close(ours[1].cpu(), torch.rand(4), rtol=0, atol=0)


def test_sizes_may_be_one_tuple():
    assert gt.zeros((2, 3)).shape == gt.ones(2, 3).shape == (2, 3)
    assert gt.zeros().shape == ()


def test_cat_needs_a_tensor():
    with pytest.raises(InputError, match="no tensors"):
        gt.cat([])
    np.testing.assert_array_equal(
        gt.cat([gt.ones(1, 2), gt.zeros(2, 2)], axis=0).data, [[1, 1], [0, 0], [0, 0]]
    )
