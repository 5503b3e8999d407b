"""Shapes that a policy of the library changes; what deciding costs is charged."""

__all__ = ["Decided", "counted_macs", "train_decided"]

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.evolve.fashion import Pictures
from bench.evolve.fixed import build, figures
from bench.evolve.ledger import Key
from bench.evolve.net import UNIT_MACS
from bench.evolve.schedule import rate
from bench.evolve.training import Training
from outgrow.evolve.batches import Batch
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.example_inputs import call_form
from outgrow.evolve.policies.candidates import apply_candidate
from outgrow.evolve.policies.greedy import Greedy
from outgrow.evolve.policies.policy import Budget, Decision, Policy, Situation
from outgrow.evolve.policies.uniform import Uniform

POLICIES: dict[str, Callable[[], Policy]] = {"greedy": Greedy, "uniform": Uniform}
"""By name, with the settings that they have by themselves."""
_FORK_BATCHES, _JUDGED, _JUDGED_BATCH = 32, 2000, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Who decides, and when."""

    policy: str
    """A name in `POLICIES`."""
    start: tuple[int, int, int] = (8, 16, 32)
    """Widths at the beginning."""
    shares: tuple[float, ...] = tuple(0.05 + 0.45 * number / 7 for number in range(8))
    """At which shares of the budget it is asked; these are those of `outgrow evolve run`."""


def counted_macs(model: nn.Module) -> float:
    """Multiply-adds of one forward pass of one picture, whatever layers the model has got."""
    counted: list[float] = []

    def count(module: nn.Module, _: Any, output: Tensor) -> None:
        counted.append(module.get_parameter("weight")[0].numel() * output[0].numel())

    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    was_training = model.training
    try:
        model.eval()
        with torch.no_grad():
            model(torch.zeros(1, 1, 28, 28))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return float(sum(counted))


def train_decided(key: Key, arm: Decided, pictures: Pictures, unit: float = UNIT_MACS) -> dict[str, Any]:
    """Train for the whole budget, asking the policy on the way; its choices are in `decisions`."""
    training = build(arm.start, pictures, key.seed, key.lr, counted_macs)
    policy, budget = POLICIES[arm.policy](), key.budget * unit
    history: list[Decision] = []
    for number, share in enumerate(arm.shares):
        training.advance(share * budget, lambda spent: rate(key.lr, spent / budget))
        began = time.process_time()
        decision = policy.decide(
            _situation(training, pictures, budget, tuple(history), key.seed * 100 + number)
        )
        history.append(decision)
        training.macs += decision.flops / 2
        if decision.candidate is not None:
            apply_candidate(
                decision.candidate,
                training.model,
                call_form(pictures.train[0][:2]),
                followers=Followers(optimizer=training.optimizer),
                seed=key.seed * 100 + number,
            )
        training.seconds += time.process_time() - began
    training.finish(budget, key.lr)
    return {
        **figures(training, pictures, key.split),
        "decisions": [
            {
                "label": "nothing" if one.candidate is None else one.candidate.label,
                "reason": one.reason,
                "macs": one.flops / 2,
                "seconds": one.seconds,
            }
            for one in history
        ],
    }


def _situation(
    training: Training, pictures: Pictures, budget: float, history: tuple[Decision, ...], seed: int
) -> Situation:
    return Situation(
        model=training.model,
        inputs=call_form(pictures.train[0][:2]),
        training=[_batch(*training.batches.next()) for _ in range(_FORK_BATCHES)],
        validation=[
            _batch(*(part[start : start + _JUDGED_BATCH] for part in pictures.validation))
            for start in range(0, min(_JUDGED, len(pictures.validation[1])), _JUDGED_BATCH)
        ],
        followers=Followers(optimizer=training.optimizer),
        budget=Budget(flops=2 * budget, spent=2 * training.macs),
        history=history,
        seed=seed,
    )


def _batch(inputs: Tensor, labels: Tensor) -> Batch:
    return Batch(inputs=call_form(inputs), target=labels)
