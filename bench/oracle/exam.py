"""One program that runs on either side, and what came of it."""

__all__ = ["Exam", "Outcome", "Program", "fetched", "named"]

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from bench.oracle.side import Side

Result = tuple[str, Any]


@dataclass(slots=True)
class Outcome:
    """What a program gave; `error` where it stopped."""

    forward: list[Result] = field(default_factory=list)
    backward: list[Result] = field(default_factory=list)
    phase: str = "forward"
    """How far it came: `forward` or `backward`."""
    error: BaseException | None = None


Program = Callable[[Side, Outcome], None]
"""Runs on a side and fills the outcome as it goes; raises what is raised."""


@dataclass(frozen=True, slots=True)
class Exam:
    """A case but for its placements."""

    name: str
    """Within its entry: `<dtype>/<what>/<number>`."""
    program: Program
    entry: str = ""

    def run(self, side: Side) -> Outcome:
        """Every random number is drawn under one seed, whichever side it is."""
        torch.default_generator.manual_seed(1234)
        outcome = Outcome()
        try:
            self.program(side, outcome)
        except Exception as error:  # an exception is a result
            outcome.error = error
        return outcome


def named(prefix: str, tree: Any) -> list[Result]:
    """The leaves of nested results with their places."""
    return [(f"{prefix}[{number}]", leaf) for number, leaf in enumerate(tree_flatten(tree)[0])]


def fetched(results: list[Result], *, only_metas: bool = False) -> list[Result]:
    """The same results on the CPU; `only_metas` where the numbers are not determined."""
    found: list[Result] = []
    for name, value in results:
        if isinstance(value, Tensor):
            here = value.detach().cpu()
            found.append((name, (tuple(here.shape), str(here.dtype)) if only_metas else here))
            found.append((f"{name}.requires_grad", value.requires_grad))
        else:
            found.append((name, value))
    return found
