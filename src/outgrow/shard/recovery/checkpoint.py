"""One rank's values as bytes in a file, and back: the same bits, strides and shared memory."""

__all__ = ["CheckpointDamaged", "SessionState", "load", "store"]

import hashlib
import json
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from outgrow.errors import StoreError

_MAGIC = b"OGCHKPT1"
_HEADER = struct.Struct("<8sqqq16s")
_BEGIN = 4096
# The memory that torch allocates begins at a multiple of 64, and sums in BLAS may depend on where in such a
# line they begin.
_LINE = 64
_CHUNK = 1 << 20


class CheckpointDamaged(StoreError):
    """A rank's checkpoint is not what was stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """What a rank holds of one session."""

    state: Mapping[str, Any]
    """Plain JSON."""
    pieces: Sequence[tuple[int, int, Tensor]] = ()
    """`(value, lane, tensor)`: strided, on any device."""


@dataclass(slots=True)
class _Memory:
    """The stretch of one storage that pieces use."""

    begin: int
    end: int
    place: int = 0


def store(
    descriptor: int, checkpoint: int, sessions: Mapping[int, SessionState], *, room_bytes: int | None = None
) -> int:
    """Write a checkpoint over what the file held; returns its bytes.

    Until the last of them is written the file is no checkpoint. Memory that several values share is written
    once.

    Raises:
        StoreError: it would take more than `room_bytes`, or the file cannot be written. Checked before
        anything is
            written, but for a full disk.
    """
    memories, sources = _memories(sessions)
    end = _BEGIN
    for memory in memories.values():
        memory.place = end
        end += -(-(memory.end - memory.begin) // _LINE) * _LINE
    index = json.dumps(_index(sessions, memories)).encode()
    if room_bytes is not None and end + len(index) > room_bytes:
        raise StoreError(
            f"a checkpoint would take {end + len(index):,} bytes and may take {room_bytes:,}",
            hint="set GT_CHECKPOINT_MEMORY to more, or GT_RECOVERY=0 to go without",
        )
    digest = hashlib.blake2b(index, digest_size=16)
    try:
        _write(descriptor, memoryview(bytes(_HEADER.size)), 0)
        os.ftruncate(descriptor, end + len(index))
        for key, memory in memories.items():
            data = _bytes_of(sources[key], memory)
            _digest(digest, data)
            _write(descriptor, _view(data), memory.place)
        _write(descriptor, memoryview(index), end)
        header = _HEADER.pack(_MAGIC, checkpoint, end, len(index), digest.digest())
        _write(descriptor, memoryview(header), 0)
    except OSError as err:
        raise StoreError(
            f"a checkpoint of {end:,} bytes cannot be written: {err.strerror}",
            hint="free memory of the machine, or set GT_RECOVERY=0 to go without checkpoints",
        ) from err
    return end + len(index)


def load(descriptor: int, checkpoint: int, *, device: torch.device | None = None) -> dict[int, SessionState]:
    """What `store` wrote, by session.

    Raises:
        CheckpointDamaged: the file is no whole checkpoint, or not the one asked for.
    """
    size = os.fstat(descriptor).st_size
    header = os.pread(descriptor, _HEADER.size, 0)
    if len(header) < _HEADER.size or header[:8] != _MAGIC:
        raise CheckpointDamaged(f"checkpoint {checkpoint} was never stored in full")
    _, found, end, nbytes, expected = _HEADER.unpack(header)
    if found != checkpoint:
        raise CheckpointDamaged(f"the file holds checkpoint {found}, expected {checkpoint}")
    if end + nbytes > size:
        raise CheckpointDamaged(f"checkpoint {checkpoint} has {size:,} bytes, expected {end + nbytes:,}")
    text = os.pread(descriptor, nbytes, end)
    digest = hashlib.blake2b(text, digest_size=16)
    try:
        index = json.loads(text)
    except ValueError as err:
        raise CheckpointDamaged(f"the index of checkpoint {checkpoint} is no JSON") from err
    memories: list[Tensor] = []
    for place, begin, stop in index["memories"]:
        # Begins where it began within a line, so that what sums does so in the same order.
        data = torch.empty(stop - begin, dtype=torch.uint8)
        _read(descriptor, _view(data), place)
        _digest(digest, data)
        memories.append(data if device is None else data.to(device))
    if digest.digest() != expected:
        raise CheckpointDamaged(f"checkpoint {checkpoint} does not fit its digest")
    return {
        int(number): SessionState(
            state=session["state"],
            pieces=tuple((value, lane, _piece(about, memories)) for value, lane, about in session["pieces"]),
        )
        for number, session in index["sessions"].items()
    }


def _memories(
    sessions: Mapping[int, SessionState],
) -> tuple[dict[tuple[torch.device, int], _Memory], dict[tuple[torch.device, int], Tensor]]:
    memories: dict[tuple[torch.device, int], _Memory] = {}
    sources: dict[tuple[torch.device, int], Tensor] = {}
    for session in sessions.values():
        for _, _, piece in session.pieces:
            if not piece.numel():
                continue
            first = int(piece.storage_offset())
            steps = zip(piece.shape, piece.stride(), strict=True)
            last = first + sum((size - 1) * int(step) for size, step in steps)
            begin, end = first * piece.itemsize, (last + 1) * piece.itemsize
            begin -= begin % _LINE
            key = _key(piece)
            memory = memories.get(key)
            if memory is None:
                memories[key], sources[key] = _Memory(begin, end), piece
            else:
                memory.begin, memory.end = min(memory.begin, begin), max(memory.end, end)
    return memories, sources


def _key(piece: Tensor) -> tuple[torch.device, int]:
    return piece.device, piece.untyped_storage().data_ptr()


def _bytes_of(piece: Tensor, memory: _Memory) -> Tensor:
    whole = torch.empty(0, dtype=torch.uint8, device=piece.device).set_(piece.detach().untyped_storage())
    return whole[memory.begin : memory.end].cpu()


def _index(
    sessions: Mapping[int, SessionState], memories: Mapping[tuple[torch.device, int], _Memory]
) -> dict[str, Any]:
    numbers = {key: number for number, key in enumerate(memories)}
    return {
        "memories": [[memory.place, memory.begin, memory.end] for memory in memories.values()],
        "sessions": {
            number: {
                "state": session.state,
                "pieces": [
                    [value, lane, _about(piece, numbers, memories)] for value, lane, piece in session.pieces
                ],
            }
            for number, session in sessions.items()
        },
    }


def _about(
    piece: Tensor,
    numbers: Mapping[tuple[torch.device, int], int],
    memories: Mapping[tuple[torch.device, int], _Memory],
) -> dict[str, Any]:
    about: dict[str, Any] = {
        "dtype": str(piece.dtype)[6:],
        "shape": list(piece.shape),
        "stride": list(piece.stride()),
    }
    if piece.numel():
        key = _key(piece)
        about["memory"] = numbers[key]
        about["offset"] = piece.storage_offset() - memories[key].begin // piece.itemsize
    if piece.is_conj() or piece.is_neg():
        about |= {"is_conj": piece.is_conj(), "is_neg": piece.is_neg()}
    return about


def _piece(about: Mapping[str, Any], memories: list[Tensor]) -> Tensor:
    dtype: torch.dtype = getattr(torch, about["dtype"])
    if "memory" not in about:
        return torch.empty_strided(about["shape"], about["stride"], dtype=dtype)
    storage = memories[about["memory"]].untyped_storage()
    piece = torch.empty(0, dtype=dtype, device=storage.device)
    piece.set_(storage, about["offset"], tuple(about["shape"]), tuple(about["stride"]))
    if about.get("is_conj"):
        piece = torch._conj(piece)
    if about.get("is_neg"):
        piece = torch._neg_view(piece)
    return piece


def _digest(digest: Any, data: Tensor) -> None:
    """Sums of a MiB each go into the digest: as fast as memory, and finds what was torn or left out. It is no
    seal."""
    whole = data.numel() // _CHUNK * _CHUNK
    if whole:
        sums = data[:whole].view(torch.int64).view(-1, _CHUNK // 8).sum(1)
        digest.update(_view(sums))
    digest.update(_view(data[whole:]))


def _view(data: Tensor) -> memoryview:
    numbers: Any = data.numpy()
    return memoryview(numbers).cast("B") if data.numel() else memoryview(b"")


def _write(descriptor: int, data: memoryview, offset: int) -> None:
    while len(data):
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def _read(descriptor: int, into: memoryview, offset: int) -> None:
    while len(into):
        count = os.preadv(descriptor, [into], offset)
        if not count:
            raise CheckpointDamaged(f"the file of a checkpoint ends at byte {offset:,}")
        into, offset = into[count:], offset + count
