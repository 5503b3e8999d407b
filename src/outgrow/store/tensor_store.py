"""Tensors appended one after the other to safetensors files, and read back where they lie.

A file keeps room for its header at the front. An entry goes into that room as the tensors before it have
been written, so that at each `commit` the file is one that every safetensors reader opens, and never is one
written twice.
"""

__all__ = ["Place", "TensorAppender", "map_tensor"]

import errno
import json
import mmap
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from outgrow.errors import InputError, StoreError
from outgrow.store.header import encode_header
from outgrow.store.writer import sync_directory

# Bytes before the data: some 1,500 entries, which is what a file of the usual size holds.
_ROOM_BYTES = 2**18 - 8
_FILE_BYTES = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a tensor's bytes lie."""

    file: str
    """Name of the file in its directory."""
    offset: int
    """Of the first byte in that file."""
    nbytes: int
    """How many there are."""
    digest: str
    """`crc32:` and eight hexadecimal digits: finds damage, but does not prove two tensors equal."""


class TensorAppender:
    """Writes tensors into `directory/prefix-00000.safetensors`, `-00001`, ... Not for two threads at once."""

    def __init__(
        self,
        directory: Path,
        prefix: str,
        *,
        metadata: Mapping[str, str] | None = None,
        file_bytes: int = _FILE_BYTES,
        room_bytes: int = _ROOM_BYTES,
    ) -> None:
        """A file that has reached `file_bytes`, or whose header has no room left, is followed by another."""
        self._directory, self._prefix = directory, prefix
        self._metadata = dict(metadata or {})
        self._file_bytes, self._room_bytes = file_bytes, room_bytes
        self._number = 0
        self._descriptor = -1
        self._path = directory
        self._end = self._data_start = 0
        self._head_end = 0
        """Where the closing brace of the header is, in the file."""
        self._pending = b""
        """Entries whose bytes are written and that the header does not have yet."""
        self._pads = 0

    def append(self, key: str, data: memoryview, shape: tuple[int, ...], dtype: torch.dtype) -> Place:
        """Write one tensor's bytes behind the last one's; `commit` makes it part of the file.

        `key` is its name in the safetensors file and must be new there; `dtype` one that the format has.

        Raises:
            InputError: safetensors files cannot hold that dtype.
            StoreError: the disk is full or cannot be written; the file is as it was before.
        """
        entry = self._entry(key, shape, dtype)
        needed = len(entry) + len(self._pending) + 256  # with a pad and the brace
        is_full = (
            self._end > self._data_start and self._end - self._data_start + data.nbytes > self._file_bytes
        )
        if self._descriptor < 0 or is_full or self._head_end + needed > 8 + self._room_bytes:
            self._next_file(len(entry))
        pad = -self._end % dtype.itemsize
        before = self._end
        try:
            if pad:
                self._write(b"\0" * pad)
            offset = self._end
            self._write(data)
        except OSError as err:
            os.ftruncate(self._descriptor, before)
            self._end = before
            raise self._failure(err) from err
        if pad:
            self._pads += 1
            self._pending += self._placed(
                self._entry(f"__pad{self._pads}", (pad,), torch.uint8), before, before + pad
            )
        self._pending += self._placed(entry, offset, self._end)
        digest = f"crc32:{zlib.crc32(data):08x}"
        return Place(file=self._path.name, offset=offset, nbytes=data.nbytes, digest=digest)

    def commit(self) -> None:
        """Put what was appended into the file's header: now other readers see it too.

        Raises:
            StoreError: the disk refuses.
        """
        if not self._pending:
            return
        try:
            os.pwrite(self._descriptor, self._pending + b"}", self._head_end)
        except OSError as err:
            raise self._failure(err) from err
        self._head_end += len(self._pending)
        self._pending = b""

    def close(self) -> None:
        """Commit, have all bytes survive a power cut, and close; may be called twice.

        Raises:
            StoreError: the disk refuses.
        """
        if self._descriptor < 0:
            return
        try:
            self.commit()
            os.fsync(self._descriptor)
        except OSError as err:
            raise self._failure(err) from err
        finally:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _next_file(self, least_room: int) -> None:
        self.close()
        self._path = self._directory / f"{self._prefix}-{self._number:05d}.safetensors"
        room = max(self._room_bytes, least_room + 4096)
        head = json.dumps(
            {"__metadata__": self._metadata}, separators=(",", ":"), ensure_ascii=False
        ).encode()
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            self._end = 0
            self._write(room.to_bytes(8, "little") + head.ljust(room))
            sync_directory(self._directory)
        except FileExistsError as err:
            raise InputError(f"{str(self._path)!r} is there already, and nothing is written over it") from err
        except OSError as err:
            self._path.unlink(missing_ok=True)
            raise self._failure(err) from err
        self._number += 1
        self._data_start = self._end
        self._head_end = 8 + len(head) - 1

    def _write(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while left.nbytes:
            written = os.pwrite(self._descriptor, left, self._end)
            left = left[written:]
            self._end += written

    def _entry(self, key: str, shape: tuple[int, ...], dtype: torch.dtype) -> bytes:
        """`,"key":{...,"data_offsets":[` by the rules of `encode_header`, without the offsets."""
        header, _places = encode_header([(key, shape, dtype)], alignment=1)
        text = header[8:].strip()[1:-1]
        return b"," + text[: text.rindex(b"[") + 1]

    def _placed(self, entry: bytes, begin: int, end: int) -> bytes:
        return entry + f"{begin - self._data_start},{end - self._data_start}]}}".encode()

    def _failure(self, err: OSError) -> StoreError:
        if err.errno in (errno.ENOSPC, errno.EDQUOT):
            return StoreError(
                f"no space for {str(self._path)!r}", hint="free some space or choose another directory"
            )
        return StoreError(f"cannot write {str(self._path)!r}: {err.strerror or err}")


def map_tensor(mapped: mmap.mmap, offset: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """The tensor at `offset` of a file in memory, without reading it.

    The mapping must be private (`ACCESS_COPY`) and reach to the tensor's end; it stays mapped while the
    tensor lives.
    """
    count = 1
    for size in shape:
        count *= size
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    data = torch.frombuffer(mapped, dtype=torch.uint8, count=count * dtype.itemsize, offset=offset)
    return data.view(dtype).view(shape)
