"""A whole weight for whoever reads it outside of its module: the file itself, mapped into memory."""

__all__ = ["WeightFiles", "has_equal_bits"]

import mmap
import weakref
from collections.abc import Mapping, MutableMapping
from pathlib import Path

import torch
from torch import Tensor

from outgrow.store.checkpoint import FileIdentity, check_unchanged
from outgrow.stream.live_weight import LiveWeight
from outgrow.stream.weights import PHASE_BYTES


class WeightFiles:
    """The files that weights lie in, as they were when the model was opened."""

    def __init__(self, identities: Mapping[Path, FileIdentity]) -> None:
        self.identities = dict(identities)
        self._shared: dict[Path, mmap.mmap] = {}
        self._given: weakref.WeakValueDictionary[Path, mmap.mmap] = weakref.WeakValueDictionary()
        self._storages: weakref.WeakValueDictionary[int, torch.UntypedStorage] = weakref.WeakValueDictionary()

    def check(self) -> None:
        """Raise StoreChanged where a file is no longer the one that was opened."""
        check_unchanged(self.identities)

    def can_map(self, weight: LiveWeight) -> bool:
        """Whether the weight's bytes in its file are those it has in memory."""
        static = weight.weight
        segments = static.source.segments
        return (
            static.source.codec is None
            and static.dtype == static.source.dtype
            and len(segments) == 1
            and segments[0].offset % static.dtype.itemsize == 0
            and segments[0].offset % PHASE_BYTES == static.phase
        )

    def map(self, weight: LiveWeight, *, is_given_away: bool) -> Tensor:
        """The weight as pages of its file, which the system reads when they are touched and may drop again.

        The mapping is private: nobody's writes reach the file. What is given away (a `state_dict`) has a
        mapping apart from the one that the model itself reads, so that writes to it stay the caller's; asked
        for again while it lives, it is the same memory, which is how tied weights are recognised.
        """
        static = weight.weight
        (segment,) = static.source.segments
        check_unchanged({segment.path: self.identities[segment.path]})
        storage = self._storages.get(static.index) if is_given_away else None
        if storage is None:
            mapped: MutableMapping[Path, mmap.mmap] = self._given if is_given_away else self._shared
            pages = mapped.get(segment.path)
            if pages is None:
                pages = mapped[segment.path] = _mapping(segment.path)
            raw = torch.frombuffer(pages, dtype=torch.uint8, count=static.nbytes, offset=segment.offset)
            storage = raw.untyped_storage()
            if is_given_away:
                self._storages[static.index] = storage
        count = static.nbytes // static.dtype.itemsize
        return weight.shaped(torch.empty(0, dtype=static.dtype).set_(storage, 0, (count,), (1,)))

    def close(self) -> None:
        """Let go of all mappings."""
        self._shared.clear()


def has_equal_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of one shape, dtype and layout hold the same bytes; NaN equals NaN."""
    count = one.numel()
    flat = [tensor.as_strided((count,), (1,)).view(torch.uint8) for tensor in (one, other)]
    # uint8 compares eight times as slowly as the same bytes as int64.
    whole = count * one.itemsize // 8 * 8
    aligned = all(tensor.data_ptr() % 8 == 0 and tensor.storage_offset() % 8 == 0 for tensor in flat)
    if not aligned:
        return torch.equal(*flat)
    heads = [tensor[:whole].view(torch.int64) for tensor in flat]
    return torch.equal(*heads) and torch.equal(*(tensor[whole:] for tensor in flat))


def _mapping(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
