"""What is rolled back has never been: the next twenty steps are the same, bit for bit."""

import copy
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim import lr_scheduler as schedulers
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, TensorDataset

from outgrow import evolve
from outgrow.evolve.transactions.finite import NotFinite
from outgrow.evolve.transactions.transaction import TransactionOver


class Net(nn.Module):
    """Batch normalisation, dropout, a weight used twice, and an attribute that calls change."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.norm = nn.BatchNorm1d(6)
        self.drop = nn.Dropout(0.3)
        self.middle = nn.Linear(6, 6)
        self.last = nn.Linear(6, 4)
        self.config = SimpleNamespace(hidden=6, history=[])
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        hidden = torch.relu(self.norm(self.first(x)))
        return self.last(torch.relu(self.middle(self.drop(hidden))))


OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "SGD": lambda p: optim.SGD(p, lr=0.05, momentum=0.9),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01),
    "NAdam": lambda p: optim.NAdam(p, lr=0.01),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.01),
}
SCHEDULERS: dict[str, Callable[[optim.Optimizer], Any]] = {
    "none": lambda o: None,
    "OneCycleLR": lambda o: schedulers.OneCycleLR(o, max_lr=0.1, total_steps=200, cycle_momentum=False),
    "ReduceLROnPlateau": lambda o: schedulers.ReduceLROnPlateau(o, patience=1),
    "LambdaLR": lambda o: schedulers.LambdaLR(o, lambda step: 0.9**step),
    "SequentialLR": lambda o: schedulers.SequentialLR(
        o, [schedulers.LinearLR(o), schedulers.CosineAnnealingLR(o, 50)], milestones=[4]
    ),
    "ChainedScheduler": lambda o: schedulers.ChainedScheduler(
        [schedulers.ConstantLR(o), schedulers.ExponentialLR(o, 0.9)]
    ),
}


class Run:
    """A training with everything that a training can have."""

    def __init__(self, optimizer: str = "AdamW", scheduler: str = "OneCycleLR") -> None:
        torch.manual_seed(3)
        random.seed(3)
        np.random.seed(3)
        self.model = Net()
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        self.scheduler = SCHEDULERS[scheduler](self.optimizer)
        self.ema = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        data = TensorDataset(torch.randn(24, 4))
        self.loader = DataLoader(data, batch_size=8, shuffle=True)
        self.inputs = torch.randn(5, 4)

    def steps(self, count: int) -> list[float]:
        losses: list[float] = []
        while len(losses) < count:
            for (batch,) in self.loader:
                if len(losses) == count:
                    break
                losses.append(self.step(batch * (1 + 0.1 * random.random()) + 0.1 * np.random.rand()))
        return losses

    def step(self, batch: Tensor) -> float:
        self.model.config.history.append(len(batch))
        self.optimizer.zero_grad()
        loss = (self.model(batch) - batch.flip(1)).square().mean()
        loss.backward()
        self.optimizer.step()
        self.ema.update_parameters(self.model)
        if isinstance(self.scheduler, schedulers.ReduceLROnPlateau):
            self.scheduler.step(loss.item())
        elif self.scheduler is not None:
            self.scheduler.step()
        return loss.item()

    def everything(self) -> dict[str, Any]:
        return {
            "model": copy.deepcopy(self.model.state_dict()),
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "scheduler": copy.deepcopy(self.scheduler.state_dict()) if self.scheduler else None,
            "ema": copy.deepcopy(self.ema.state_dict()),
            "gradients": [None if p.grad is None else p.grad.clone() for p in self.model.parameters()],
            "config": copy.deepcopy(vars(self.model.config)),
            "calls": self.model.calls,
            "features": [one.in_features for one in self.model.modules() if isinstance(one, nn.Linear)],
            "modes": [one.training for one in self.model.modules()],
            "modules": [id(one) for one in self.model.modules()],
            "parameters": [id(one) for one in self.model.parameters()],
            "random": (torch.get_rng_state(), random.getstate(), np.random.get_state()),
        }

    def transaction(self) -> evolve.Transaction:
        return evolve.transaction(
            self.model, optimizer=self.optimizer, scheduler=self.scheduler, ema=self.ema
        )

    def widen(self, site: str = "first") -> None:
        evolve.widen(
            self.model,
            site,
            by=3,
            example_inputs=self.inputs,
            optimizer=self.optimizer,
            scheduler=self.scheduler,
            ema=self.ema,
        )


def assert_equal(actual: Any, expected: Any, where: str = "") -> None:
    assert type(actual) is type(expected), where
    if isinstance(expected, Tensor | np.ndarray):
        assert actual.dtype == expected.dtype, where
        assert np.array_equal(np.asarray(actual), np.asarray(expected), equal_nan=True), where
    elif isinstance(expected, dict):
        assert list(actual) == list(expected), where
        for key in expected:
            assert_equal(actual[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list | tuple):
        assert len(actual) == len(expected), where
        for place, (one, two) in enumerate(zip(actual, expected, strict=True)):
            assert_equal(one, two, f"{where}[{place}]")
    else:
        assert actual == expected, where


def deepen(run: Run) -> None:
    """By hand, as a user could do it."""
    for model in (run.model, run.ema.module):
        model.middle = nn.Sequential(model.middle, nn.Linear(6, 6))
    run.model.config.hidden = 7
    run.optimizer.param_groups[0]["params"].extend(run.model.middle[1].parameters())


def freeze(run: Run) -> None:
    run.model.first.weight.requires_grad_(False)
    run.model.eval()
    run.model.norm.register_buffer("extra", torch.ones(3))
    del run.model.config.hidden


EDITS: dict[str, Callable[[Run], object]] = {
    "nothing": lambda run: None,
    "widen": lambda run: run.widen(),
    "widen twice and train": lambda run: (run.widen(), run.steps(3), run.widen("middle"), run.steps(2)),
    "deepen and train": lambda run: (deepen(run), run.step(torch.randn(8, 4))),
    "freeze": freeze,
    "train": lambda run: run.steps(5),
    "overwrite": lambda run: [p.data.zero_() for p in run.model.parameters()],
    "zero_grad": lambda run: run.optimizer.zero_grad(),
    "draw": lambda run: (torch.rand(3), random.random(), np.random.rand()),
}


def check(optimizer: str, scheduler: str, edit: str) -> None:
    never = Run(optimizer, scheduler)
    # Together with its own past: random numbers are the process's.
    expected = [never.steps(4), never.everything(), never.steps(20), never.everything()]
    run = Run(optimizer, scheduler)
    assert run.steps(4) == expected[0]
    before = run.everything()
    with run.transaction() as change:
        EDITS[edit](run)
        change.rollback()
    assert_equal(run.everything(), before)
    assert run.steps(20) == expected[2]
    after = run.everything()
    for own in (after, expected[3]):
        own.pop("modules")
        own.pop("parameters")
    assert_equal(after, expected[3])


@pytest.mark.parametrize("edit", EDITS)
def test_after_a_rollback_twenty_steps_are_those_without_the_change(edit):
    check("AdamW", "OneCycleLR", edit)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_with_every_optimizer(optimizer):
    check(optimizer, "none", "widen twice and train")


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_with_every_scheduler(scheduler):
    check("SGD", scheduler, "widen twice and train")


def test_before_the_first_step_too():
    run = Run()
    before = run.everything()
    with run.transaction() as change:
        EDITS["widen twice and train"](run)
        change.rollback()
    assert_equal(run.everything(), before)


def test_without_rollback_everything_stays():
    run = Run()
    run.steps(3)
    with run.transaction() as change:
        run.widen()
        run.steps(2)
        after = run.everything()
    assert change.state == "committed"
    assert_equal(run.everything(), after)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), torch.OutOfMemoryError("full")])
def test_any_exception_rolls_back_and_goes_on(error):
    run = Run()
    run.steps(3)
    before = run.everything()

    def inside() -> None:
        run.widen()
        run.steps(2)
        raise error

    change = run.transaction()
    with pytest.raises(type(error)), change:
        inside()
    assert change.state == "rolled back"
    assert_equal(run.everything(), before)


def test_nested_transactions_go_back_to_their_own_beginnings():
    run = Run()
    run.steps(2)
    outermost = run.everything()
    with run.transaction() as outer:
        run.widen()
        run.steps(2)
        middle = run.everything()
        with run.transaction() as inner:
            run.widen("middle")
            run.steps(2)
            inner.rollback()
        assert_equal(run.everything(), middle)
        with run.transaction():
            run.steps(1)
        outer.rollback()
    assert_equal(run.everything(), outermost)


def test_rollback_may_be_called_in_the_midst_and_everything_behind_it_stays():
    run = Run()
    with run.transaction() as change:
        run.widen()
        change.rollback()
        run.steps(1)
        after = run.everything()
    assert change.state == "rolled back"
    assert_equal(run.everything(), after)


def test_a_transaction_is_used_inside_its_block_alone():
    run = Run()
    change = run.transaction()
    with pytest.raises(TransactionOver, match="not begun"):
        change.rollback()
    with change:
        pass
    for call in (change.rollback, change.commit, change.check):
        with pytest.raises(TransactionOver, match="committed"):
            call()
    with pytest.raises(TransactionOver, match="can be run once"), change:
        pass


def test_check_finds_what_is_not_finite():
    run = Run()
    before = run.everything()
    with run.transaction() as change:
        change.check()
        change.check(1.0, torch.tensor([2, 3]))
        with pytest.raises(NotFinite, match="nan"):
            change.check(torch.tensor(float("nan")))
        run.model.first.weight.data[0, 0] = float("inf")
        with pytest.raises(NotFinite, match=r"first\.weight"):
            change.check()
        change.rollback()
    assert_equal(run.everything(), before)


def test_what_else_is_given_is_put_back():
    run = Run()
    generator, mine = torch.Generator().manual_seed(4), {"steps": 3, "seen": [1, 2]}
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(torch.ones(()))
    array = np.arange(3.0)
    first = torch.rand(3, generator=generator.clone_state())
    with evolve.transaction(run.model, also=(generator, mine, scaler, array)) as change:
        torch.rand(5, generator=generator)
        mine["steps"], mine["more"] = 4, 1
        mine["seen"].append(3)
        scaler.update(2.0)
        array += 1
        change.rollback()
    assert torch.equal(torch.rand(3, generator=generator), first)
    assert mine == {"steps": 3, "seen": [1, 2]}
    assert scaler.get_scale() == 8.0
    assert array.tolist() == [0.0, 1.0, 2.0]


def test_an_optimizer_of_another_model_is_refused():
    run, other = Run(), Run()
    with pytest.raises(ValueError, match="holds none of the 8"):
        evolve.transaction(run.model, optimizer=other.optimizer)
    with pytest.raises(ValueError, match="of another optimizer"):
        evolve.transaction(run.model, optimizer=run.optimizer, scheduler=other.scheduler)


def test_copies_are_made_once_and_go_at_the_end():
    run = Run()
    run.steps(2)
    with run.transaction() as change:
        weights = sum(p.nbytes for p in run.model.parameters())
        # Weights, gradients, two moments, the average.
        assert 5 * weights <= change.nbytes < 5.5 * weights
    assert change.nbytes == 0


def test_ctrl_c_in_the_midst_of_a_rollback_does_not_stop_it(monkeypatch):
    run = Run()
    run.steps(2)
    before = run.everything()
    change = run.transaction()
    calls = []
    real = Tensor.copy_

    def interrupted(self: Tensor, *args: Any) -> Tensor:
        calls.append(None)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(self, *args)

    def inside() -> None:
        with change:
            run.steps(2)
            monkeypatch.setattr(Tensor, "copy_", interrupted)
            change.rollback()

    with pytest.raises(KeyboardInterrupt):
        inside()
    monkeypatch.undo()
    assert_equal(run.everything(), before)


def test_hooks_of_gradients_are_those_from_before():
    run, called = Run(), []
    weight, bias = run.model.first.weight, run.model.first.bias
    weight.register_hook(lambda _: called.append("kept"))
    with run.transaction() as change:
        weight.register_hook(lambda _: called.append("of the transaction"))
        bias.register_hook(lambda _: called.append("of the transaction"))
        bias.register_post_accumulate_grad_hook(lambda _: called.append("of the transaction"))
        change.rollback()
    run.steps(1)
    assert called == ["kept"]
    weight.register_hook(lambda _: called.append("later"))
    run.steps(1)
    assert called == ["kept", "kept", "later"]
