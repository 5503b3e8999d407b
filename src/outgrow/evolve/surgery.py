"""Exchange the contents of weights for ones of another shape, and put back the old ones."""

__all__ = ["Reindexing", "Replacement", "Surgery"]

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Reindexing:
    """How one dim of a weight was changed."""

    dim: int
    """Which dim."""
    gather: Tensor
    """int64 `[new]`: the old index that each new one comes from."""
    fresh: Tensor
    """bool `[new]`: whether it is an entry that was not there before (a copy, or drawn anew)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """One weight whose contents were exchanged."""

    tensor: Tensor
    """The parameter or buffer; its identity stays."""
    before: Tensor
    """Its contents before."""
    gradient: Tensor | None
    """Its gradient before."""
    reindexings: tuple[Reindexing, ...]
    """What leads from the old shape to the new one, in order."""


class Surgery:
    """Changes to a model that can all be taken back, bit for bit, until they are kept.

    Parameters and buffers keep their identity: whoever holds one (an optimizer, a tie, a hook) goes on
    holding it. Nothing is copied: the old contents stay alive for as long as this object does.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.replacements: list[Replacement] = []
        self.added: list[tuple[nn.Parameter, nn.Parameter | None]] = []
        """New parameters, each with one beside it whose optimizer settings it takes."""
        self._attributes: list[tuple[Any, str, Any]] = []
        self._modules: list[tuple[nn.Module, dict[str, nn.Module | None]]] = []

    def replace(self, tensor: Tensor, contents: Tensor, *reindexings: Reindexing) -> None:
        """Give a parameter or buffer other contents; its gradient goes."""
        replacement = Replacement(
            tensor=tensor, before=tensor.data, gradient=tensor.grad, reindexings=reindexings
        )
        self.replacements.append(replacement)
        tensor.grad = None
        _set_data(tensor, contents)

    def assign(self, holder: Any, attribute: str, value: Any) -> None:
        """Set an attribute of a module (or of a configuration)."""
        self._attributes.append((holder, attribute, getattr(holder, attribute)))
        setattr(holder, attribute, value)

    def rearrange(self, parent: nn.Module, children: dict[str, nn.Module | None]) -> None:
        """Give `parent` these children, in this order, instead of those that it has."""
        self._modules.append((parent, dict(parent._modules)))
        parent._modules = dict(children)

    def take_back(self) -> None:
        """Make everything as it was."""
        while self._modules:
            parent, children = self._modules.pop()
            parent._modules = children
        while self._attributes:
            setattr(*self._attributes.pop())
        while self.replacements:
            replacement = self.replacements.pop()
            replacement.tensor.grad = None
            _set_data(replacement.tensor, replacement.before)
            replacement.tensor.grad = replacement.gradient
        self.added.clear()


def _set_data(tensor: Tensor, contents: Tensor) -> None:
    # A graph that still lives (the loss of the last step) holds the accumulator of the old shape; torch makes
    # a new one only when the dtype changes.
    other = torch.float64 if contents.dtype != torch.float64 else torch.float32
    if tensor.requires_grad:
        tensor.data = torch.empty(0, dtype=other, device=contents.device)
    tensor.data = contents
