"""Try one change beside no change at all, on the same batches, and keep it if it pays."""

__all__ = ["Attempt", "AttemptFailed", "attempt"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import InputError, OutgrowError
from outgrow.evolve.batches import Batch, Objective, inputs_for
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.interface.structural_operator import StructuralOperator
from outgrow.evolve.measures.cost import measure_cost
from outgrow.evolve.transactions.fork import Failure, paired_forks
from outgrow.evolve.transactions.undisturbed import undisturbed

_PLAIN_RATE = 1e-3
"""Learning rate of a fork's plain gradient descent, where no optimizer is given."""


class AttemptFailed(OutgrowError):
    """The change or the training behind it failed; everything is as it was."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.kind}: {failure.text}")
        self.failure = failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What trying a change gave."""

    is_kept: bool
    """Whether the model has the change now."""
    reward: float
    """How much lower the held-back loss is with the change than without it, less its price."""
    loss_with: float
    """Loss on the batches that were held back, after the fork with the change."""
    loss_without: float
    """The same after the fork without it."""
    metrics_before: dict[str, Any]
    """Figures of the model before the change."""
    metrics_after: dict[str, Any]
    """Figures right after it."""
    info: dict[str, Any]
    """What the operator says of it."""


def attempt(
    model: nn.Module,
    operator: StructuralOperator,
    batches: Sequence[Batch],
    *,
    objective: Objective,
    measure: Callable[[Sequence[Batch]], dict[str, Any]],
    followers: Followers,
    steps: int,
    price: float,
    keep_above: float,
    seed: int,
) -> Attempt:
    """Train for a moment without the change and with it, and make the change for good if it pays.

    Half of the batches train both, the other half judge them; a single batch does both.

    Raises:
        InputError: the operator has no place here.
        AttemptFailed: the change could not be made, or training with it failed.
    """
    held = batches[len(batches) // 2 :]
    trained = batches[: len(batches) // 2] or held
    inputs = inputs_for(model, batches[0])
    metrics = {
        "example_inputs": inputs,
        "seed": seed,
        "optimizer": followers.optimizer,
        "scheduler": followers.scheduler,
        "ema": followers.ema,
    }
    if not operator.can_apply(model, metrics):
        raise InputError(
            f"{type(operator).__name__} has no place in this {type(model).__name__}",
            hint="evolve.sites(model, example_inputs, kind=...) lists the places of each operator",
        )
    before, cost = measure(held), measure_cost(model, inputs)
    made: dict[str, Any] = {}

    def change() -> Any:
        made["info"] = operator.apply(model, metrics)[1]
        made["after"] = measure(held)
        made["growth"] = measure_cost(model, inputs).training_flops / cost.training_flops - 1
        return made["info"]["edit"]

    forks = paired_forks(
        model,
        {"without": None, "with": change},
        lambda batch: _train_step(model, batch, objective, followers.optimizer),
        [trained[step % len(trained)] for step in range(steps)],
        optimizer=followers.optimizer,
        scheduler=followers.scheduler,
        ema=followers.ema,
        measure=lambda: _mean_loss(model, held, objective),
    )
    for fork in forks.values():
        if fork.failure is not None:
            raise AttemptFailed(fork.failure)
    loss_without, loss_with = forks["without"].measured, forks["with"].measured
    reward = loss_without - loss_with - price * made["growth"]
    is_kept = reward >= keep_above
    return Attempt(
        is_kept=is_kept,
        reward=reward,
        loss_with=loss_with,
        loss_without=loss_without,
        metrics_before=before,
        metrics_after=made["after"],
        info=operator.apply(model, metrics)[1] if is_kept else made["info"],
    )


def _train_step(
    model: nn.Module, batch: Batch, objective: Objective, optimizer: torch.optim.Optimizer | None
) -> Tensor:
    model.train()
    model.zero_grad()
    loss = objective(model, batch)
    torch.autograd.backward(loss)
    if optimizer is not None:
        optimizer.step()
        return loss.detach()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(parameter.grad, alpha=_PLAIN_RATE)
    return loss.detach()


def _mean_loss(model: nn.Module, held: Sequence[Batch], objective: Objective) -> float:
    with undisturbed(model), torch.no_grad():
        model.eval()
        return sum(float(objective(model, batch)) for batch in held) / len(held)
