"""Views by strides, by dtype, of complex numbers, and ops that change a tensor's shape in place."""

import pytest
import torch
from torch import nn

from outgrow.errors import InputError


def _strided(d):
    x = torch.arange(6, dtype=torch.float32, device=d).reshape(2, 3)
    bits = x.view(torch.int32)
    bits[0, 1] = 0
    block = x.as_strided((2, 2), (1, 2), 1)
    block.fill_(7)
    column = x.t().as_strided((3,), (2,))
    column.add_(1)
    row = x[1].as_strided((2,), (1,))
    row.zero_()
    return x, bits, block, column, row, x.t()


def _shapes(d):
    x = torch.arange(6, dtype=torch.float32, device=d).reshape(2, 3)
    flat = x.view(-1)
    x.t_().unsqueeze_(0).squeeze_().transpose_(0, 1)
    x.resize_(3, 2)
    flat[0] = 9
    fresh = torch.empty(0, device=d)
    fresh.resize_(3)
    fresh.fill_(2.0)
    taken = torch.zeros(2, device=d)
    taken.set_(fresh)
    taken.add_(1)
    other = torch.zeros(2, 3, device=d)
    other.data = x.view(2, 3)
    other.add_(1)
    return x, flat, fresh, taken, other


def _complex(d):
    x = torch.randn(3, 4, dtype=torch.complex64, device=d)
    real = x.real.clone()
    x.imag.mul_(2)
    torch.view_as_real(x)[0] = 1
    copied = torch.zeros(3, 4, dtype=torch.complex64, device=d)
    copied.copy_(x.conj())
    sent = torch.randn(3, 4, dtype=torch.complex64).conj().to(d)
    return (
        x,
        real,
        x.conj().resolve_conj(),
        x.conj() @ x.T,
        x.mH.resolve_conj(),
        copied,
        sent,
        x.conj().imag.neg(),
    )


def _channels_last(d):
    x = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last).to(d)
    x[:, 1].zero_()
    return (
        x,
        x.as_strided((5,), (3,), 2),
        x.contiguous().view(-1),
        nn.functional.conv2d(x, torch.ones(1, 3, 2, 2, device=d)),
    )


def _expanded(d):
    x = torch.arange(3.0, device=d)
    wide = x.expand(2, 3)
    x.mul_(2)
    return wide, wide.sum(0), wide.to(torch.float64)


@pytest.mark.parametrize(
    "program", [_strided, _shapes, _complex, _channels_last, _expanded], ids=lambda one: one.__name__
)
def test_views_are_those_of_one_device(program, assert_same):
    assert_same(program, rtol=1e-6)


def test_a_write_through_one_view_is_seen_through_all(assert_same):
    def program(d):
        x = torch.arange(12.0, device=d).view(3, 4)
        row, column, pieces = x[1], x[:, 2], x.split(2)
        row += 1
        column[1] = -5
        pieces[1].zero_()
        x.t()[0].mul_(3)
        return x, row, column, *pieces

    assert_same(program)


def test_gradients_flow_through_writes_into_views(assert_same):
    def program(d):
        x = torch.arange(6.0, device=d, dtype=torch.float64).requires_grad_()
        y = x * 1
        y[1:3] *= 2
        y.view(2, 3)[0].mul_(3)
        z = y.as_strided((2, 2), (2, 1))
        z.sin_()
        (y.sum() * z[0].sum()).backward()
        return x.grad

    assert_same(program, rtol=1e-14)


def test_writing_back_costs_nothing_where_nobody_looks(session):
    x = torch.zeros(4, 4, device="workers")
    row = x[1]
    session.flush()
    row.add_(1)
    row.add_(1)
    names = [session.inference.templates[index].op for index, _ in session._stretch.body]
    assert names == ["aten.add_.Tensor", "aten.add_.Tensor"]
    assert x[1].tolist() == [2.0] * 4


def test_a_storage_does_not_grow():
    x = torch.zeros(4, device="workers")
    with pytest.raises(InputError, match=r"resize_.*would enlarge a storage"):
        x.resize_(8)
    with pytest.raises(RuntimeError, match="out of bounds for storage of size 16"):
        x.as_strided((5,), (1,))
    assert x.tolist() == [0.0] * 4


def test_out_takes_an_empty_tensor_or_one_of_the_right_shape(assert_same):
    assert_same(lambda d: torch.add(torch.ones(3, device=d), 1, out=torch.empty(0, device=d)))
    assert_same(
        lambda d: torch.kron(
            torch.eye(2, device=d), torch.ones(2, 2, device=d), out=torch.zeros(4, 4, device=d)
        )
    )
    out = torch.zeros(2, device="workers")
    with (
        pytest.warns(UserWarning, match="output with one or more elements was resized"),
        pytest.raises(InputError, match="would change a tensor"),
    ):
        torch.add(torch.ones(3, device="workers"), 1, out=out)
    assert out.shape == (2,)


def test_swapped_tensors_swap_what_they_hold():
    a, b = torch.ones(2, device="workers"), torch.zeros(3)
    torch.utils.swap_tensors(a, b)
    assert a.tolist() == [0.0] * 3
    assert a.device.type == "cpu"
    assert b.tolist() == [1.0] * 2
    assert b.device.type == "workers"
