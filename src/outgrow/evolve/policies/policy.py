"""What a policy is asked and what it answers."""

__all__ = ["Budget", "Candidate", "Decision", "Policy", "Situation"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.batches import Batch, Objective, own_loss
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.measures.cost import Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One change that could be made now."""

    operator: str
    """Its name in `OPERATORS`: `widen`, `prune`, ..."""
    site: str
    """Qualified name of the site."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The operator's further arguments, as JSON can hold them: `{"by": 8}`."""
    cost: Cost = field(default_factory=Cost)
    """What the model would cost more (or, below zero, less) than it does now; an estimate."""

    @property
    def label(self) -> str:
        """One line for logs and tables: `widen features.3 by=8`."""
        return " ".join(
            [self.operator, self.site, *(f"{key}={value}" for key, value in self.arguments.items())]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a policy wants done, and why."""

    candidate: Candidate | None
    """The change; None for none: train on."""
    reason: str
    """One sentence for the log and the live table."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """What it was decided on, as JSON can hold it: scores, intervals, what was tried."""
    flops: float = 0.0
    """Training FLOPs that deciding took, forks and measures together; whoever asks charges them."""
    seconds: float = 0.0
    """Seconds that deciding took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much may be spent, and how much is."""

    flops: float = float("inf")
    """Training FLOPs of the whole run, decisions included."""
    spent: float = 0.0
    """Training FLOPs so far."""
    parameters: int | None = None
    """The most parameters that the model may have; None for no limit."""

    def __post_init__(self) -> None:
        if not self.flops > 0:
            raise InputError(f"a budget of {self.flops} FLOPs", hint="give a number above zero")

    @property
    def share(self) -> float:
        """Which part of the FLOPs is spent, from 0 to 1; 0 where there is no limit."""
        return min(1.0, self.spent / self.flops)

    @property
    def left(self) -> float:
        """FLOPs that are left."""
        return max(0.0, self.flops - self.spent)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Situation:
    """What a policy sees when it is asked."""

    model: nn.Module
    """The model as it is now, in training."""
    inputs: ExampleInputs
    """One call of it, small: sites, FLOPs and promises are found with it."""
    training: Sequence[Batch] = ()
    """Batches that measures look at and forks train on, the same ones for every arm; more than one fork is
    long. On the model's device."""
    validation: Sequence[Batch] = ()
    """Batches of the validation split, which is neither trained on nor the test split."""
    objective: Objective = own_loss
    """The loss that is trained for."""
    followers: Followers = field(default_factory=Followers)
    """Optimizer, scheduler and average that are trained together with the model."""
    budget: Budget = field(default_factory=Budget)
    """How much may be spent, and how much is."""
    history: tuple[Decision, ...] = ()
    """What was decided before, in order, no-ops included."""
    seed: int = 0
    """Of this decision: the same situation with the same seed gives the same decision."""


class Policy(Protocol):
    """Decides what to change."""

    def decide(self, situation: Situation) -> Decision:
        """Choose a change, or none.

        The model, its followers and the random state are left as they were; the caller makes the change.
        """
