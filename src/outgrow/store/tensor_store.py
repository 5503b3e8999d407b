"""Tensors appended one after the other to safetensors files, and read back where they lie.

A file keeps room for its header at the front. An entry goes into that room as the tensors before it have
been written, so that at each `commit` the file is one that every safetensors reader opens, and never is one
written twice.
"""

__all__ = ["Place", "TensorAppender", "map_tensor"]

import errno
import json
import mmap
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from outgrow.errors import InputError, StoreError, hint_for
from outgrow.store.append_file import AppendFile
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
    """Writes tensors into `directory/prefix-00000.safetensors`, `-00001`, ... Not for two threads at once.

    After a `StoreError` nothing more can be appended, and the files hold what was committed.
    """

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
        self._number = self._pads = 0
        self._file: AppendFile | None = None
        self._path = directory
        self._data_start = self._committed = 0
        self._head_end = 0
        """Where the closing brace of the header is, in the file."""
        self._pending = b""
        """Entries that the header does not have yet."""

    def append(self, key: str, data: memoryview, shape: tuple[int, ...], dtype: torch.dtype) -> Place:
        """Write one tensor's bytes behind the last one's; `commit` makes it part of the file.

        `key` is its name in the safetensors file and must be new there; `dtype` one that the format has.

        Raises:
            InputError: safetensors files cannot hold that dtype.
            StoreError: the disk is full or cannot be written.
        """
        entry = _entry(key, shape, dtype)
        with self._named_failures():
            file = self._file_for(len(entry), data.nbytes)
            pad = -file.end % dtype.itemsize
            if pad:
                self._pads += 1
                padding = _entry(f"__pad{self._pads}", (pad,), torch.uint8)
                self._pending += self._placed(padding, file.end, pad)
                file.append(b"\0" * pad)
            offset = file.end
            self._pending += self._placed(entry, offset, data.nbytes)
            file.append(data)
        digest = f"crc32:{zlib.crc32(data):08x}"
        return Place(file=self._path.name, offset=offset, nbytes=data.nbytes, digest=digest)

    def commit(self) -> None:
        """Put what was appended into the file and its header: now it survives this process.

        Raises:
            StoreError: the disk is full or cannot be written.
        """
        if self._file is None or not self._pending:
            return
        with self._named_failures():
            self._file.flush()
            self._file.overwrite(self._pending + b"}", self._head_end)
        self._head_end += len(self._pending)
        self._pending = b""
        self._committed = self._file.end

    def close(self) -> None:
        """Commit, have all bytes survive a power cut, and close; may be called twice.

        Raises:
            StoreError: the disk is full or cannot be written.
        """
        if self._file is None:
            return
        self.commit()
        with self._named_failures():
            self._file.sync()
        self._file.close()
        self._file = None

    def _file_for(self, entry_bytes: int, nbytes: int) -> AppendFile:
        """The file to append to: a new one where the last is full."""
        needed = entry_bytes + len(self._pending) + 256  # with a pad and the brace
        if self._file is not None:
            held = self._file.end - self._data_start
            has_room = self._head_end + needed <= 8 + self._room_bytes
            if has_room and (not held or held + nbytes <= self._file_bytes):
                return self._file
            self.close()
        self._path = self._directory / f"{self._prefix}-{self._number:05d}.safetensors"
        self._committed = 0
        self._file = file = AppendFile(self._path)
        self._number += 1
        room = max(self._room_bytes, -(-(needed + 4096) // 4096) * 4096 - 8)
        head = json.dumps(
            {"__metadata__": self._metadata}, separators=(",", ":"), ensure_ascii=False
        ).encode()
        file.append(room.to_bytes(8, "little") + head.ljust(room))
        file.flush()
        sync_directory(self._directory)
        self._data_start = self._committed = file.end
        self._head_end = 8 + len(head) - 1
        return file

    def _placed(self, entry: bytes, offset: int, nbytes: int) -> bytes:
        begin = offset - self._data_start
        return entry + f"{begin},{begin + nbytes}]}}".encode()

    @contextmanager
    def _named_failures(self) -> Iterator[None]:
        """Let a disk's error say which file it is about, and leave that file as it was committed."""
        try:
            yield
        except OSError as err:
            file, self._file = self._file, None
            if file is not None:
                with file:
                    file.truncate(self._committed)
                if not self._committed:
                    self._path.unlink(missing_ok=True)
            if isinstance(err, FileExistsError):
                raise InputError(
                    f"{str(self._path)!r} is there already: nothing is written over it",
                    hint="choose another path, or remove what is there",
                ) from err
            if err.errno in (errno.ENOSPC, errno.EDQUOT):
                hint = "free some space or choose another directory"
                raise StoreError(f"no space for {str(self._path)!r}", hint=hint) from err
            raise StoreError(
                f"cannot write {str(self._path)!r}: {err.strerror or err}", hint=hint_for(err)
            ) from err


def _entry(key: str, shape: tuple[int, ...], dtype: torch.dtype) -> bytes:
    """`,"key":{...,"data_offsets":[` by the rules of `encode_header`, without the offsets."""
    header, _places = encode_header([(key, shape, dtype)], alignment=1)
    text = header[8:].strip()[1:-1]
    return b"," + text[: text.rindex(b"[") + 1]


def map_tensor(mapped: mmap.mmap, offset: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """The tensor at `offset` of a file in memory, without reading it.

    The mapping must be private (`ACCESS_COPY`) and reach to the tensor's end; it stays mapped while the
    tensor lives.
    """
    count = 1
    for size in shape:
        count *= size
    if count == 0:
        data = torch.empty(0, dtype=torch.uint8)
    else:
        data = torch.frombuffer(mapped, dtype=torch.uint8, count=count * dtype.itemsize, offset=offset)
    return data.view(dtype).view(shape)
