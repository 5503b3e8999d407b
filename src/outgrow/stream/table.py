"""Rows of a table that is on disk, each read when it is looked up."""

__all__ = ["RowReader"]

import itertools
import math
import operator
import os

import torch
from torch import Tensor

from outgrow.interrupts import let_interrupts_through
from outgrow.store.readers import BufferedReader
from outgrow.store.readers.descriptors import OpenFiles
from outgrow.stream.live_weight import LiveWeight
from outgrow.stream.source import Segment


class RowReader:
    """Gathers rows of embeddings.

    Reads go through the page cache: rows are small, and the same tokens come again.
    """

    def __init__(self) -> None:
        self._reader = BufferedReader()
        self._hints = OpenFiles(0)

    def gather(self, weight: LiveWeight, indices: Tensor) -> Tensor:
        """`weight[indices]`, shape `[*indices.shape, *weight.shape[1:]]`, on the device of `indices`.

        Raises:
            IndexError: an index lies outside the table.
            StoreError: a file cannot be read.
        """
        if indices.dtype not in (torch.int64, torch.int32):
            # torch's own error for indices that cannot be.
            return torch.nn.functional.embedding(indices, torch.empty(1, 1, device=indices.device))
        static = weight.weight
        wanted, places = torch.unique(indices.reshape(-1).cpu(), return_inverse=True)
        if wanted.numel() and (int(wanted[0]) < 0 or int(wanted[-1]) >= weight.shape[0]):
            raise IndexError(
                f"index out of range in embedding {weight.name!r}: found {int(wanted[0])} to "
                f"{int(wanted[-1])}, expected 0 to {weight.shape[0] - 1}"
            )
        # As bytes: torch cannot look up or exchange rows of every dtype.
        row_bytes = math.prod(weight.shape[1:]) * static.dtype.itemsize
        if not row_bytes:
            shape = (*indices.shape, *weight.shape[1:])
            return torch.empty(shape, dtype=static.dtype, device=indices.device)
        rows = torch.empty((wanted.numel(), row_bytes), dtype=torch.uint8)
        is_missing = torch.ones(wanted.numel(), dtype=torch.bool)
        for (first, last), tile in weight.tiles.items():
            here = (wanted >= first) & (wanted < last)
            if here.any():
                # One transfer a tile, should tiles be on a GPU.
                bytes_of = tile.reshape(last - first, -1).view(torch.uint8)
                rows[here] = bytes_of[(wanted[here] - first).to(tile.device)].cpu()
                is_missing &= ~here
        if is_missing.any():
            rows[is_missing] = self._read(weight, wanted[is_missing].tolist())
        found = rows.to(indices.device)[places.to(indices.device)].view(static.dtype)
        return found.reshape(*indices.shape, *weight.shape[1:])

    def close(self) -> None:
        """Close all files."""
        self._reader.close()
        self._hints.close()

    def _read(self, weight: LiveWeight, rows: list[int]) -> Tensor:
        """The bytes of `rows`, in order and without duplicates, in the dtype in memory.

        Shape `[rows, bytes of one]`, uint8.
        """
        source = weight.weight.source
        row_bytes = math.prod(source.shape[1:]) * source.dtype.itemsize
        runs: list[tuple[int, Segment]] = []
        at = 0
        for _, neighbours in itertools.groupby(enumerate(rows), lambda numbered: operator.sub(*numbered)):
            run = [row for _, row in neighbours]
            runs.extend((at * row_bytes, segment) for segment in source.rows(run[0], run[-1] + 1).segments)
            at += len(run)
        if len(runs) > 1:
            self._announce([segment for _, segment in runs])
        raw = torch.empty(len(rows) * row_bytes, dtype=torch.uint8)
        view: memoryview = raw.numpy().data
        for begin, segment in runs:
            let_interrupts_through()
            low = begin + segment.begin
            self._reader.read_into(segment.path, segment.offset, view[low : low + segment.nbytes])
        return raw.view(source.dtype).to(weight.weight.dtype).view(torch.uint8).view(len(rows), -1)

    def _announce(self, segments: list[Segment]) -> None:
        """Let the system read all rows at once instead of one after the other."""
        if not hasattr(os, "posix_fadvise"):
            return
        for segment in segments:
            with self._hints.use(segment.path) as file:
                os.posix_fadvise(file.fileno(), segment.offset, segment.nbytes, os.POSIX_FADV_WILLNEED)
