"""Modules of the predecessor: an (in, out) weight, and parameters in a list."""

import numpy as np
import pytest
import torch

import outgrow.shard as gt
from outgrow.errors import InputError
from outgrow.shard import nn

pytestmark = pytest.mark.usefixtures("session")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.positions = gt.from_numpy(np.ones((6, 8), "float32"), requires_grad=True)
        self._parameters.extend([self.positions])
        self.block = nn.TransformerBlock(8, 2, 16)
        self.head = torch.nn.Linear(8, 3).to("workers")

    def forward(self, x):
        return self.head(self.block(x + self.positions[: x.shape[1]]).mean(axis=1))


def test_linear_has_an_in_out_weight_drawn_from_numpy():
    np.random.seed(5)
    layer = nn.Linear(3, 2)
    np.random.seed(5)
    np.testing.assert_array_equal(layer.weight.data, np.random.randn(3, 2).astype("float32") * 0.01)
    np.testing.assert_array_equal(layer.bias.data, [0, 0])
    assert nn.Linear(3, 2, bias=False).bias is None
    x = gt.ones(4, 3)
    np.testing.assert_allclose(layer(x).data, x.data @ layer.weight.data, rtol=1e-6)


def test_parameters_are_a_list_that_programs_extend():
    model = Net()
    assert isinstance(model.parameters(), list)
    assert len(model.parameters()) == 1 + 16 + 2
    assert model.parameters()[0] is model.positions
    names = dict(model.named_parameters())
    assert names["positions"] is model.positions
    assert names["block.attention.q_proj.weight"].shape == (8, 8)
    assert names["head.weight"].shape == (3, 8)
    layer = nn.Linear(2, 2)
    layer._parameters = [layer.weight]
    assert len(layer.parameters()) == 1
    layer.inner = nn.Linear(2, 2)
    layer.inner = None
    assert len(layer.parameters()) == 1


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)


def test_zero_grad_reaches_every_module():
    model = Net()
    model(gt.randn(2, 4, 8)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    # Positions that no sequence reached have a gradient of zero.
    assert not model.positions.grad.data[4:].any()
    model.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_layer_norm_and_attention_are_torchs():
    torch.manual_seed(0)
    x = torch.randn(2, 5, 8, dtype=torch.float64, requires_grad=True)
    ours = gt.tensor(x.detach(), requires_grad=True)
    norm = nn.LayerNorm(8)
    attention = nn.MultiHeadAttention(8, 2)
    weights = [torch.tensor(parameter.data.numpy()).double() for parameter in attention.parameters()]
    for parameter in [*norm.parameters(), *attention.parameters()]:
        parameter.requires_grad_(False)
    as_double = [parameter.double() for parameter in attention.parameters()]
    for projection, weight, bias in zip(
        (attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj),
        as_double[::2], as_double[1::2], strict=True,
    ):  # fmt: skip
        projection.weight, projection.bias = weight, bias
    norm.gamma, norm.beta = norm.gamma.double(), norm.beta.double()
    found = attention(norm(ours))
    normed = torch.nn.functional.layer_norm(x, (8,))
    heads = [
        (normed @ w + b).view(2, 5, 2, 4).transpose(1, 2)
        for w, b in zip(weights[:6:2], weights[1:6:2], strict=True)
    ]
    mixed = torch.nn.functional.scaled_dot_product_attention(*heads)
    expected = mixed.transpose(1, 2).reshape(2, 5, 8) @ weights[6] + weights[7]
    np.testing.assert_allclose(found.data, expected.detach(), rtol=1e-10, atol=1e-12)
    found.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(ours.grad.data, x.grad, rtol=1e-8, atol=1e-12)


def test_heads_must_divide_the_embedding():
    with pytest.raises(InputError, match="3 heads"):
        nn.MultiHeadAttention(8, 3)


def test_losses_are_what_they_were():
    predicted, target = gt.tensor([0.7, 0.3, 0.9]), gt.tensor([1.0, 0.0, 1.0])
    assert nn.mse_loss(predicted, target).item() == pytest.approx((0.09 + 0.09 + 0.01) / 3)
    expected = -(2 * np.log(0.7) + np.log(0.9)) / 3
    assert nn.binary_cross_entropy(predicted, target).item() == pytest.approx(expected, rel=1e-5)
    logits = (predicted / (1 - predicted)).log()
    assert nn.cross_entropy_loss(logits, target).item() == pytest.approx(expected, rel=1e-5)
    assert nn.relu(gt.tensor([-1.0, 2.0])).sum().item() == 2
    assert nn.tanh(gt.tensor(0.0)).item() == 0
    assert nn.sigmoid(gt.tensor(0.0)).item() == 0.5


def test_sgd_steps_and_zeroes():
    w = gt.tensor([1.0, 2.0], requires_grad=True)
    optimizer = nn.SGD([w, gt.ones(2, requires_grad=True)], lr=0.5)
    (w * w).sum().backward()
    optimizer.step()
    np.testing.assert_array_equal(w.data, [0.0, 0.0])
    optimizer.zero_grad()
    np.testing.assert_array_equal(w.grad.data, [0.0, 0.0])


def test_a_program_in_the_predecessors_style_learns():
    np.random.seed(0)
    data = np.random.randn(40, 4).astype("float32")
    labels = (data.sum(axis=1) > 0).astype("float32").reshape(-1, 1)
    first, second = nn.Linear(4, 8), nn.Linear(8, 1)
    losses = []
    for _ in range(40):
        predicted = nn.sigmoid(second(nn.relu(first(gt.from_numpy(data)))))
        loss = ((predicted - gt.from_numpy(labels)) ** 2).mean()
        loss.backward()
        with gt.no_grad():
            for parameter in first.parameters() + second.parameters():
                parameter -= 5.0 * parameter.grad
                parameter.grad.zero_()
        losses.append(loss.item())
    assert losses[-1] < losses[0] * 0.5
