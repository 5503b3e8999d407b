"""Every operator takes along what is trained with the model."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel

from outgrow import evolve
from outgrow.evolve.operators import OPERATORS

ARGUMENTS: dict[str, dict[str, Any]] = {
    "widen": {"by": 2},
    "prune": {"amount": 1},
    "hybrid": {"by": 2, "amount": 1},
    "insert_attention": {"num_heads": 2},
}
KINDS = {"hybrid": "widen"}


class Net(nn.Module):
    """A little of everything: a stack of residual blocks, batch normalisation, an activation module."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.blocks = nn.Sequential(Block(), Block())
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.relu(self.norm(self.stem(x)))).mean(dim=(2, 3)))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.norm(self.second(torch.relu(self.first(x))))


INPUTS = torch.randn(4, 1, 5, 5, generator=torch.Generator().manual_seed(6))


class Run:
    def __init__(self) -> None:
        self.model = Net()
        self.optimizer = optim.AdamW(self.model.parameters(), lr=0.01)
        self.scheduler = optim.lr_scheduler.ExponentialLR(self.optimizer, 0.9)
        self.ema = AveragedModel(self.model)
        for _ in range(3):
            self.step()

    def step(self) -> float:
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(INPUTS), torch.tensor([0, 1, 2, 0]))
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        return loss.item()

    def change(self, name: str, model: nn.Module | None = None) -> evolve.Edit:
        model = self.model if model is None else model
        site = evolve.sites(model, INPUTS, kind=KINDS.get(name, name))[0]
        return OPERATORS[name](
            model,
            site,
            **ARGUMENTS.get(name, {}),
            optimizer=self.optimizer,
            scheduler=self.scheduler,
            ema=self.ema,
        )


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_takes_everything_along(name):
    run = Run()
    run.ema.update_parameters(run.model)  # the first time, all is copied
    state = torch.get_rng_state()
    run.change(name)
    assert torch.equal(torch.get_rng_state(), state)
    # An average of equal values stays equal, with weights of its own.
    mine, own = dict(run.ema.module.named_parameters()), dict(run.model.named_parameters())
    assert list(mine) == list(own)
    for key, parameter in own.items():
        assert torch.equal(mine[key], parameter), key
        assert mine[key] is not parameter
    # The optimizer holds the model's parameters, in its order, and a new one takes over its state.
    (group,) = run.optimizer.param_groups
    assert [id(one) for one in group["params"]] == [id(one) for one in run.model.parameters()]
    assert {id(one) for one in run.optimizer.state} <= {id(one) for one in run.model.parameters()}
    for parameter, kept in run.optimizer.state.items():
        assert kept["exp_avg"].shape == parameter.shape
    for _ in range(3):
        run.step()
        run.ema.update_parameters(run.model)
    again = optim.AdamW(run.model.parameters())
    again.load_state_dict(run.optimizer.state_dict())


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_can_be_rolled_back(name):
    run, never = Run(), Run()
    before = str((run.model.state_dict(), run.optimizer.state_dict(), run.ema.state_dict()))
    modules = [id(one) for one in run.model.modules()]
    with evolve.transaction(
        run.model, optimizer=run.optimizer, scheduler=run.scheduler, ema=run.ema
    ) as change:
        run.change(name)
        run.step()
        run.ema.update_parameters(run.model)
        change.rollback()
    assert str((run.model.state_dict(), run.optimizer.state_dict(), run.ema.state_dict())) == before
    assert [id(one) for one in run.model.modules()] == modules
    assert [run.step() for _ in range(20)] == [never.step() for _ in range(20)]


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_takes_a_compiled_model(name):
    run = Run()
    compiled = torch.compile(run.model, backend="eager")
    try:
        expected = copy.deepcopy(run.model).eval()(INPUTS)
        edit = run.change(name, compiled)
        if edit.promise == "exact":
            torch.testing.assert_close(run.model.eval()(INPUTS), expected)
        compiled(INPUTS)
    finally:
        torch.compiler.reset()
