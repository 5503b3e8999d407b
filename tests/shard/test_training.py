"""Unmodified training on workers: losses are those of plain torch."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from outgrow.shard.client.session import Session, use_session
from outgrow.shard.engines.simulated import SimulatedLink

OPTIMIZERS = {
    "SGD": lambda parameters: torch.optim.SGD(
        parameters, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1
    ),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.01, amsgrad=True),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=0.01),
    "AdamW over single tensors": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, foreach=False),
    "AdamW fused": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, fused=True),
    "RMSprop": lambda parameters: torch.optim.RMSprop(parameters, lr=0.01, momentum=0.5, centered=True),
    "Adagrad": lambda parameters: torch.optim.Adagrad(parameters, lr=0.01),
    "Adadelta": torch.optim.Adadelta,
    "Adamax": torch.optim.Adamax,
    "NAdam": torch.optim.NAdam,
    "RAdam": torch.optim.RAdam,
    "Rprop": torch.optim.Rprop,
    "ASGD": torch.optim.ASGD,
}


def _network():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 3)
    ).double()


def _losses(device, make_optimizer, steps=6):
    torch.manual_seed(0)
    model = _network().to(device)
    optimizer = make_optimizer(model.parameters())
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for _ in range(steps):
        pictures = torch.randn(8, 1, 6, 6, dtype=torch.float64).to(device)
        loss = F.cross_entropy(model(pictures), torch.randint(0, 3, (8,)).to(device))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss)
    return [loss.item() for loss in losses]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_losses_are_those_of_one_device(name):
    expected = _losses("cpu", OPTIMIZERS[name])
    with use_session(Session(SimulatedLink(2))):
        assert _losses("workers", OPTIMIZERS[name]) == pytest.approx(expected, rel=1e-10)
    assert expected[-1] != expected[0]


@pytest.mark.parametrize("world_size", [1, 3, 4])
def test_losses_do_not_depend_on_how_many_workers_there_are(world_size):
    expected = _losses("cpu", OPTIMIZERS["AdamW"])
    with use_session(Session(SimulatedLink(world_size))):
        assert _losses("workers", OPTIMIZERS["AdamW"]) == pytest.approx(expected, rel=1e-10)


def test_lbfgs_calls_its_closure_as_on_one_device():
    def run(device):
        torch.manual_seed(0)
        model = nn.Linear(3, 1).double().to(device)
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)
        data = torch.randn(8, 3, dtype=torch.float64).to(device)

        def closure():
            optimizer.zero_grad()
            loss = (model(data) - 1).pow(2).sum()
            loss.backward()
            return loss

        return [optimizer.step(closure).item() for _ in range(2)]

    expected = run("cpu")
    with use_session(Session(SimulatedLink(2))):
        assert run("workers") == pytest.approx(expected, rel=1e-9)
