"""The values that a client has on the workers, and what they may take."""

__all__ = ["Holdings"]

from collections.abc import Iterator
from typing import Final

import torch

from outgrow.placement import Partial, Placement, Replicate, Shard
from outgrow.quantities import format_bytes
from outgrow.shard.instructions import TensorMeta
from outgrow.shard.ranks.fabric import Fabric
from outgrow.shard.ranks.held import Failure, Held, rest_bytes
from outgrow.shard.ranks.redistribute import redistribute

LARGE: Final = 2**20
"""Bytes from which a value is cut among the ranks where nobody says how it shall be held."""


class Holdings:
    """Values by number. Bytes are counted as the fullest rank holds them: every rank decides alike."""

    def __init__(self, fabric: Fabric, memory_bytes: int | None = None) -> None:
        self.fabric = fabric
        self.memory_bytes = memory_bytes
        self.bytes = 0
        """Held now."""
        self.peak_bytes = 0
        self.lost: Failure | None = None
        """Why values that nobody here knows have no contents: they were made before the ranks were lost."""
        self._values: dict[int, Held] = {}

    def __getitem__(self, value: int) -> Held:
        held = self._values.get(value)
        if held is None:
            if self.lost is None:
                raise KeyError(value)
            meta = TensorMeta((), (), torch.float32)
            return Held(meta, Replicate(), [None] * len(self.fabric.lanes), failure=self.lost)
        return held

    def __contains__(self, value: int) -> bool:
        return value in self._values

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[int]:
        return iter(self._values)

    def add(self, value: int, held: Held, call: int = -1) -> None:
        """Keep a value; where it does not fit, cut among the ranks or, at the last, without contents."""
        nbytes = self._bytes(held)
        limit = self.memory_bytes
        if limit is not None and held.failure is None:
            if nbytes >= LARGE or self.bytes + nbytes > limit:
                self._cut(held)
                nbytes = self._bytes(held)
            if self.bytes + nbytes > limit:
                failure = self._too_much(held, nbytes, limit, call)
                held = Held(held.meta, Replicate(), [None] * len(held.pieces), failure=failure)
                nbytes = 0
        self._values[value] = held
        self.bytes += nbytes
        self.peak_bytes = max(self.peak_bytes, self.bytes)

    def restore(self, value: int, held: Held) -> None:
        """Keep a value that was kept before, as it is."""
        self._values[value] = held
        self.bytes += self._bytes(held)
        self.peak_bytes = max(self.peak_bytes, self.bytes)

    def drop(self, value: int) -> Held | None:
        """Forget a value."""
        held = self._values.pop(value, None)
        if held is not None:
            self.bytes -= self._bytes(held)
        return held

    def place(self, held: Held, placement: Placement) -> None:
        """Hold a value of ours otherwise from now on."""
        self.bytes -= self._bytes(held)
        held.pieces = redistribute(held.pieces, held.meta, held.placement, placement, self.fabric)
        held.placement, held.is_own = placement, False
        self.bytes += self._bytes(held)
        self.peak_bytes = max(self.peak_bytes, self.bytes)

    def count_again(self) -> None:
        """After placements were changed beside us."""
        self.bytes = sum(self._bytes(held) for held in self._values.values())
        self.peak_bytes = max(self.peak_bytes, self.bytes)

    def default_placement(self, meta: TensorMeta) -> Placement:
        """Where a value goes that nobody placed: large ones are cut along their largest even dim."""
        return Replicate() if meta.nbytes < LARGE else self._cut_placement(meta)

    def _cut_placement(self, meta: TensorMeta) -> Placement:
        world_size = self.fabric.world_size
        even = [dim for dim, size in enumerate(meta.shape) if size and size % world_size == 0]
        if world_size == 1 or not even:
            return Replicate()
        return Shard(max(even, key=lambda dim: meta.shape[dim]))

    def _cut(self, held: Held) -> None:
        if held.is_pinned or not isinstance(held.placement, Replicate | Partial):
            return
        wanted = self._cut_placement(held.meta)
        if wanted != held.placement and isinstance(wanted, Shard):
            pieces = redistribute(held.pieces, held.meta, held.placement, wanted, self.fabric)
            # Pieces of a whole would keep it in memory.
            held.pieces = [None if piece is None else piece.clone() for piece in pieces]
            held.placement, held.is_own = wanted, True

    def _bytes(self, held: Held) -> int:
        return (
            0 if held.failure is not None else rest_bytes(held.meta, held.placement, self.fabric.world_size)
        )

    def _too_much(self, held: Held, nbytes: int, limit: int, call: int) -> Failure:
        return Failure(
            kind="OutOfMemory",
            message=(
                f"a value of shape {tuple(held.meta.shape)} and {held.meta.dtype} takes "
                f"{format_bytes(nbytes)} on a worker that holds {format_bytes(self.bytes)} of the "
                f"{format_bytes(limit)} that GT_WORKER_MEMORY gives it"
            ),
            traceback="",
            call=call,
            step=None,
        )
