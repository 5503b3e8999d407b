"""Modules, losses, autograd's own tools: forward and backward are those of one device."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from outgrow.errors import InputError

LAYERS = {
    "linear": (lambda: nn.Linear(7, 3), [(6, 7)]),
    "batch norm": (lambda: nn.BatchNorm1d(7), [(6, 7)]),
    "batch norm of pictures": (lambda: nn.BatchNorm2d(3), [(6, 3, 4, 4)]),
    "batch norm in eval": (lambda: nn.BatchNorm2d(3).eval(), [(6, 3, 4, 4)]),
    "instance norm": (lambda: nn.InstanceNorm2d(3, affine=True, track_running_stats=True), [(6, 3, 4, 4)]),
    "group norm": (lambda: nn.GroupNorm(2, 4), [(6, 4, 4, 4)]),
    "attention": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), [(2, 5, 8)] * 3),
    "encoder layer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), [(2, 5, 8)]),
    "lstm": (lambda: nn.LSTM(4, 5, 2, batch_first=True, dropout=0.5, bidirectional=True), [(2, 5, 4)]),
    "gru": (lambda: nn.GRU(4, 5), [(2, 5, 4)]),
    "rnn": (lambda: nn.RNN(4, 5), [(2, 1, 4)]),
    "lstm cell": (lambda: nn.LSTMCell(4, 5), [(2, 4)]),
    "conv": (lambda: nn.Conv2d(3, 4, 3, padding=1), [(2, 3, 6, 6)]),
    "transposed conv": (lambda: nn.ConvTranspose2d(3, 4, 3, stride=2), [(2, 3, 6, 6)]),
    "pools": (lambda: nn.Sequential(nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(2)), [(2, 3, 6, 6)]),
    "upsample": (lambda: nn.Upsample(scale_factor=2.5, mode="bilinear"), [(2, 3, 6, 6)]),
    "bilinear": (lambda: nn.Bilinear(3, 4, 5), [(2, 3), (2, 4)]),
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), [(2, 4)]),
    "causal sdpa": (
        lambda: lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        [(2, 2, 5, 4)] * 3,
    ),
    "masked sdpa": (
        lambda: lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m),
        [(2, 2, 5, 4)] * 3 + [(5, 5)],
    ),
    "sdpa with dropout": (
        lambda: lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dropout_p=0.3),
        [(2, 2, 5, 4)] * 3,
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_and_their_gradients(name, assert_same):
    make, shapes = LAYERS[name]

    def program(device):
        layer = make()
        if isinstance(layer, nn.Module):
            layer = layer.double().to(device)
        given = [torch.randn(*shape, dtype=torch.float64).to(device).requires_grad_() for shape in shapes]
        result = layer(*given)
        result = result[0] if isinstance(result, tuple) else result
        result.pow(2).sum().backward()
        found = [result, *(one.grad for one in given)]
        if isinstance(layer, nn.Module):
            found += [one.grad for one in layer.parameters()] + list(layer.buffers())
        return found

    assert_same(program, rtol=1e-11)


def test_embeddings_and_cross_entropy(assert_same):
    def program(device):
        embedding = nn.Embedding(10, 4, padding_idx=1, max_norm=1.5).double().to(device)
        head = nn.Linear(4, 5).double().to(device)
        hidden = embedding(torch.tensor([[1, 2], [3, 3]], device=device))
        target = torch.tensor([0, 1, -100, 2], device=device)
        loss = F.cross_entropy(head(hidden).flatten(0, 1), target, label_smoothing=0.1)
        loss.backward()
        return loss, embedding.weight, embedding.weight.grad, head.weight.grad

    assert_same(program, rtol=1e-12)


def test_autograds_tools(assert_same):
    def program(device):
        x = torch.tensor([1.0, 2, 3], device=device, dtype=torch.float64, requires_grad=True)
        (first,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad((first**2).sum(), x)
        hooked = x * 2
        hooked.register_hook(lambda gradient: gradient * 3)
        hooked.sum().backward()
        jacobian = torch.func.jacrev(lambda one: one * one)(x.detach())
        mapped = torch.vmap(lambda one: (one * 2).sum())(torch.ones(3, 4, device=device))
        return first, second, x.grad, jacobian, mapped

    assert_same(program, rtol=1e-14)


def test_gradients_cross_to_the_cpu_and_back(assert_same):
    def program(device):
        there = torch.ones(3, device=device, requires_grad=True)
        (there * 2).cpu().pow(2).sum().backward()
        here = torch.ones(3, requires_grad=True)
        (here.to(device) * 3).sum().backward()
        return there.grad, here.grad.to(device)

    assert_same(program)


@pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not reentrant"])
def test_checkpoints_draw_the_same_dropout_again(reentrant, assert_same):
    def program(device):
        module = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)).to(device)
        x = torch.randn(2, 4).to(device).requires_grad_()
        checkpoint(module, x, use_reentrant=reentrant).sum().backward()
        return x.grad, module[0].weight.grad

    assert_same(program, rtol=1e-6)


def test_inference_mode(assert_same):
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0).eval()

    def program(device):
        with torch.inference_mode():
            layer.to(device)
            x = torch.ones(2, 5, 8).to(device)
            flat = x.reshape(-1)
            flat.add_(1)
            return layer(x), F.linear(x, layer.linear1.weight), x

    assert_same(program, rtol=1e-5)


def test_autocast_is_refused():
    with (
        pytest.warns(UserWarning, match="target dtype is not supported. Disabling autocast"),
        torch.autocast("workers"),
    ):
        assert (
            torch.ones(2, 2, device="workers") @ torch.ones(2, 2, device="workers")
        ).dtype is torch.float32


def test_functional_calls_and_hooks(assert_same):
    def program(device):
        module = nn.Linear(3, 2).to(device)
        module.register_forward_hook(lambda module, given, result: result * 2)
        module.weight.register_hook(lambda gradient: gradient * 5)
        x = torch.ones(2, 3, device=device)
        module(x).sum().backward()
        called = torch.func.functional_call(module, {"weight": torch.ones(2, 3, device=device)}, (x,))
        return called, module.weight.grad, nn.utils.parameters_to_vector(module.parameters())

    assert_same(program, rtol=1e-6)


def test_scaled_gradients_step_as_on_one_device(assert_same):
    def program(device):
        module = nn.Linear(3, 1).to(device)
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler(device, init_scale=8.0, growth_interval=1)
        for size in (1.0, float("inf"), 2.0):
            optimizer.zero_grad()
            scaler.scale(module(torch.full((2, 3), size, device=device)).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
        return module.weight, torch.tensor(scaler.get_scale(), device=device)

    assert_same(program, rtol=1e-6)


def test_attention_is_one_op_where_it_is_on_the_cpu(session):
    x = torch.randn(2, 2, 5, 4).to("workers").requires_grad_()
    F.scaled_dot_product_attention(x, x, x, is_causal=True).sum().backward()
    names = {template.op for template in session.inference.templates}
    assert "aten._scaled_dot_product_flash_attention_for_cpu_backward.default" in names
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        F.scaled_dot_product_attention(x, x, x)
    assert "aten.bmm.default" in {template.op for template in session.inference.templates}


def test_what_writes_unseen_is_refused_by_name():
    x, mean, variance = (torch.ones(2, 3, device="workers"), *torch.ones(2, 3, device="workers"))
    with pytest.raises(InputError, match=r"batch_norm_update_stats.default changes its arguments unseen"):
        torch.batch_norm_update_stats(x, mean, variance, 0.1)
    assert mean.tolist() == [1.0] * 3


def test_memory_of_other_processes_is_refused():
    x = torch.ones(2, device="workers")
    with pytest.raises(InputError, match="cannot be shared with other processes"):
        x.share_memory_()
    with pytest.raises(BufferError, match=r"use tensor.cpu"):
        x.__dlpack__()
