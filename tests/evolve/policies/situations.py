"""A tiny training that policies are asked about."""

import itertools
from typing import Any

import torch
from torch import nn

from outgrow.evolve.batches import Batch, own_loss, read_batch
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.example_inputs import call_form
from outgrow.evolve.policies.policy import Situation


def perceptron(*widths: int, seed: int = 0) -> nn.Module:
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def signs(count: int, size: int, generator: torch.Generator, *, is_noise: bool = False) -> list[Batch]:
    """Which quarter of two planes a point lies in: a class of three that no linear map tells."""
    batches = []
    for _ in range(count):
        points = torch.randn(size, 6, generator=generator)
        label = (points[:, 0] * points[:, 1] > 0).long() + (points[:, 2] * points[:, 3] > 0).long()
        if is_noise:
            label = label[torch.randperm(size, generator=generator)]
        batches.append(read_batch((points, label)))
    return batches


def train(model: nn.Module, optimizer: torch.optim.Optimizer, batches: list[Batch]) -> None:
    for batch in batches:
        optimizer.zero_grad()
        own_loss(model, batch).backward()
        optimizer.step()


def situation(
    model: nn.Module | None = None,
    *,
    seed: int = 0,
    steps: int = 0,
    lr: float = 1e-2,
    training: int = 12,
    is_noise: bool = False,
    **more: Any,
) -> Situation:
    """`steps` of training with Adam, and a situation behind them."""
    generator = torch.Generator().manual_seed(seed)
    model = perceptron(6, 4, 4, 3, seed=seed) if model is None else model
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    train(model, optimizer, signs(steps, 32, generator, is_noise=is_noise))
    return Situation(
        model=model,
        inputs=call_form(torch.randn(2, 6, generator=generator)),
        training=signs(training, 32, generator, is_noise=is_noise),
        validation=signs(6, 64, generator, is_noise=is_noise),
        followers=Followers(optimizer=optimizer),
        **{"seed": seed, **more},
    )


def fingerprint(given: Situation) -> dict[str, Any]:
    """Everything that a policy has to leave as it was."""
    optimizer = given.followers.optimizer
    moments = {
        f"{number}.{key}": value.clone()
        for number, one in enumerate(given.model.parameters())
        for key, value in optimizer.state.get(one, {}).items()
    }
    return {
        **{name: one.clone() for name, one in given.model.state_dict().items()},
        **moments,
        "modules": [type(one) for one in given.model.modules()],
        "training": [one.training for one in given.model.modules()],
        "gradients": [one.grad is None for one in given.model.parameters()],
        "hooks": [len(one._forward_hooks) for one in given.model.modules()],
        "random": torch.get_rng_state(),
    }


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key]
        for key, value in one.items()
    )
