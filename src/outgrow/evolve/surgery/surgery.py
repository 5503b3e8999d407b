"""Exchange the contents of weights for ones of another shape, and put back the old ones."""

__all__ = ["ABSENT", "Reindexing", "Replacement", "Surgery", "set_contents"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import InputError

ABSENT = object()
"""What an attribute was that was not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reindexing:
    """How one dim of a weight was changed."""

    dim: int
    """Which dim."""
    gather: Tensor
    """int64 `[new]`: the old index that each new one comes from."""
    fresh: Tensor
    """bool `[new]`: whether it is an entry that was not there before (a copy, or drawn anew)."""

    def kept(self, tensor: Tensor) -> Tensor:
        """What belongs to the entries of the weight, as it is after the change: fresh entries have zeros."""
        stays = (~self.fresh).nonzero()[:, 0]
        sources = self.gather[stays]
        shape = list(tensor.shape)
        shape[self.dim] = len(self.gather)
        result = tensor.new_zeros(shape)
        count = len(stays)
        if torch.equal(stays, torch.arange(count)) and torch.equal(sources, stays):
            # What is new lies behind, as mostly: nothing has to be gathered.
            result.narrow(self.dim, 0, count).copy_(tensor.narrow(self.dim, 0, count))
            return result
        old = tensor.index_select(self.dim, sources.to(tensor.device))
        return result.index_copy_(self.dim, stays.to(tensor.device), old)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """One weight whose contents were exchanged."""

    tensor: Tensor
    """The parameter or buffer; its identity stays."""
    before: Tensor
    """Its contents before."""
    gradient: Tensor | None
    """Its gradient before."""
    shape: torch.Size
    """Of its contents after."""
    reindexings: tuple[Reindexing, ...]
    """What leads from the old shape to the new one, in order; none where every entry is new, or where the
    shape stays and each entry was only given another value."""


class Surgery:
    """Changes to a model that can all be taken back, bit for bit, until they are kept.

    Parameters and buffers keep their identity: whoever holds one (an optimizer, a tie, a hook) goes on
    holding it. Nothing is copied: the old contents stay alive for as long as this object does.
    """

    def __init__(self, model: nn.Module, *, trial: bool = False) -> None:
        """Change nothing yet.

        Args:
            model: what is to be changed.
            trial: everything will be taken back, and there is no backward pass before that: whoever waits for
                the gradients of its parameters (a reducer) notices nothing.
        """
        self.model = model
        self._set = _set_for_a_moment if trial else set_contents
        self.held_before = tuple(model.parameters())
        """The parameters before the first change."""
        self.replacements: list[Replacement] = []
        self.added: list[tuple[nn.Parameter, nn.Parameter | None]] = []
        """New parameters, each with one beside it whose optimizer settings it takes."""
        self.assigned: list[tuple[Any, str, Any]] = []
        """Holder, attribute, value before (`ABSENT` where there was none), for the inverse of an edit."""
        self.rearranged: list[tuple[nn.Module, dict[str, nn.Module | None]]] = []
        """Parent, and the children that it had; for the inverse of an edit."""
        self._undo: list[Callable[[], object]] = []

    def replace(self, tensor: Tensor, contents: Tensor, *reindexings: Reindexing) -> None:
        """Give a parameter or buffer other contents.

        Its gradient, where it has one, stays with the entries that were there before; new entries have
        gradient 0.

        Raises:
            InputError: there is a gradient that cannot follow; nothing has changed.
        """
        gradient = _followed(tensor, contents, reindexings)
        replacement = Replacement(
            tensor=tensor,
            before=tensor.data,
            gradient=tensor.grad,
            shape=contents.shape,
            reindexings=reindexings,
        )
        self._undo.append(lambda: self._put_back(replacement))
        self.replacements.append(replacement)
        self._set(tensor, contents)
        tensor.grad = gradient

    def assign(self, holder: Any, attribute: str, value: Any) -> None:
        """Set an attribute of a module (or of a configuration)."""
        before = getattr(holder, attribute, ABSENT)

        def undo() -> None:
            if before is not ABSENT:
                setattr(holder, attribute, before)
            elif hasattr(holder, attribute):
                delattr(holder, attribute)

        self._undo.append(undo)
        self.assigned.append((holder, attribute, before))
        setattr(holder, attribute, value)

    def remove(self, holder: Any, attribute: str) -> None:
        """Take an attribute away from a module (or from a configuration)."""
        before = getattr(holder, attribute)
        self._undo.append(lambda: setattr(holder, attribute, before))
        self.assigned.append((holder, attribute, before))
        delattr(holder, attribute)

    def rearrange(self, parent: nn.Module, children: dict[str, nn.Module | None]) -> None:
        """Give `parent` these children, in this order, instead of those that it has."""
        before = parent._modules
        self._undo.append(lambda: parent.__dict__.__setitem__("_modules", before))
        self.rearranged.append((parent, dict(before)))
        parent._modules = dict(children)

    def on_take_back(self, undo: Callable[[], object]) -> None:
        """Have `undo` called when all is taken back: in reverse order with all other changes, maybe twice.

        To be said before the change is made, so that no interruption comes between.
        """
        self._undo.append(undo)

    def take_back(self) -> None:
        """Make everything as it was; where Ctrl-C comes between, calling it again ends the work."""
        while self._undo:
            self._undo[-1]()
            self._undo.pop()
        self.replacements.clear()
        self.assigned.clear()
        self.rearranged.clear()
        self.added.clear()

    def _put_back(self, replacement: Replacement) -> None:
        self._set(replacement.tensor, replacement.before)
        replacement.tensor.grad = replacement.gradient


def set_contents(tensor: Tensor, contents: Tensor) -> None:
    """Give a tensor other contents, of any shape; its gradient goes.

    A graph that still lives (the loss of the last step) holds the accumulator of the old shape; torch makes
    a new one only when the dtype changes.
    """
    tensor.grad = None
    other = torch.float64 if contents.dtype != torch.float64 else torch.float32
    if tensor.requires_grad:
        tensor.data = torch.empty(0, dtype=other, device=contents.device)
    tensor.data = contents


def _set_for_a_moment(tensor: Tensor, contents: Tensor) -> None:
    tensor.grad = None
    tensor.data = contents


def _followed(tensor: Tensor, contents: Tensor, reindexings: tuple[Reindexing, ...]) -> Tensor | None:
    gradient = tensor.grad
    if gradient is None:
        return None
    if gradient.layout != torch.strided:
        raise InputError(
            "a weight that would change has a sparse gradient",
            hint="change the model between optimizer.zero_grad() and the next backward pass",
        )
    for one in reindexings:
        gradient = one.kept(gradient)
    if gradient.shape != contents.shape:
        raise InputError(
            f"a weight of shape {list(tensor.shape)} that would be exchanged whole has a gradient",
            hint="change the model between optimizer.zero_grad() and the next backward pass",
        )
    return gradient
