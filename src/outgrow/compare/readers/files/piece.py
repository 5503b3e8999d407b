"""Some bytes in a file, as they are or deflated: a storage of a torch file, an array of an `.npz`."""

__all__ = ["Piece", "pieces_of_zip"]

import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import torch
from torch import Tensor

from outgrow.capture.recording import Refusal
from outgrow.compare.readers.advice import COPY_AGAIN, raise_limit
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.plain_file import PlainFile
from outgrow.compare.readers.unpacked_stream import FLOOR_BYTES
from outgrow.compare.readers.zip_directory import ZipEntry, read_zip_directory
from outgrow.errors import InputError
from outgrow.store import StoreCorrupt

_STEP_BYTES = 2**20
# What is unpacked here is unpacked into memory. Numbers of a model pack by less than this.
_USUAL_RATIO = 20


@dataclass(frozen=True, slots=True)
class Piece:
    """Where the bytes are."""

    file: PlainFile
    name: str
    """For errors."""
    offset: int
    """In `file`."""
    packed: int
    """Bytes that it takes there."""
    nbytes: int
    """Bytes that it has when unpacked."""
    crc: int | None
    """Of the unpacked bytes, where they are deflated; None where they lie there plainly."""

    def tensor(self, offset: int, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
        """A contiguous tensor `offset` bytes into the piece: mapped, or unpacked into memory.

        Raises:
            InputError: the piece is shorter.
            StoreError: it cannot be read or unpacked.
        """
        count = math.prod(shape)
        if offset < 0 or offset + count * dtype.itemsize > self.nbytes:
            raise InputError(
                f"{self.name!r} has {self.nbytes:,} bytes, too few for its tensor", hint=COPY_AGAIN
            )
        if self.crc is None:
            return self.file.tensor(self.offset + offset, dtype, shape)
        if count == 0:
            return torch.empty(shape, dtype=dtype)
        data = self._unpack(self.nbytes)
        if offset % dtype.itemsize:
            data = data[offset : offset + count * dtype.itemsize]
            offset = 0
        return torch.frombuffer(data, dtype=dtype, count=count, offset=offset).reshape(shape)

    def bytes(self) -> memoryview:
        """All of it."""
        if self.crc is None:
            return self.file.map(self.offset, self.nbytes)
        return memoryview(self._unpack(self.nbytes))

    def start(self, nbytes: int) -> memoryview:
        """Its first `nbytes` bytes, or all where it is shorter."""
        nbytes = min(nbytes, self.nbytes)
        if self.crc is None:
            return memoryview(self.file.read(self.offset, nbytes))
        return memoryview(self._unpack(nbytes))

    def _unpack(self, nbytes: int) -> bytearray:
        """The first bytes; of all the check sum is checked."""
        # Made at once: the size was held against the limits when the directory was read.
        unpacked = bytearray(nbytes)
        done = at = 0
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        rest = b""
        try:
            while done < nbytes and not stream.eof:
                if not rest:
                    part = min(_STEP_BYTES, self.packed - at)
                    if not part:
                        break
                    rest = self.file.read(self.offset + at, part)
                    at += part
                some = stream.decompress(rest, min(_STEP_BYTES, nbytes - done))
                rest = stream.unconsumed_tail
                unpacked[done : done + len(some)] = some
                done += len(some)
            is_longer = nbytes == self.nbytes and bool(stream.decompress(rest, 1))
        except zlib.error as err:
            raise StoreCorrupt(
                f"{self.name!r} cannot be unpacked: {err}", hint="pack or copy it again"
            ) from err
        if done < nbytes or is_longer:
            said = f"{self.name!r} should unpack to {self.nbytes:,} bytes"
            raise StoreCorrupt(f"{said} and has {'more' if is_longer else f'{done:,}'}", hint="pack it again")
        if nbytes == self.nbytes and zlib.crc32(unpacked) != self.crc:
            raise StoreCorrupt(f"{self.name!r} does not fit its check sum", hint="copy it again")
        return unpacked


def pieces_of_zip(file: PlainFile, entry: str, limits: Limits) -> tuple[dict[str, Piece], list[Refusal]]:
    """The entries of a zip file by name, and those that are refused, duplicates among them.

    Raises:
        InputError: there are too many entries, or they would unpack to more than `limits` allow.
        StoreError: the file cannot be read or has no sound directory.
    """
    with file.open() as window:
        entries, refused = read_zip_directory(cast("IO[bytes]", window), Path(file.shown), limits)
    pieces: dict[str, Piece] = {}
    doubled = set()
    for found in entries:
        if found.name in pieces:
            doubled.add(found.name)
        reason = _too_large(found, limits) if found.method else None
        if reason is not None:
            refused.append(Refusal(entry=found.name, reason=reason))
            continue
        crc = found.crc if found.method else None
        pieces[found.name] = Piece(file, found.name, found.start, found.packed, found.unpacked, crc)
    for name in doubled:
        pieces.pop(name, None)
        refused.append(Refusal(entry=name, reason="the archive has several entries of that name"))
    total = sum(piece.nbytes for piece in pieces.values())
    if total > limits.max_bytes:
        raise InputError(
            f"unpacks to {total:,} bytes; the limit max_bytes is {limits.max_bytes:,}",
            hint=raise_limit("max_bytes"),
        )
    unpacked = sum(piece.nbytes for piece in pieces.values() if piece.crc is not None)
    if unpacked > FLOOR_BYTES and unpacked > limits.max_ratio * file.length:
        raise InputError(
            f"unpacks to {unpacked:,} bytes, more than {limits.max_ratio:g} times its {file.length:,}, the "
            "limit max_ratio",
            hint=raise_limit("max_ratio"),
        )
    prefix = f"{entry}/"
    return pieces, [Refusal(entry=prefix + refusal.entry, reason=refusal.reason) for refusal in refused]


def _too_large(found: ZipEntry, limits: Limits) -> str | None:
    said = f"its {found.packed:,} bytes would unpack to {found.unpacked:,}"
    # A mask of zeros shrinks a thousandfold, and harms nobody.
    if found.unpacked > max(FLOOR_BYTES, limits.max_ratio * found.packed):
        return f"{said}, over the limit max_ratio of {limits.max_ratio:g}"
    if found.unpacked > limits.max_expanded_bytes + _USUAL_RATIO * found.packed:
        return f"{said}, over the limit max_expanded_bytes of {limits.max_expanded_bytes:,}"
    return None
