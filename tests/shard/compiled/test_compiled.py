import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from outgrow.errors import InputError
from outgrow.shard.client.session import Session, set_default_session
from outgrow.shard.compiled import Compiled, compile
from outgrow.shard.engines.simulated import SimulatedLink


@pytest.fixture(autouse=True)
def _two_workers():
    before = set_default_session(Session(SimulatedLink(2)))
    yield
    set_default_session(before)


def twins() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.0), nn.Linear(8, 3)).double()
    return plain, copy.deepcopy(plain).to("workers")


def step_of(model: nn.Module, optimizer: Any) -> Any:
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


class Pair:
    """The same training in plain torch and compiled on workers."""

    def __init__(
        self, make: Any = lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9)
    ) -> None:
        self.plain, self.ours = twins()
        self.optimizers = (make(self.plain.parameters()), make(self.ours.parameters()))
        self.step = step_of(self.plain, self.optimizers[0])
        self.compiled = compile(step_of(self.ours, self.optimizers[1]))
        self.generator = torch.Generator().manual_seed(1)

    def run(self, steps: int, batch: int = 4) -> None:
        for _ in range(steps):
            x = torch.randn(batch, 6, generator=self.generator).double()
            y = torch.randn(batch, 3, generator=self.generator).double()
            expected = self.step(x, y)
            actual = self.compiled(x.to("workers"), y.to("workers"))
            assert actual.item() == pytest.approx(expected.item(), rel=1e-10)

    def check(self) -> None:
        for one, other in zip(self.ours.parameters(), self.plain.parameters(), strict=True):
            torch.testing.assert_close(one.detach().cpu(), other.detach(), rtol=1e-10, atol=1e-12)
            assert one.grad is not None
            torch.testing.assert_close(one.grad.cpu(), other.grad, rtol=1e-9, atol=1e-12)


def test_a_training_step_is_replayed_and_equals_torch():
    pair = Pair()
    pair.run(16)
    assert pair.compiled.replays >= 10
    pair.check()


def test_another_batch_size_is_recorded_anew():
    pair = Pair()
    pair.run(8)
    pair.run(3, batch=7)
    pair.run(4)
    pair.check()


def test_a_learning_rate_that_changes_is_never_baked_in():
    pair = Pair()
    pair.run(8)
    for optimizer in pair.optimizers:
        optimizer.param_groups[0]["lr"] = 0.01
    before = pair.compiled.replays
    pair.run(1)
    assert pair.compiled.replays == before
    pair.run(6)
    assert pair.compiled.replays > before
    pair.check()


def test_a_scheduler_after_every_step_stays_right():
    pair = Pair()
    schedulers = [torch.optim.lr_scheduler.ExponentialLR(one, 0.9) for one in pair.optimizers]
    for _ in range(10):
        pair.run(1)
        for scheduler in schedulers:
            scheduler.step()
    pair.check()


def test_a_parameter_that_is_changed_from_outside_is_seen():
    pair = Pair()
    pair.run(8)
    for model in (pair.plain, pair.ours):
        with torch.no_grad():
            model[0].weight.mul_(0.5)
    pair.run(4)
    state = {name: tensor.cpu() + 1 for name, tensor in pair.ours.state_dict().items()}
    for model in (pair.plain, pair.ours):
        model.load_state_dict(state)
    pair.run(4)
    pair.check()


def test_gradients_set_to_none_outside_come_back():
    pair = Pair()
    for _ in range(8):
        for optimizer in pair.optimizers:
            optimizer.zero_grad()
        pair.run(1)
    pair.check()


def test_a_gradient_that_somebody_keeps_is_not_changed_under_them():
    pair = Pair()
    pair.run(8)
    kept = pair.ours[0].weight.grad
    numbers = kept.cpu()
    pair.run(4)
    assert torch.equal(kept.cpu(), numbers)


def test_a_loss_that_somebody_keeps_keeps_its_number():
    _, ours = twins()
    run = compile(step_of(ours, torch.optim.SGD(ours.parameters(), lr=0.1)))
    x, y = torch.ones(4, 6).double().to("workers"), torch.ones(4, 3).double().to("workers")
    losses = [run(x, y) for _ in range(10)]
    assert run.replays
    numbers = [loss.item() for loss in losses]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == 10


def test_a_flag_of_a_module_is_seen():
    pair = Pair()
    pair.run(8)
    before = pair.compiled.replays
    pair.ours.eval()
    pair.plain.eval()
    pair.run(1)
    assert pair.compiled.replays == before


def test_adam_needs_its_step_count_on_the_workers():
    _, ours = twins()
    run = compile(step_of(ours, torch.optim.Adam(ours.parameters(), lr=0.1)))
    x, y = torch.ones(4, 6).double().to("workers"), torch.ones(4, 3).double().to("workers")
    with pytest.raises(InputError, match="step, a tensor in this process, was written"):
        repeat(10, run, x, y)


def test_adam_with_its_step_count_on_the_workers_is_replayed():
    _, ours = twins()
    optimizer = torch.optim.Adam(ours.parameters(), lr=0.1, capturable=True)
    run = compile(step_of(ours, optimizer))
    x, y = torch.ones(4, 6).double().to("workers"), torch.ones(4, 3).double().to("workers")
    for _ in range(9):
        run(x, y)
    assert run.replays >= 4
    assert optimizer.state[ours[0].weight]["step"].item() == 9


def repeat(times: int, run: Any, *args: Any) -> None:
    for _ in range(times):
        run(*args)


X = torch.ones(4, 6)


def counting() -> Any:
    count = 0

    def run(x: Tensor) -> Tensor:
        nonlocal count
        count += 1
        return x * count

    return run


def growing() -> Any:
    kept: list[Any] = []

    def run(x: Tensor) -> Tensor:
        kept.append(x.sum())
        return x * 2

    return run


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x * x.sum().item(), "looks at a tensor's numbers"),
        (lambda x: F.dropout(x, 0.5), "sends new numbers"),
        (lambda x: x.add_(1), "writes into a tensor that it was given"),
        (lambda x: x, "returns a tensor that it did not make"),
        (counting(), "changed from 5 to 6"),
        (growing(), "a list of .* grew to"),
    ],
    ids=["fetch", "random", "write", "identity", "counter", "list"],
)
def test_what_cannot_be_replayed_is_refused(function, message):
    run = compile(function)
    x = X.to("workers")
    with pytest.raises(InputError, match=message):
        repeat(8, run, x)


def test_arguments_of_other_kinds_are_refused_by_name():
    run: Compiled = compile(lambda x: x * 2)
    with pytest.raises(InputError, match="a tensor on the cpu"):
        run(X)
    with pytest.raises(InputError, match="a Generator"):
        run(torch.Generator())


SCALE = 2.0


class Settings:
    scale = 2.0


class Scaled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * SCALE


def ones() -> Any:
    return torch.ones(3).to("workers")


def warm(function: Any, *args: Any) -> Compiled:
    run = compile(function)
    for _ in range(6):
        run(*args)
    assert run.replays == 3
    return run


def test_a_global_that_only_a_method_reads_is_seen(monkeypatch):
    module = Scaled()
    run = warm(lambda x: module(x), ones())
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    assert run(ones()).tolist() == [5.0] * 3


def test_a_variable_of_a_class_is_seen(monkeypatch):
    run = warm(lambda x: x * Settings.scale, ones())
    monkeypatch.setattr(Settings, "scale", 7.0)
    assert run(ones()).tolist() == [7.0] * 3


def test_a_method_that_is_replaced_is_seen(monkeypatch):
    module = Scaled()
    run = warm(lambda x: module(x), ones())
    monkeypatch.setattr(Scaled, "forward", lambda self, x: x * 3)
    assert run(ones()).tolist() == [3.0] * 3


def test_what_is_in_a_set_is_seen():
    factors = {2.0}
    run = warm(lambda x: x * sum(factors), ones())
    factors.clear()
    factors.add(9.0)
    assert run(ones()).tolist() == [9.0] * 3


def test_defaults_and_attributes_of_a_function_are_seen():
    factors = [2.0]

    def scaled(x: Tensor, *, by: Any = factors) -> Tensor:
        return x * by[0] * scaled.more  # type: ignore[attr-defined]

    scaled.more = 1.0  # type: ignore[attr-defined]
    run = warm(scaled, ones())
    factors[0] = 3.0
    assert run(ones()).tolist() == [3.0] * 3
    scaled.more = 2.0  # type: ignore[attr-defined]
    assert run(ones()).tolist() == [6.0] * 3


def test_a_zero_of_another_sign_is_another_number():
    run = warm(lambda x, by: x * by, ones(), 0.0)
    assert torch.signbit(run(ones(), -0.0).cpu()).all()


def test_another_default_dtype_is_another_case():
    run = warm(lambda x: x + torch.zeros(3, device="workers"), ones())
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert run(ones().float()).dtype == torch.float64
    finally:
        torch.set_default_dtype(before)


def test_one_tensor_given_twice_is_another_case_than_two():
    x = ones()
    run = warm(lambda one, other: one - other, x, x)
    assert run(x * 3, x).tolist() == [2.0] * 3


def test_an_argument_that_the_function_reaches_by_itself_is_refused():
    weight = ones()
    run = compile(lambda x: x * weight)
    with pytest.raises(InputError, match="also reaches through a closure"):
        run(weight)
    for _ in range(6):
        run(ones())
    assert run.replays
    with pytest.raises(InputError, match="also reaches through a closure"):
        run(weight)


def test_an_argument_that_requires_a_gradient_is_refused_after_replays_too():
    run = warm(lambda x: (x * 2).detach(), ones())
    with pytest.raises(InputError, match="requires a gradient"):
        run(ones().requires_grad_())


def test_a_function_that_draws_numbers_to_decide_is_refused():
    run = compile(lambda x: x * 2 if torch.rand(1).item() < 2 else x)
    for _ in range(6):
        run(ones())
    assert not run.replays
    with pytest.raises(InputError, match="draws random numbers"):
        run(ones())


def test_what_one_compiled_function_writes_another_one_sees():
    state, x = torch.zeros(3).to("workers"), ones()
    view = state[0]

    def add(x: Tensor) -> None:
        state.add_(x)

    train = warm(add, x)
    read = warm(lambda x: state * x, x)
    train(x)
    assert train.replays == 4
    assert read(x).tolist() == [7.0] * 3
    assert view.item() == 7.0


def test_a_compiled_function_within_another_one_is_part_of_it():
    state, x = torch.zeros(3).to("workers"), ones()

    @compile
    def inner(x: Tensor) -> Tensor:
        state.add_(x)
        return state.clone()

    outer = compile(lambda x: inner(x) * 2)
    for _ in range(6):
        inner(x)
    assert [outer(x).tolist()[0] for _ in range(6)] == [14.0, 16.0, 18.0, 20.0, 22.0, 24.0]
    assert outer.replays == 3
    assert inner(x).tolist() == [13.0] * 3


def test_copies_are_made_anew_by_every_replay():
    state, before, x = torch.zeros(3).to("workers"), torch.zeros(3).to("workers"), ones()
    given = torch.zeros(3).to("workers")

    @compile
    def step(x: Tensor) -> tuple[Tensor, Tensor]:
        before.copy_(state)
        given.copy_(x)
        state.add_(x)
        return state.clone(), state.__deepcopy__({})

    results = [step(x * number) for number in range(8)]
    assert step.replays == 5
    expected = [float(sum(range(number + 1))) for number in range(8)]
    assert [one.tolist()[0] for one, _ in results] == expected
    assert [one.tolist()[0] for _, one in results] == expected
    assert (state.tolist()[0], before.tolist()[0], given.tolist()[0]) == (28.0, 21.0, 7.0)
