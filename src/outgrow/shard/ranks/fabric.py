"""How ranks exchange pieces of tensors: what every way of running them must be able to do."""

__all__ = ["Fabric", "Pending"]

from typing import Protocol

import torch
from torch import Tensor


class Pending(Protocol):
    """A collective that is under way."""

    def wait(self) -> None:
        """Come back once its results are there."""
        ...


class Fabric(Protocol):
    """Collectives over lists of pieces, one piece for each rank that lives in this process (a *lane*).

    A process of its own has one lane; where all ranks are simulated in one process, it has them all, and
    the same code runs for both. `pieces[i]` is what rank `lanes[i]` holds. No call changes the pieces that
    it is given.
    """

    world_size: int
    """How many ranks there are."""
    lanes: tuple[int, ...]
    """Which of them live here."""
    device: torch.device
    """Where pieces are held."""

    def all_reduce(self, pieces: list[Tensor], reduction: str) -> list[Tensor]:
        """Each rank's piece reduced over all ranks (`sum`, `avg`, `max`, `min`), in an order that does not
        change from run to run.
        """
        ...

    def start_all_reduce(self, buffers: list[Tensor], reduction: str) -> Pending:
        """Begin to reduce one flat, dense buffer of each lane over all ranks, in place; nobody touches them
        before the wait.

        The same order of calls on every rank is the caller's to keep, also among the other collectives.
        """
        ...

    def all_gather(self, pieces: list[Tensor], dim: int, size: int) -> list[Tensor]:
        """The pieces of all ranks joined along `dim`, which then has `size` entries; pieces as `torch.chunk`
        cuts them.
        """
        ...

    def reduce_scatter(self, pieces: list[Tensor], dim: int, reduction: str) -> list[Tensor]:
        """Each rank's piece of the reduced whole, cut along `dim` as `torch.chunk` cuts."""
        ...

    def all_to_all(self, pieces: list[Tensor], from_dim: int, to_dim: int, size: int) -> list[Tensor]:
        """Pieces cut along `from_dim` (whole: `size` entries) become pieces cut along `to_dim`."""
        ...

    def broadcast(
        self, pieces: list[Tensor | None], source: int, shape: tuple[int, ...], dtype: torch.dtype
    ) -> list[Tensor]:
        """What rank `source` holds, on every rank; the others give None."""
        ...
