"""Weights that stay in memory: which go, which come, and what they take."""

__all__ = ["Arrivals", "arrivals", "forget_others", "held_bytes", "memory_for", "whole_piece"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from outgrow.stream.live_weight import LiveWeight
from outgrow.stream.plan import Plan
from outgrow.stream.weights import Piece, Weight


@dataclass(slots=True)
class Arrivals:
    """Weights and tiles that are to become resident."""

    fills: list[tuple[Piece, Tensor]] = field(default_factory=list)
    """What to read, and the memory to read it into: flat, in the dtype that the model computes in."""
    finishes: list[Callable[[], None]] = field(default_factory=list)
    """What to do once everything is read."""

    def add(self, piece: Piece, flat: Tensor, finish: Callable[[], None]) -> None:
        """Note one piece."""
        self.fills.append((piece, flat))
        self.finishes.append(finish)


def arrivals(weights: Sequence[LiveWeight], plan: Plan | None, allocate: Callable[[int], Tensor]) -> Arrivals:
    """What is resident under `plan` (None: everything) and not in memory yet, with memory from
    `allocate(nbytes)`."""
    found = Arrivals()
    for weight in weights:
        if weight.resident is not None:
            continue
        pieces = (whole_piece(weight.weight),) if plan is None else weight.pieces(plan)
        kept = [piece for piece in pieces if plan is None or piece.index in plan.resident]
        if len(kept) == len(pieces) and weight.original is not None:
            found.finishes.append(_keep_original(weight, weight.original))
            continue
        if len(kept) == len(pieces):
            flat = memory_for(whole_piece(weight.weight), allocate)
            found.add(whole_piece(weight.weight), flat, _keep(weight, flat))
            continue
        for piece in kept:
            if (piece.first_row, piece.last_row) not in weight.tiles:
                flat = memory_for(piece, allocate)
                found.add(piece, flat, _keep_tile(weight, piece, flat))
    return found


def forget_others(weights: Sequence[LiveWeight], plan: Plan) -> None:
    """Free what is in memory and would not be under `plan`."""
    for weight in weights:
        rows = {(piece.first_row, piece.last_row) for piece in weight.pieces(plan)}
        kept = {
            (piece.first_row, piece.last_row) for piece in weight.pieces(plan) if piece.index in plan.resident
        }
        is_whole = rows == kept
        if (weight.resident is not None and not is_whole) or (
            weight.tiles and (is_whole or not kept >= set(weight.tiles))
        ):
            weight.forget()


def held_bytes(weights: Sequence[LiveWeight]) -> int:
    """Bytes of weights that are in memory."""
    wholes = [weight.resident for weight in weights if weight.resident is not None]
    tiles = [tile for weight in weights for tile in weight.tiles.values()]
    return sum(tensor.numel() * tensor.itemsize for tensor in (*wholes, *tiles))


def memory_for(piece: Piece, allocate: Callable[[int], Tensor]) -> Tensor:
    """Memory of its own for the elements of `piece`, shape `[elements]`, with the piece's phase.

    A phase takes up to 15 bytes more than the piece.
    """
    return allocate(piece.phase + piece.nbytes)[piece.phase :].view(piece.weight.dtype)


def whole_piece(weight: Weight) -> Piece:
    """All of `weight` as one piece of no plan."""
    return Piece(index=-1, weight=weight, first_row=0, last_row=weight.shape[0] if weight.shape else 1)


def _keep(weight: LiveWeight, flat: Tensor) -> Callable[[], None]:
    return lambda: weight.keep(weight.shaped(flat))


def _keep_original(weight: LiveWeight, original: Tensor) -> Callable[[], None]:
    return lambda: weight.keep(original)


def _keep_tile(weight: LiveWeight, piece: Piece, flat: Tensor) -> Callable[[], None]:
    rows = (piece.first_row, piece.last_row)
    return lambda: weight.tiles.update({rows: flat.view(piece.shape)})
