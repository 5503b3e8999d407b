"""What a growing run is asked to do: fixed when it begins."""

__all__ = ["RunConfiguration"]

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Self

from outgrow.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfiguration:
    """What a run does; two runs with equal ones, on one machine, come out bit for bit the same."""

    data: str = "digits"
    """A name in `DATA_SETS`, or a folder."""
    data_folder: str | None = None
    """Where the files of a named data set are."""
    train: int | None = None
    """At most so many pictures to train on; all by default."""
    model: str = "cnn"
    """A name in `MODELS`, or `SCRIPT:factory`."""
    policy: str = "greedy"
    """A name in `POLICY_NAMES`."""
    budget_flops: float = 5e10
    """Training FLOPs, those of deciding included; the default is half a minute of digits on one core."""
    decisions: int = 8
    """How often the policy is asked, between a twentieth and half of the budget: growth pays before the
    learning rate falls."""
    learning_rate: float = 3e-3
    """Of Adam, up to half of the budget; then it falls to zero in a straight line."""
    batch_size: int = 64
    """Pictures of one step."""
    max_parameters: int | None = None
    """The most that the model may grow to; None for no limit."""
    evaluations: int = 30
    """How often accuracy is measured on the validation split, besides before each decision."""
    seed: int = 0
    """Of the weights, the batches, the validation split and every decision."""
    device: str = "cpu"
    """Where it is trained."""

    def __post_init__(self) -> None:
        for name in ("budget_flops", "learning_rate"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value}", hint="give a number above zero")
        for name, least in (("batch_size", 2), ("decisions", 0), ("evaluations", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}", hint=f"give {least} or more")
        for name in ("train", "max_parameters"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}", hint="give 1 or more")

    def as_json(self) -> dict[str, Any]:
        """All by name."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, held: dict[str, Any]) -> Self:
        """What `as_json` gave.

        Raises:
            InputError: something is missing or unknown.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if held.keys() != names:
            raise InputError(
                f"the run was configured with {', '.join(sorted(held.keys() ^ names))}, which do not fit",
                hint="another version of outgrow began it: go on with that one",
            )
        return cls(**held)

    @property
    def digest(self) -> str:
        """Short, and the same for equal configurations."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()[:16]
