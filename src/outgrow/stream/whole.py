"""A whole weight for whoever reads it outside of its module: the file itself, mapped into memory."""

__all__ = ["WeightFiles"]

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from outgrow.store.checkpoint import FileIdentity, check_unchanged
from outgrow.stream.live_weight import LiveWeight


class WeightFiles:
    """The files that weights lie in, as they were when the model was opened."""

    def __init__(self, identities: Mapping[Path, FileIdentity]) -> None:
        self.identities = dict(identities)
        self._mapped: dict[Path, torch.UntypedStorage] = {}

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
        )

    def map(self, weight: LiveWeight, *, is_shared: bool) -> Tensor:
        """The weight as pages of its file, which the system reads when they are touched and may drop again.

        The mapping is private: nobody's writes reach the file. With `is_shared` it is one for all callers, who must not
        write; otherwise their writes stay their own.
        """
        (segment,) = weight.weight.source.segments
        check_unchanged({segment.path: self.identities[segment.path]})
        storage = self._mapped.get(segment.path) if is_shared else None
        if storage is None:
            nbytes = self.identities[segment.path].size
            storage = torch.UntypedStorage.from_file(str(segment.path), False, nbytes)
            if is_shared:
                self._mapped[segment.path] = storage
        dtype = weight.weight.dtype
        first, count = segment.offset // dtype.itemsize, weight.weight.nbytes // dtype.itemsize
        return weight.shaped(torch.empty(0, dtype=dtype).set_(storage, first, (count,)))

    def close(self) -> None:
        """Let go of all mappings."""
        self._mapped.clear()
