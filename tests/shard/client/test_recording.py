"""Ops as instructions: shapes that depend on numbers, mixtures of devices, errors of the user."""

import threading
import traceback

import pytest
import torch
from torch import nn

from outgrow.errors import InputError, RemoteError
from outgrow.shard.client.session import Session, use_session
from outgrow.shard.engines.simulated import SimulatedLink


def _by_numbers(d):
    x = torch.tensor([[1.0, 0, 2], [0, 3, 0]], device=d, requires_grad=True)
    chosen = x[x > 0]
    (chosen * chosen).sum().backward()
    values, inverse, counts = torch.unique(
        torch.tensor([3, 1, 3], device=d), return_inverse=True, return_counts=True
    )
    marked = torch.zeros(2, 3, device=d)
    marked[x.detach() > 1] = 5.0
    return [
        chosen, x.grad, x.nonzero(), torch.masked_select(x, x > 0), values, inverse, counts, marked,
        torch.repeat_interleave(torch.tensor([1, 2], device=d), torch.tensor([2, 3], device=d)),
        torch.bincount(torch.tensor([1, 2, 2], device=d)), torch.argwhere(x > 0), torch.where(x > 0)[0],
        torch.tensor_split(torch.arange(5, device=d), torch.tensor([1, 3]))[1],
    ]  # fmt: skip


def test_shapes_that_depend_on_numbers(assert_same):
    assert_same(_by_numbers)


def test_questions_of_the_program_are_answered():
    x = torch.ones(3, device="workers")
    assert torch.equal(x, x)
    assert torch.allclose(x, x + 1e-9)
    assert (x > 0).all()
    assert 1.0 in x
    assert len(x) == 3
    assert [one.item() for one in x] == [1.0] * 3
    assert x.tolist() == [1.0] * 3
    assert int(x.sum()) == 3
    assert not torch.equal(x, torch.ones(2, device="workers"))


def test_tensors_of_one_number_may_be_on_the_cpu(assert_same):
    def program(d):
        x = torch.ones(3, device=d)
        return (
            x * torch.tensor(2.0),
            torch.tensor(2.0, dtype=torch.float64) + x,
            x.to(torch.int64) + torch.tensor(1.5),
        )

    assert_same(program)


def test_index_tensors_may_be_on_the_cpu(assert_same):
    def program(d):
        x = torch.arange(12.0, device=d).view(3, 4)
        index = torch.tensor([0, 2])
        x[index] = 1
        x[:, torch.tensor([True, False, True, False])] *= 2
        return x, x[index], x[index, index]

    assert_same(program)


@pytest.mark.parametrize(
    "mixed",
    [
        lambda: torch.ones(3, device="workers") + torch.ones(3),
        lambda: torch.ones(3).add_(torch.ones(3, device="workers")),
        lambda: torch.zeros(()).add_(torch.ones((), device="workers")),
        lambda: torch.ones(2, 2, device="workers") @ torch.ones(2, 2),
        lambda: nn.functional.embedding(torch.tensor([1]), torch.ones(3, 3, device="workers")),
    ],
    ids=["add", "into the cpu", "scalar of the cpu", "matmul", "embedding"],
)
def test_other_mixtures_say_how_to_move(mixed):
    with pytest.raises(
        InputError, match=r"tensor on the cpu of shape .* and one on workers\n  Hint: move it there with .to"
    ):
        mixed()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda d: torch.ones(3, device=d) + torch.ones(4, device=d),
        lambda d: torch.ones(3, 2, device=d) @ torch.ones(4, 2, device=d),
        lambda d: torch.ones(3, 2, device=d).view(7),
        lambda d: torch.ones(3, 2, device=d).t().view(6),
        lambda d: torch.ones(3, device=d)[5],
        lambda d: nn.Linear(3, 2).to(d)(torch.ones(2, 4, device=d)),
        lambda d: torch.cat([torch.ones(2, 2, device=d), torch.ones(3, 3, device=d)]),
        lambda d: torch.ones(3, device=d, dtype=torch.int64).mean(),
        lambda d: torch.zeros(3, device=d).normal_(0, -1),
        lambda d: torch.linalg.cholesky(-torch.eye(2, device=d)),
    ],
    ids=[
        "add",
        "matmul",
        "view",
        "view of a transpose",
        "index",
        "linear",
        "cat",
        "mean of integers",
        "negative deviation",
        "cholesky",
    ],
)
def test_mistakes_raise_what_torch_raises_at_the_users_line(wrong):
    with pytest.raises(Exception) as expected:  # noqa: PT011 - whatever torch raises
        wrong("cpu")
    with pytest.raises(type(expected.value)) as actual:
        wrong("workers")
    assert str(actual.value) == str(expected.value)
    frames = [frame.filename for frame in traceback.extract_tb(actual.value.__traceback__)]
    assert sum("/outgrow/" in name for name in frames) <= 1


def test_a_failure_on_a_worker_names_the_line_that_asked(session):
    bad = torch.zeros(3, device="workers").gather(0, torch.tensor([7], device="workers"))  # this line
    fine = torch.ones(2, device="workers") + 1
    later = bad * 2
    with pytest.raises(RemoteError, match="out of bounds") as raised:
        later.cpu()
    assert f'{__file__}", line ' in str(raised.value)
    line = int(str(raised.value).split('", line ')[1].split(",")[0])
    with open(__file__) as source:  # noqa: PTH123
        assert "# this line" in source.readlines()[line - 1]
    assert "On the worker:" in str(raised.value)
    assert fine.tolist() == [2.0, 2.0]


def test_a_failure_in_backward_names_the_line_of_backward(session):
    class Bad(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            return grad + torch.ones(4, device="workers")

    x = torch.ones(3, device="workers", requires_grad=True)
    with pytest.raises(RuntimeError, match="The size of tensor a"):
        Bad.apply(x).sum().backward()
    assert (x * 2).tolist() == [2.0] * 3


def test_tensors_of_another_session_are_refused():
    mine = torch.ones(2, device="workers")
    with use_session(Session(SimulatedLink(1))):
        other = torch.ones(2, device="workers")
    with pytest.raises(InputError, match="tensors of different sessions"):
        mine + other
    with pytest.raises(InputError, match="tensors of different sessions"):
        mine.copy_(other)
    assert (other + 1).tolist() == [2.0, 2.0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.eye(2).to_sparse().to("workers"),
        lambda: torch.eye(2, device="workers").to_sparse(),
        lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8).to("workers"),
    ],
    ids=["sent", "made there", "quantized"],
)
def test_tensors_that_are_not_dense_are_refused_by_name(make):
    with pytest.raises(
        (InputError, NotImplementedError),
        match=r"a torch.sparse_\w+ tensor cannot be sent|aten::empty_quantized",
    ):
        make()


def test_numpy_says_what_torch_says():
    x = torch.ones(2, device="workers")
    with pytest.raises(TypeError, match=r"Use Tensor.cpu\(\) to copy the tensor to host memory first"):
        x.numpy()
    assert x.cpu().numpy().tolist() == [1.0, 1.0]
    assert x.numpy(force=True).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float16,
        torch.bfloat16,
        torch.float64,
        torch.int8,
        torch.uint8,
        torch.int32,
        torch.bool,
        torch.complex64,
    ],
)
def test_dtypes_go_there_and_back(dtype, assert_same):
    assert_same(lambda d: torch.tensor([[0, 1], [1, 3]]).to(dtype).to(d))
    assert_same(lambda d: torch.tensor([0, 1]).to(dtype).to(d) + torch.ones(2, device=d, dtype=dtype))


def test_float8_and_empty_and_scalars(assert_same):
    assert_same(lambda d: torch.tensor([1.0, 2.5]).to(torch.float8_e4m3fn).to(d).float())
    assert_same(lambda d: torch.empty(0, 3).to(d).sum(1))
    assert_same(lambda d: torch.tensor(5).to(d) * 3)


def test_floats_are_arguments_and_kinds_of_numbers_are_told_apart(session):
    x = torch.ones(2, device="workers", dtype=torch.int64)
    for number, expected in ((1, torch.int64), (1.0, torch.float32), (True, torch.int64)):
        assert (x * number).dtype is expected
    y = torch.ones(2, device="workers")
    y * 0.1
    before = len(session.inference.templates)
    results = [y * (0.1 * step) for step in range(5)]
    assert len(session.inference.templates) == before
    assert results[3].tolist() == pytest.approx([0.3, 0.3])


def test_steps_that_repeat_are_one_segment(session):
    sent = []
    send = session.link.send
    session.link.send = lambda message: (sent.append(type(message).__name__), send(message))
    layer = nn.Linear(3, 2).to("workers")
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    data = torch.ones(4, 3, device="workers")
    for _ in range(6):
        optimizer.zero_grad()
        layer(data).sum().backward()
        optimizer.step()
    assert sent.count("Call") == 6
    # The first step makes the optimizer's state; from then on everything is the same.
    assert sent.count("Define") <= 3
    assert session._stretch.body == []


def test_two_threads_may_use_one_session(session):
    failures = []

    def work(seed):
        try:
            x = torch.full((4,), float(seed), device="workers")
            for step in range(60):
                x = x + 1
                x[0] = 0.0
                if step % 7 == 0:
                    assert x[1].item() == seed + step + 1
            assert x.tolist() == [0.0] + [seed + 60.0] * 3
        except BaseException as error:
            failures.append("".join(traceback.format_exception(error)))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_values_are_forgotten_when_nobody_has_them(session):
    x = torch.ones(2, device="workers")
    x.sum().item()
    known = session.link.executor.values
    before = len(known)
    for _ in range(5):
        (x * 2 + 1).sum().item()
    x.sum().item()
    assert len(known) <= before + 1
