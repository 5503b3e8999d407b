"""Where a program says that a tensor lies, it lies."""

import numpy as np
import pytest
import torch

import outgrow.shard as gt
from outgrow.errors import InputError

pytestmark = pytest.mark.usefixtures("session")


def test_a_parameter_is_placed_as_it_is(workers):
    w = gt.randn(6, 5, requires_grad=True)
    before = w.data.numpy()
    assert gt.place(w, gt.Shard(-1)) is w
    assert gt.placement_of(w) == (gt.Shard(1) if workers > 1 else gt.placement_of(w))
    np.testing.assert_array_equal(w.data, before)
    assert gt.replicated(w) is w
    assert gt.placement_of(w) == gt.Replicate()
    gt.place(w, gt.Owned(workers - 1))
    np.testing.assert_array_equal(w.data, before)


@pytest.mark.parametrize("placement", ["S(0)", "Shard(1)", "replicate", "O(0)"])
def test_a_result_is_placed_and_its_gradient_too(placement):
    x = gt.randn(6, 4, requires_grad=True)
    y = gt.place(x * 2, placement, backward=gt.Replicate())
    (y * y).sum().backward()
    np.testing.assert_allclose(x.grad.data, 8 * x.data, rtol=1e-6)


@pytest.mark.parametrize("workers", [3], indirect=True)
def test_a_result_lies_as_asked():
    x = gt.randn(6, 4, requires_grad=True)
    assert gt.placement_of(gt.place(x * 2, gt.Shard(1))) == gt.Shard(1)
    assert gt.placement_of(gt.place(x * 2, gt.Owned(1))) == gt.Owned(1)


def test_modules_of_torch_are_placed(workers):
    layer = torch.nn.Linear(4, 6).to("workers")
    gt.place(layer.weight, gt.Shard(0))
    gt.replicated(layer.bias)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    expected = torch.nn.Linear(4, 6)
    expected.load_state_dict({name: value.cpu() for name, value in layer.state_dict().items()})
    theirs = torch.optim.SGD(expected.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        for model, steps, device in ((layer, optimizer, "workers"), (expected, theirs, "cpu")):
            steps.zero_grad()
            model(torch.ones(3, 4, device=device)).square().mean().backward()
            steps.step()
    torch.testing.assert_close(layer.weight.detach().cpu(), expected.weight.detach(), rtol=1e-5, atol=1e-7)
    if workers > 1:
        assert gt.placement_of(layer.weight) == gt.Shard(0)
    assert gt.placement_of(layer.bias) == gt.Replicate()


@pytest.mark.parametrize(
    ("placement", "says"),
    [
        (gt.Shard(2), r"possible are Shard\(0\), Shard\(1\)"),
        (gt.Shard(-3), "no dim -3"),
        (gt.Owned(9), "no worker 9"),
        ("P(sum)", "partial sum"),
        ("diagonal", "not a placement"),
        (3, "no placement"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(placement, says):
    with pytest.raises(InputError, match=says):
        gt.place(gt.ones(2, 2), placement)


def test_other_tensors_are_refused():
    with pytest.raises(InputError, match="cannot be placed"):
        gt.place(torch.ones(2), gt.Replicate())
    with pytest.raises(InputError, match="not with the workers"):
        gt.placement_of(torch.ones(2))
