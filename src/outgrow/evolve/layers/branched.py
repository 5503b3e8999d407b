"""A second way beside a module."""

__all__ = ["Branched"]

from typing import Any

from torch import nn

from outgrow.evolve.layers.around import Around, first_tensor, with_first


class Branched(Around):
    """`trunk(x, ...) + branch(x)`; where the trunk gives a tuple, its first entry is added to."""

    branch: nn.Module

    def __init__(self, trunk: nn.Module, branch: nn.Module) -> None:
        super().__init__(trunk)
        self.branch = branch

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call both with the same first argument, the branch first: the trunk may change it in place."""
        beside = self.branch(first_tensor(args, kwargs))
        return with_first(self.trunk(*args, **kwargs), lambda output: output + beside)
