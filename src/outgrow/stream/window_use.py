"""Weights on their way through the window: bound to their parameters while a module runs, and let go after
it."""

__all__ = ["WindowUse"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from outgrow.errors import OutgrowError
from outgrow.interrupts import let_interrupts_through
from outgrow.stream.forward import clone_views, uncached_casts
from outgrow.stream.live_weight import LiveWeight, storage_users
from outgrow.stream.loader import Loader, WindowStuck
from outgrow.stream.residency import Ticket
from outgrow.stream.resources import Resources
from outgrow.stream.weights import Piece


@dataclass(frozen=True, slots=True, eq=False)
class _Lent:
    """A place in the window that a module has computed with."""

    weight: LiveWeight
    loader: Loader
    ticket: Ticket
    memory: Tensor
    users: int
    """How many tensors shared its storage before the module saw it."""


class WindowUse:
    """Who uses which part of the window. Callers hold the stream's lock."""

    def __init__(self, resources: Resources) -> None:
        self.trace: list[int] = []
        """Pieces in the order in which they were asked for since somebody last cleared it."""
        self._resources = resources
        self._count_users = storage_users()
        self._lent: dict[LiveWeight, _Lent] = {}
        self._at: dict[int, LiveWeight] = {}
        self._retained: list[_Lent] = []

    def enter(self, weights: Sequence[LiveWeight], entered: list[LiveWeight]) -> None:
        """A module begins to compute with `weights`, each in one piece; `entered` takes those that are
        bound."""
        for weight in weights:
            if weight.uses == 0 and weight.is_streamed:
                self._bind(weight)
            weight.uses += 1
            entered.append(weight)

    def leave(self, entered: list[LiveWeight], result: Any) -> Any:
        """The module is done with `entered`, which is empty afterwards; its result, with copies in place of
        what shares memory with the window."""
        released: list[_Lent] = []
        while entered:
            weight = entered.pop()
            if not weight.uses:
                continue  # forgotten meanwhile
            weight.uses -= 1
            if weight.uses == 0 and weight in self._lent:
                lent = self._lent.pop(weight)
                self._at.pop(lent.memory.untyped_storage().data_ptr(), None)
                weight.unbind()
                released.append(lent)
        shared = [lent for lent in released if self._is_shared(lent)]
        if shared and result is not None:
            result = clone_views(result, {lent.memory.untyped_storage().data_ptr() for lent in shared})
        self._release(released)
        return result

    def tiles(self, weight: LiveWeight, inputs: Tensor, bias: Tensor | None) -> Tensor:
        """The product of `inputs` `[..., in]` and every row of `weight`, shape `[..., rows]`, by tiles."""
        if weight.resident is not None:
            # Another thread has changed the plan since the product was asked for.
            return F.linear(inputs, weight.seen_from_outside(weight.resident), bias)
        pieces = weight.pieces(self._resources.loader.plan)
        if len(pieces) == 1:
            return self._tile(weight, pieces[0], inputs, bias)
        result: Tensor | None = None
        for piece in pieces:
            let_interrupts_through()
            rows = slice(piece.first_row, piece.last_row)
            part = self._tile(weight, piece, inputs, None if bias is None else bias[rows])
            if result is None:
                result = part.new_empty((*part.shape[:-1], weight.shape[0]))
            result[..., rows] = part
        assert result is not None
        return result

    def weight_at(self, tensor: Tensor) -> LiveWeight | None:
        """The weight whose place in the window `tensor` shares; None where it shares none."""
        return self._at.get(tensor.untyped_storage().data_ptr()) if self._at else None

    def memory_of(self, weight: LiveWeight) -> Tensor:
        """Where the bytes of a weight lie that a module uses now."""
        return self._lent[weight].memory

    @property
    def retained_names(self) -> list[str]:
        """Weights of which somebody keeps a view after their modules have run."""
        return sorted({lent.weight.name for lent in self._retained})

    def forget(self) -> None:
        """Let go of everything: the window it was in is about to be closed."""
        for lent in self._lent.values():
            lent.weight.uses = 0
            lent.weight.unbind()
            if lent.memory.device.type == "cpu" and self._is_shared(lent):
                # A module that is still running has taken a view of it.
                self._resources.viewed.append(lent.memory)
        self._lent.clear()
        self._at.clear()
        self._retained.clear()
        self._resources.keep_views()

    def _bind(self, weight: LiveWeight) -> None:
        loader = self._resources.loader
        (piece,) = weight.pieces(loader.plan)
        ticket = self._acquire(piece)
        memory = loader.memory_of(ticket)
        self._lent[weight] = _Lent(weight, loader, ticket, memory, self._count_users(memory))
        self._at[memory.untyped_storage().data_ptr()] = weight
        weight.bind(weight.shaped(memory.view(-1)))

    def _tile(self, weight: LiveWeight, piece: Piece, inputs: Tensor, bias: Tensor | None) -> Tensor:
        resident = weight.tiles.get((piece.first_row, piece.last_row))
        if resident is not None:
            with uncached_casts():
                return F.linear(inputs, weight.seen_from_outside(resident), bias)
        loader = self._resources.loader
        ticket = self._acquire(piece)
        try:
            memory = loader.memory_of(ticket)
            rows = weight.shaped(memory.view(-1)) if piece.is_whole else memory
            with uncached_casts():
                return F.linear(inputs, weight.seen_from_outside(rows), bias)
        finally:
            loader.release(ticket)

    def _release(self, released: Sequence[_Lent]) -> None:
        """Give places back, these and those that somebody kept a view of until now."""
        candidates, self._retained = [*released, *self._retained], []
        for lent in candidates:
            if self._is_shared(lent):
                # Somebody keeps a view of the bytes: their memory must not be used again before it is gone.
                self._retained.append(lent)
            else:
                lent.loader.release(lent.ticket)
        self._resources.viewed = [lent.memory for lent in self._retained if lent.memory.device.type == "cpu"]

    def _acquire(self, piece: Piece) -> Ticket:
        self.trace.append(piece.index)
        if self._retained:
            # A view that a module returned lives until its caller has got the copy: it may be gone by now.
            self._release(())
        try:
            return self._resources.loader.acquire(piece.index)
        except WindowStuck as err:
            if not self._retained:
                raise
            names = ", ".join(repr(name) for name in self.retained_names)
            raise OutgrowError(
                f"no memory of the window is free for {piece.weight.name!r}: views of {names} are kept after "
                "their modules have run",
                hint=f"keep these weights in memory: Config(keep_resident=({names},))",
            ) from err

    def _is_shared(self, lent: _Lent) -> bool:
        return self._count_users(lent.memory) > lent.users
