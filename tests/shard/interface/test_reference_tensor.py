"""Tensors that `gt.*` makes follow the predecessor where it differs from torch, and torch in all else."""

import copy

import numpy as np
import pytest
import torch

import outgrow.shard as gt
from outgrow.errors import InputError
from outgrow.shard.client.tensor import WorkersTensor
from outgrow.shard.interface.reference_tensor import ReferenceTensor, as_reference

pytestmark = pytest.mark.usefixtures("session")


def numbers(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def test_results_stay_of_the_kind():
    x = gt.randn(2, 3, requires_grad=True)
    y = (x * 2 + 1).T
    assert type(y) is ReferenceTensor
    assert all(type(piece) is ReferenceTensor for piece in y.split(2))
    y.sum().backward()
    assert type(x.grad) is ReferenceTensor


def test_torchs_own_tensors_stay_torchs():
    own = torch.ones(3, device="workers")
    own.add_(gt.ones(3))
    assert type(own) is WorkersTensor
    assert type(own.max(dim=0)) is not ReferenceTensor
    assert len(own.max(dim=0)) == 2
    assert type(own + 1) is WorkersTensor


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_max_gives_values_alone(axis, keepdims):
    data = numbers(3, 4)
    found = gt.from_numpy(data).max(axis=axis, keepdims=keepdims)
    np.testing.assert_array_equal(found.data, data.max(axis=axis, keepdims=keepdims))


def test_max_shares_the_gradient_among_equals():
    x = gt.tensor([[1.0, 5.0, 5.0]], requires_grad=True)
    x.max(axis=1).sum().backward()
    np.testing.assert_array_equal(x.grad.data, [[0.0, 0.5, 0.5]])


def test_torchs_max_is_torchs():
    x = gt.from_numpy(numbers(3, 4))
    values, places = torch.max(x, 1)
    assert values.shape == places.shape == (3,)
    assert len(x.max(dim=1)) == 2
    np.testing.assert_array_equal(x.max(gt.zeros(3, 4)).data, np.maximum(numbers(3, 4), 0))


@pytest.mark.parametrize("name", ["sum", "mean"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_take_axis_and_keepdims(name, axis, keepdims):
    data = numbers(2, 3, 4)
    given = {"axis": axis, "keepdims": keepdims}
    found = getattr(gt.from_numpy(data), name)(**given)
    np.testing.assert_allclose(found.data, getattr(data, name)(**given), rtol=1e-5, atol=1e-6)
    if axis is None:
        assert getattr(gt.from_numpy(data), name)(keepdims=keepdims).shape == found.shape


def test_data_is_numpys():
    x = gt.from_numpy(numbers(2, 3))
    assert x.data.dtype == np.float32
    assert isinstance(x.data.numpy(), np.ndarray)
    own = x.data.numpy()
    own[:] = 0
    np.testing.assert_array_equal(x.data, numbers(2, 3))
    with pytest.raises(ValueError, match="read-only"):
        x.data[0] = 1
    assert f"{gt.tensor(0.25).data.numpy():.2f}" == "0.25"


@pytest.mark.parametrize("name", ["float32", "float64", "int32", "int64", "bool"])
def test_dtypes_are_text_and_equal_torchs(name):
    x = gt.zeros(2, dtype=getattr(gt, name))
    assert x.dtype == name == getattr(gt, name)
    assert x.dtype == getattr(torch, name)
    assert getattr(torch, name) == x.dtype
    assert x.dtype != "complex64"
    assert x.dtype != torch.complex64
    assert np.zeros(1, dtype=x.dtype).dtype == x.data.dtype
    assert gt.zeros(2, dtype=x.dtype.torch).to(x.dtype).dtype == name


def test_an_unknown_dtype_names_near_ones():
    with pytest.raises(InputError, match="float32"):
        gt.zeros(2, dtype="flaot32")


def test_pieces_are_lists():
    x = gt.from_numpy(numbers(5, 2))
    assert isinstance(x.split(2), list)
    assert isinstance(x.chunk(2), list)
    assert [piece.shape[0] for piece in x.split(split_size=2, dim=0)] == [2, 2, 1]
    assert [piece.shape[0] for piece in x.chunk(chunks=2, dim=0)] == [3, 2]
    np.testing.assert_array_equal(gt.cat(x.split(2), axis=0).data, numbers(5, 2))


def test_transposing_without_dims_exchanges_the_last_two():
    x = gt.from_numpy(numbers(2, 3, 4))
    np.testing.assert_array_equal(x.T.data, numbers(2, 3, 4).transpose(0, 2, 1))
    assert x.transpose().shape == (2, 4, 3)
    assert x.transpose(0, 1).shape == (3, 2, 4)
    assert gt.ones(3).T.shape == (3,)
    with pytest.raises(InputError, match="one dim"):
        x.transpose(1)


def test_view_takes_what_reshape_takes():
    x = gt.from_numpy(numbers(2, 3)).T
    np.testing.assert_array_equal(x.view(6).data, numbers(2, 3).T.reshape(6))
    assert x.view(-1).shape == x.reshape((3, -1)).view((6,)).shape == (6,)


def test_item_is_a_float():
    assert isinstance(gt.tensor([3], dtype="int64").item(), float)
    assert gt.tensor(2.5).item() == 2.5
    with pytest.raises(RuntimeError):
        gt.ones(2).item()


def test_backward_of_several_elements_is_that_of_their_sum():
    x = gt.from_numpy(numbers(2, 3), requires_grad=True)
    (x * x).backward()
    np.testing.assert_allclose(x.grad.data, 2 * numbers(2, 3))


def test_gradients_of_intermediate_results_are_kept():
    x = gt.from_numpy(numbers(2, 3), requires_grad=True)
    y = x * 2
    (y * y).sum().backward()
    np.testing.assert_allclose(y.grad.data, 4 * numbers(2, 3), rtol=1e-6)


def test_gradients_add_up_until_they_are_zeroed():
    w = gt.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(2):
        (w * 3).sum().backward()
    np.testing.assert_array_equal(w.grad.data, [6.0, 6.0])
    w.grad.zero_()
    np.testing.assert_array_equal(w._grad.data, [0.0, 0.0])


def test_a_parameter_is_written_in_place():
    w = gt.tensor([5.0, 10.0], requires_grad=True)
    same, number = w, w.id
    w -= 2.0
    with gt.no_grad():
        w -= 0.5 * gt.tensor([2.0, 2.0])
    assert w is same
    assert w.id != number
    assert w.is_leaf
    assert w.requires_grad
    np.testing.assert_array_equal(w.data, [2.0, 7.0])


def test_printing_shows_numbers():
    assert str(gt.tensor([1.0, 2.5])) == "tensor([1.  2.5], dtype=float32)"
    assert f"{gt.tensor(0.5):.3f}" == "0.500"


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        slice(None, 2),
        slice(None, None, 2),
        (slice(1, 3), slice(None, 2)),
        (..., 0),
        (None, 1),
        (slice(None), 1),
    ],
    ids=str,
)
def test_slices_have_gradients(key):
    x = gt.from_numpy(numbers(4, 5), requires_grad=True)
    np.testing.assert_array_equal(x[key].data, numbers(4, 5)[key])
    x[key].sum().backward()
    mask = np.zeros((4, 5), "float32")
    mask[key] = 1
    np.testing.assert_array_equal(x.grad.data, mask)


def test_torchs_modules_and_optimizers_take_them():
    torch.manual_seed(0)
    plain = torch.nn.Linear(3, 2)
    ours = copy.deepcopy(plain).to("workers")
    local = torch.from_numpy(numbers(4, 3))
    x = gt.from_numpy(numbers(4, 3))
    torch.nn.functional.mse_loss(ours(x), gt.zeros(4, 2)).backward()
    torch.nn.functional.mse_loss(plain(local), torch.zeros(4, 2)).backward()
    torch.testing.assert_close(ours.weight.grad.cpu(), plain.weight.grad)
    w = gt.ones(3, requires_grad=True)
    optimizer = torch.optim.AdamW([w], lr=0.1)
    (w * 2).sum().backward()
    optimizer.step()
    assert (w.data < 1).all()


def test_only_tensors_of_workers_become_ours():
    with pytest.raises(InputError, match="workers"):
        as_reference(torch.ones(2))
