"""Short training runs on the side, to see what a change is worth; nothing of them stays."""

__all__ = ["ForkResult", "ForkRunner", "Forks", "judge"]

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from outgrow.errors import InputError
from outgrow.evolve.batches import Batch, Objective
from outgrow.evolve.measures.cost import measure_cost
from outgrow.evolve.policies.candidates import apply_candidate
from outgrow.evolve.policies.policy import Candidate, Situation
from outgrow.evolve.transactions.fork import run_fork
from outgrow.evolve.transactions.moment import Moment, Training


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkResult:
    """How one arm did."""

    losses: tuple[float, ...]
    """Mean loss of each validation batch after the fork; NaN where the arm failed."""
    steps: int
    """How many batches it was trained on."""
    flops: float
    """FLOPs of its training."""
    judging_flops: float
    """FLOPs of its validation."""
    seconds: float
    """Seconds that all of it took."""
    failure: str = ""
    """What went wrong, an error or a loss that is no number; empty where nothing did."""


class ForkRunner(Protocol):
    """What runs the arms: `Forks`, or a table of outcomes that are known."""

    def judge(self) -> tuple[float, ...]:
        """Mean loss of each validation batch as things are."""

    def run(self, candidate: Candidate | None, batches: Sequence[Batch]) -> ForkResult:
        """Change (None: do not), train on `batches` in order, and judge; nothing of it stays."""


class Forks:
    """Forks of one situation: each begins where the others did, and leaves everything as it was.

    They run in place, on model and optimizer themselves, which are put back after each (also after an
    exception or Ctrl-C), random numbers included: every arm sees the same ones.
    """

    def __init__(self, situation: Situation) -> None:
        followers = situation.followers
        if followers.optimizer is None:
            raise InputError(
                "a fork trains, and there is no optimizer",
                hint="give the optimizer of the model: Followers(optimizer=...)",
            )
        self._situation = situation
        self._cost = measure_cost(situation.model, situation.inputs)
        self._moment = Moment(
            Training(
                model=situation.model,
                optimizer=followers.optimizer,
                scheduler=followers.scheduler,
                ema=followers.ema,
            ),
            on="cpu",
        )

    def judge(self) -> tuple[float, ...]:
        """Mean loss of each validation batch as things are."""
        situation = self._situation
        return judge(situation.model, situation.validation, situation.objective)

    def run(self, candidate: Candidate | None, batches: Sequence[Batch]) -> ForkResult:
        """Change, make a step on each of `batches`, and judge on the validation batches.

        Learning rates stay as they are. An arm that fails, by an error or by a loss that is no number, has
        NaN losses.
        """
        began = time.perf_counter()
        situation = self._situation
        each, forward = self._cost.training_flops, self._cost.flops
        if candidate is not None:
            each, forward = each + candidate.cost.training_flops, forward + candidate.cost.flops
        done = run_fork(
            self._moment,
            _stepping(situation),
            batches,
            edit=None if candidate is None else _applying(candidate, situation),
            measure=lambda: judge(situation.model, situation.validation, situation.objective),
        )
        samples = sum(batch.size for batch in situation.validation)
        return ForkResult(
            losses=(math.nan,) * len(situation.validation) if done.failure else done.measured,
            steps=len(done.losses),
            flops=each * sum(batch.size for batch in batches[: len(done.losses)]),
            judging_flops=forward * samples,
            seconds=time.perf_counter() - began,
            failure=f"{done.failure.kind}: {done.failure.text}" if done.failure else "",
        )


def judge(model: nn.Module, batches: Sequence[Batch], objective: Objective) -> tuple[float, ...]:
    """Mean loss of each batch in eval mode, without gradients; the modes are put back."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.no_grad():
            return tuple(float(objective(model, batch)) for batch in batches)
    finally:
        for module, mode in modes:
            module.training = mode


def _applying(candidate: Candidate, situation: Situation) -> Callable[[], Any]:
    return lambda: apply_candidate(
        candidate,
        situation.model,
        situation.inputs,
        followers=situation.followers,
        seed=situation.seed,
    )


def _stepping(situation: Situation) -> Callable[[Batch], Tensor]:
    given = situation.followers.optimizer
    optimizers: list[Any] = list(given) if isinstance(given, list | tuple) else [given]

    def step(batch: Batch) -> Tensor:
        for one in optimizers:
            one.zero_grad(set_to_none=True)
        loss = situation.objective(situation.model, batch)
        if bool(loss.isfinite()):
            loss.backward()  # type: ignore[no-untyped-call]
            for one in optimizers:
                one.step()
        return loss.detach()

    return step
