"""A small model that is trained, widened and looked at."""

import copy

import torch
from torch import Tensor, nn, optim

from outgrow import evolve


class Net(nn.Module):
    """Batch normalisation, and an embedding tied to the last layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.embed = nn.Embedding(11, 6)
        self.first = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.last = nn.Linear(8, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.last(torch.relu(self.norm(self.first(self.embed(tokens))))))


TOKENS = torch.arange(11).repeat(2)


def trained(model: nn.Module, optimizer: optim.Optimizer | None = None, steps: int = 4) -> optim.Optimizer:
    optimizer = optimizer or optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(steps):
        step(model, optimizer)
    return optimizer


def step(model: nn.Module, *optimizers: optim.Optimizer) -> float:
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(TOKENS), (TOKENS * 3) % 11)
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
    return loss.item()


def widen(model: nn.Module, **given: object) -> None:
    evolve.widen(model, "first", by=3, example_inputs=TOKENS, **given)


def state_of(model: nn.Module, optimizer: optim.Optimizer) -> tuple[object, ...]:
    return (
        copy.deepcopy(model.state_dict()),
        copy.deepcopy(optimizer.state_dict()),
        [parameter.grad for parameter in model.parameters()],
        [id(parameter) for group in optimizer.param_groups for parameter in group["params"]],
        torch.get_rng_state(),
    )


def assert_unchanged(model: nn.Module, optimizer: optim.Optimizer, before: tuple[object, ...]) -> None:
    after = state_of(model, optimizer)
    assert str(after) == str(before)
