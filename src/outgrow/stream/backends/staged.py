"""Reads by way of staging memory: to be decoded or cast, or where the disk cannot reach their place."""

__all__ = ["RunReader", "cast", "cut_run"]

import torch
from torch import Tensor

from outgrow.devices.staging import Slab
from outgrow.errors import StoreError
from outgrow.store.codec import Codec, make_codec
from outgrow.store.readers import Reader
from outgrow.stream.weights import PAGE_BYTES, Chunk, Piece, round_up

SERIAL_ELEMENTS = 16384
"""torch copies fewer than 32768 elements in the calling thread alone."""


class RunReader:
    """Reads chunks to staging memory and decodes them there. For one thread."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._codecs: dict[str, Codec] = {}

    def read(self, chunk: Chunk, piece: Piece, staging: Slab) -> tuple[Tensor, int]:
        """One chunk's bytes in the stored dtype, and how many came from the disk.

        The bytes are a view of `staging`, shape `[bytes]`, uint8, at any alignment.

        Raises:
            StoreError: the file cannot be read or is too short, or the run is damaged.
        """
        low = chunk.offset // PAGE_BYTES * PAGE_BYTES
        lead = chunk.offset - low
        span = round_up(lead + chunk.nbytes, PAGE_BYTES)
        self._reader.read_into(chunk.path, low, staging.view[:span], needed=lead + chunk.nbytes)
        raw = staging.tensor[lead : lead + chunk.nbytes]
        name = piece.weight.source.codec
        if name is not None:
            if name not in self._codecs:
                self._codecs[name] = make_codec(name)
            decoded = staging.tensor[span : span + chunk.decoded_bytes]
            self._codecs[name].decode_into(raw.numpy().data, decoded.numpy().data)
            raw = decoded
        return raw, span


def cut_run(raw: Tensor, begin: int, piece: Piece) -> tuple[int, Tensor]:
    """What of a run, from byte `begin` of the piece on, belongs to it: its first element, and its bytes, a
    view of `raw`.

    Encoded runs may begin before the piece and end behind it.

    Raises:
        StoreError: the run does not hold whole elements.
    """
    itemsize = piece.weight.source.dtype.itemsize
    first = max(begin, 0)
    raw = raw[first - begin :][: piece.end - piece.begin - first]
    if raw.numel() % itemsize or first % itemsize:
        raise StoreError(
            f"a run of weight {piece.weight.name!r} does not hold whole {piece.weight.source.dtype} elements",
            hint="run `outgrow store verify` on the directory of the weights: a file is not as described",
        )
    return first // itemsize, raw


def cast(raw: Tensor, stored: torch.dtype, into: Tensor) -> None:
    """Elements of dtype `stored`, given as bytes at any alignment, to `into`, in its dtype, on one core.

    On one, since I/O threads call it: torch would share a large copy among a thread pool of each caller's
    own, and a process with more such threads than cores makes those of the model sleep between products.
    Resident decoding was seen to use 1.1 cores of 2 that way.
    """
    if stored == into.dtype:
        into.view(torch.uint8).numpy()[...] = raw.numpy()
        return
    if raw.data_ptr() % stored.itemsize or raw.storage_offset() % stored.itemsize:
        raw = torch.from_numpy(raw.numpy().copy())
    elements = raw.view(stored)
    for begin in range(0, elements.numel(), SERIAL_ELEMENTS):
        into[begin : begin + SERIAL_ELEMENTS].copy_(elements[begin : begin + SERIAL_ELEMENTS])
