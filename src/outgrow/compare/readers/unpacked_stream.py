"""A compressed stream as it flows: bounded memory, bounded growth, and a word on how it ended."""

__all__ = ["FLOOR_BYTES", "PackedKind", "Truncated", "UnpackedStream", "packed_kind"]

import bz2
import lzma
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from outgrow.compare.readers.advice import raise_limit
from outgrow.compare.readers.limits import Limits
from outgrow.errors import InputError, StoreError, hint_for
from outgrow.events import Listener, Progress
from outgrow.store.header import StoreCorrupt

FLOOR_BYTES = 64 * 2**20
"""No ratio is looked at before so much has come out: an honest mask of zeros may shrink a thousandfold."""
PackedKind = Literal["gzip", "bzip2", "xz"]
_MAGIC: Mapping[PackedKind, bytes] = {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ\0"}
_IN_BYTES = 2**16
_OUT_BYTES = 2**20
# A dictionary of 64 MiB (xz -9) needs 65 MiB; the format allows 4 GiB.
_XZ_MEMORY = 100 * 2**20
_TOLD_EVERY = 2**25


class Truncated(EOFError):
    """The file ends in the middle of the stream. Never leaves `readers`."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib's decompressor, made to keep what it did not yet take, as the other two do."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        kept = self._inner.unconsumed_tail
        return self._inner.decompress(kept + data if kept else data, max_length)

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail


_NEW: dict[str, Callable[[], _Decompressor]] = {
    "gzip": _Gzip,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
}


def packed_kind(beginning: bytes) -> PackedKind | None:
    """What a file that begins so is compressed by, of what is read."""
    return next((kind for kind, magic in _MAGIC.items() if beginning.startswith(magic)), None)


class UnpackedStream:
    """What a compressed file unpacks to, from beginning to end."""

    def __init__(
        self, file: BinaryIO, path: Path, kind: PackedKind, limits: Limits, *, listener: Listener
    ) -> None:
        """`file` is read from where it stands; it stays the caller's. `path` is what people call it."""
        self._file = file
        self._path = path
        self._kind = kind
        self._limits = limits
        self._listener = listener
        self._inner = _NEW[kind]()
        self._total = os.fstat(file.fileno()).st_size
        self._told = 0
        self._ready = b""
        self._at = 0
        self._is_over = False
        self._members = 1
        self.taken = 0
        """Compressed bytes read so far."""
        self.given = 0
        """Bytes unpacked so far."""
        self.has_rubbish = False
        """Whether bytes follow the end of the stream that are no stream."""

    def read(self, nbytes: int) -> bytes:
        """The next bytes: at least one and at most `nbytes`; none where the stream has ended.

        Raises:
            Truncated: the file ends before the stream does.
            StoreCorrupt: the stream is damaged, or its checksum does not fit.
            InputError: it unpacks to more than `limits` allow.
            StoreError: the file cannot be read.
        """
        if self._at == len(self._ready):
            self._ready, self._at = self._next(), 0
        data = self._ready[self._at : self._at + nbytes]
        self._at += len(data)
        return data

    def _next(self) -> bytes:
        """What the next compressed bytes unpack to, at most `_OUT_BYTES`."""
        packed = b""
        while not self._is_over:
            if self._inner.eof:
                packed = self._after_end()
                continue
            if self._inner.needs_input and not packed:
                packed = self._packed()
            try:
                data = self._inner.decompress(packed, _OUT_BYTES)
            except (zlib.error, lzma.LZMAError, OSError) as err:
                raise self._damage(err) from err
            if data:
                self._count(len(data))
                return data
            # zlib may hold back output without wanting input: only now is it known that it does not.
            if not packed and self._inner.needs_input and not self._inner.eof:
                raise Truncated(f"the file ends in the middle of its {self._kind} stream")
            packed = b""
        return b""

    def _after_end(self) -> bytes:
        """Begin the next of several streams in one file, or find that there is none."""
        packed = self._inner.unused_data or self._packed()
        while packed and not packed.strip(b"\0"):  # padding, as tapes need it
            packed = self._packed()
        packed = packed.lstrip(b"\0")
        # Enough for the first bytes of any of the three.
        while packed and len(packed) < 6 and (more := self._packed()):
            packed += more
        if not packed.startswith(_MAGIC[self._kind]):
            self._is_over, self.has_rubbish = True, bool(packed)
            return b""
        self._members += 1
        # Each costs a copy of what was read ahead; tools that write several give each some 16 KiB at least.
        if self._members > 64 + self.given // 1024:
            raise StoreCorrupt(
                f"{str(self._path)!r} is made of {self._members:,} nearly empty streams",
                hint="no tool packs like this; pack it anew",
            )
        self._inner = _NEW[self._kind]()
        return packed

    def _packed(self) -> bytes:
        try:
            data = self._file.read(_IN_BYTES)
        except OSError as err:
            raise StoreError(
                f"cannot read {str(self._path)!r}: {err.strerror or err}", hint=hint_for(err)
            ) from err
        self.taken += len(data)
        return data

    def _count(self, nbytes: int) -> None:
        self.given += nbytes
        if self.given > self._limits.max_bytes:
            raise InputError(
                f"{str(self._path)!r} unpacks to more than {self._limits.max_bytes:,} bytes",
                hint=raise_limit("max_bytes"),
            )
        if self.given > FLOOR_BYTES and self.given > self._limits.max_ratio * self.taken:
            raise InputError(
                f"{str(self._path)!r} unpacks to more than {self._limits.max_ratio:g} times its size "
                f"({self.given:,} bytes from {self.taken:,})",
                hint=raise_limit("max_ratio"),
            )
        if self.given - self._told >= _TOLD_EVERY:
            self._told = self.given
            self._listener(
                Progress(task="unpacking", done=self.taken, total=self._total, item=self._path.name)
            )

    def _damage(self, err: Exception) -> StoreCorrupt | InputError:
        if isinstance(err, lzma.LZMAError) and "limit" in str(err):
            return InputError(
                f"{str(self._path)!r} needs more than {_XZ_MEMORY:,} bytes of memory to unpack",
                hint="unpack it yourself and give the folder",
            )
        # Without its checksum nothing says which of the bytes before are still right.
        return StoreCorrupt(
            f"the {self._kind} stream of {str(self._path)!r} is damaged: {err}",
            hint="nothing in it can be trusted; copy or download it again",
        )
