"""The values that a client has on the workers, and what they may take."""

__all__ = ["Holdings"]

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

from outgrow.placement import Owned, Partial, Placement, Replicate, Shard
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
        self._storages: dict[int, list[int]] = {}
        """From a piece of memory to how many values use it and what it was counted as: views cost nothing."""
        self._keys: dict[int, tuple[int, int]] = {}
        """From the identity of a counted value to its memory, or -1, and its bytes."""

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
        limit = self.memory_bytes
        if limit is not None and held.failure is None:
            more = self._more(held)
            if more >= LARGE or self.bytes + more > limit:
                self._cut(held)
                more = self._more(held)
            if self.bytes + more > limit:
                failure = self._too_much(held, more, limit, call)
                held = Held(held.meta, Replicate(), [None] * len(held.pieces), failure=failure)
        self.restore(value, held)

    def restore(self, value: int, held: Held) -> None:
        """Keep a value that was kept before, as it is."""
        self._values[value] = held
        self._count(held)

    def drop(self, value: int) -> Held | None:
        """Forget a value."""
        held = self._values.pop(value, None)
        if held is not None:
            self._discount(held)
        return held

    def place(self, held: Held, placement: Placement) -> None:
        """Hold a value of ours otherwise from now on."""
        pieces = redistribute(held.pieces, held.meta, held.placement, placement, self.fabric)
        self.hold_as(held, placement, pieces)

    def hold_as(self, held: Held, placement: Placement, pieces: list[Tensor | None]) -> None:
        """Take other pieces for the same numbers; of a value that is not ours nothing is counted."""
        is_ours = id(held) in self._keys
        if is_ours:
            self._discount(held)
        held.pieces, held.placement, held.is_own = pieces, placement, False
        if is_ours:
            self._count(held)

    def default_placement(self, meta: TensorMeta) -> Placement:
        """Where a value goes that nobody placed: large ones are cut along their largest even dim."""
        return Replicate() if meta.nbytes < LARGE else self._cut_placement(meta)

    def _count(self, held: Held) -> None:
        key, nbytes = self._key(held), self.bytes_of(held)
        self._keys[id(held)] = (key, nbytes)
        if key < 0:
            self.bytes += nbytes
        else:
            entry = self._storages.setdefault(key, [0, 0])
            entry[0] += 1
            self.bytes += max(0, nbytes - entry[1])
            entry[1] = max(entry[1], nbytes)
        self.peak_bytes = max(self.peak_bytes, self.bytes)

    def _discount(self, held: Held) -> None:
        key, nbytes = self._keys.pop(id(held))
        if key < 0:
            self.bytes -= nbytes
            return
        entry = self._storages[key]
        entry[0] -= 1
        if not entry[0]:
            self.bytes -= entry[1]
            del self._storages[key]

    def _more(self, held: Held) -> int:
        """What keeping a value would add."""
        nbytes = self.bytes_of(held)
        return max(0, nbytes - self._storages.get(self._key(held), (0, 0))[1])

    def _key(self, held: Held) -> int:
        """The memory that a value uses, by rank 0's or this rank's piece; -1 where not every rank has one."""
        piece = held.pieces[0]
        if isinstance(held.placement, Owned) or piece is None or not piece.numel():
            return -1
        return piece.untyped_storage().data_ptr()

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

    def bytes_of(self, held: Held) -> int:
        """What a value takes on the fullest rank."""
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
