"""The files of a zip archive: stored ones in place, deflated ones unpacked one by one."""

__all__ = ["is_torch_file", "read_zip"]

import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from outgrow.capture.recording import Refusal
from outgrow.compare.readers.advice import raise_limit
from outgrow.compare.readers.archive_entry import ArchiveEntry, Screen, repeated_names
from outgrow.compare.readers.entry_names import is_clutter
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.spool import Spool
from outgrow.compare.readers.unpacked_stream import FLOOR_BYTES
from outgrow.compare.readers.zip_directory import DEFLATED, STORED, ZipEntry
from outgrow.errors import InputError, StoreError, hint_for
from outgrow.events import Listener, Progress

_IN_BYTES = 2**18
_OUT_BYTES = 2**20
_TOLD_EVERY = 2**25


def is_torch_file(listed: Sequence[ZipEntry]) -> bool:
    """Whether these entries are one file that `torch.save` wrote, and no archive of files."""
    known = frozenset(entry.name for entry in listed)
    tops = {name.partition("/")[0] for name in known}
    return len(tops) == 1 and all(f"{top}/data.pkl" in known and f"{top}/version" in known for top in tops)


def read_zip(
    file: BinaryIO,
    path: Path,
    listed: Sequence[ZipEntry],
    limits: Limits,
    *,
    screen: Screen,
    spool: Spool,
    listener: Listener,
    shown: Path,
) -> tuple[list[ArchiveEntry], list[Refusal]]:
    """The files of `listed` that are wanted, and what is refused.

    Every byte of a wanted file is read once and checked against the archive's CRC. `shown` is what people
    call the archive.

    Raises:
        InputError: the archive says to hold more than `limits` allow.
        StoreError: it cannot be read, or what it unpacks to cannot be written.
    """
    repeated, refused = repeated_names(entry.name for entry in listed)
    wanted = []
    for entry in listed:
        if entry.name in repeated or is_clutter(entry.name):
            continue
        reason = screen(entry.name) or _too_much(entry, limits)
        if reason is None:
            wanted.append(entry)
        else:
            refused.append(Refusal(entry=entry.name, reason=reason))
    _check_sum(file, shown, wanted, limits)
    spool.require(sum(entry.unpacked for entry in wanted if entry.method == DEFLATED))
    entries = []
    told = _Told(shown, sum(entry.packed for entry in wanted), listener)
    for entry in wanted:
        try:
            found = _place(file, path, entry, spool, told)
        except OSError as err:
            raise StoreError(
                f"cannot read {str(shown)!r}: {err.strerror or err}", hint=hint_for(err)
            ) from err
        if isinstance(found, ArchiveEntry):
            entries.append(found)
        else:
            refused.append(Refusal(entry=entry.name, reason=found))
    return entries, refused


def _too_much(entry: ZipEntry, limits: Limits) -> str | None:
    if entry.unpacked <= FLOOR_BYTES or entry.unpacked <= limits.max_ratio * entry.packed:
        return None
    return (
        f"it says to unpack to {entry.unpacked:,} bytes, more than {limits.max_ratio:g} times the "
        f"{entry.packed:,} that it has (the limit max_ratio)"
    )


def _check_sum(file: BinaryIO, path: Path, wanted: Sequence[ZipEntry], limits: Limits) -> None:
    total = sum(entry.unpacked for entry in wanted)
    if total > limits.max_bytes:
        raise InputError(
            f"{str(path)!r} holds {total:,} bytes; the limit is {limits.max_bytes:,}",
            hint=raise_limit("max_bytes"),
        )
    unpacked = sum(entry.unpacked for entry in wanted if entry.method == DEFLATED)
    if unpacked > FLOOR_BYTES and unpacked > limits.max_ratio * os.fstat(file.fileno()).st_size:
        raise InputError(
            f"{str(path)!r} unpacks to {unpacked:,} bytes, more than {limits.max_ratio:g} times its size",
            hint=raise_limit("max_ratio"),
        )


class _Told:
    """How many packed bytes were read, told to a listener now and then."""

    def __init__(self, path: Path, total: int, listener: Listener) -> None:
        self._path = path
        self._total = total
        self._listener = listener
        self._done = 0
        self._told = 0

    def add(self, nbytes: int) -> None:
        self._done += nbytes
        if self._done - self._told >= _TOLD_EVERY:
            self._told = self._done
            self._listener(
                Progress(task="unpacking", done=self._done, total=self._total, item=self._path.name)
            )


def _place(file: BinaryIO, path: Path, entry: ZipEntry, spool: Spool, told: _Told) -> ArchiveEntry | str:
    """Where the entry's bytes can be read, or why it is refused."""
    if entry.method == STORED:
        crc, at, end = 0, entry.start, entry.start + entry.packed
        while at < end:
            data = os.pread(file.fileno(), min(_OUT_BYTES, end - at), at)
            if not data:
                return "the archive was cut short while it was read"
            crc = zlib.crc32(data, crc)
            at += len(data)
            told.add(len(data))
        if crc != entry.crc:
            return _crc_reason(crc, entry)
        return ArchiveEntry(entry.name, path, (entry.start, entry.packed))
    begin = spool.begin()
    reason = _unpack(file, entry, spool, begin, told)
    if reason is not None:
        spool.drop(begin)
        return reason
    return ArchiveEntry(entry.name, spool.path, (begin, entry.unpacked))


def _unpack(file: BinaryIO, entry: ZipEntry, spool: Spool, begin: int, told: _Told) -> str | None:
    """Unpack into the spool from `begin` on; why that failed, or None."""
    inner = zlib.decompressobj(wbits=-15)
    source, end = entry.start, entry.start + entry.packed
    at, crc = begin, 0
    while not inner.eof:
        packed = inner.unconsumed_tail
        if not packed and source < end:
            packed = os.pread(file.fileno(), min(_IN_BYTES, end - source), source)
            source += len(packed)
            told.add(len(packed))
        try:
            data = inner.decompress(packed, _OUT_BYTES)
        except zlib.error as err:
            return f"its data is damaged: {err}"
        if at + len(data) > begin + entry.unpacked:
            return f"it unpacks to more than the {entry.unpacked:,} bytes that it says"
        # zlib may hold back output without wanting input, so that empty input alone is no sign.
        if not packed and not data and not inner.eof:
            return "its data ends in the middle"
        crc = zlib.crc32(data, crc)
        spool.write(at, data)
        at += len(data)
    if at != begin + entry.unpacked:
        return f"it unpacks to {at - begin:,} bytes, not to the {entry.unpacked:,} that it says"
    if inner.unused_data or source != end:
        return "something is hidden behind its data"
    return None if crc == entry.crc else _crc_reason(crc, entry)


def _crc_reason(crc: int, entry: ZipEntry) -> str:
    return f"its checksum is {crc:08x}, not {entry.crc:08x}: its bytes are damaged"
