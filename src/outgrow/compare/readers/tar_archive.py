"""The files of a tar archive: in place where it is plain, unpacked in one pass where it is compressed."""

__all__ = ["PackedTar", "PlainTar", "TarSource", "read_tar"]

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from outgrow.capture.recording import Refusal
from outgrow.compare.readers.advice import raise_limit
from outgrow.compare.readers.archive_entry import ArchiveEntry, Screen, repeated_names
from outgrow.compare.readers.entry_names import NAMELESS, clean_name, is_clutter
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.spool import Spool
from outgrow.compare.readers.tar_header import (
    BLOCK,
    DIRECTORY,
    FILES,
    TarDamage,
    TarHeader,
    kind_words,
    parse_header,
    parse_pax,
)
from outgrow.compare.readers.unpacked_stream import Truncated, UnpackedStream
from outgrow.errors import InputError
from outgrow.store.header import StoreCorrupt

_REST = "(the rest of the archive)"
# A name, some times and a few attributes; tools write some hundred bytes.
_EXTENDED_BYTES = 2**20
_EXTENDED_IN_A_ROW = 8
_OCTAL_END = 8**11
_COPY_BYTES = 2**20


class TarSource(Protocol):
    """The bytes of an archive, in order."""

    def exactly(self, nbytes: int) -> bytes:
        """The next bytes; fewer where the archive ends."""
        ...

    def skip(self, nbytes: int) -> None:
        """Pass over bytes.

        Raises:
            Truncated: there are not so many.
        """
        ...

    def take(self, nbytes: int) -> tuple[Path, tuple[int, int]]:
        """Pass over bytes and say where they can be read: a file, and offset and length in it.

        Raises:
            Truncated: there are not so many.
        """
        ...

    def rest_is_blank(self) -> bool:
        """Whether nothing but zeros follows. A compressed stream is followed to its end, where its checksum
        is: where the file was cut short before, nothing vouches for what came out of it.
        """
        ...


class PlainTar:
    """An archive that is not compressed: its files are read where they lie."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._size = os.fstat(file.fileno()).st_size
        self._at = 0

    def exactly(self, nbytes: int) -> bytes:
        """As `TarSource.exactly`."""
        self._file.seek(self._at)
        data = self._file.read(nbytes)
        self._at += len(data)
        return data

    def skip(self, nbytes: int) -> None:
        """As `TarSource.skip`."""
        if self._at + nbytes > self._size:
            raise Truncated("the archive ends in the middle of it")
        self._at += nbytes

    def take(self, nbytes: int) -> tuple[Path, tuple[int, int]]:
        """As `TarSource.take`."""
        begin = self._at
        self.skip(nbytes)
        return self._path, (begin, nbytes)

    def rest_is_blank(self) -> bool:
        """As `TarSource.rest_is_blank`, but looks no further than tools pad."""
        data = self.exactly(_COPY_BYTES)
        return data.count(0) == len(data)


class PackedTar:
    """A compressed archive: its files are copied into the spool as they flow by."""

    def __init__(self, stream: UnpackedStream, spool: Spool) -> None:
        self._stream = stream
        self._spool = spool

    def exactly(self, nbytes: int) -> bytes:
        """As `TarSource.exactly`."""
        data = self._stream.read(nbytes)
        while len(data) < nbytes and (more := self._stream.read(nbytes - len(data))):
            data += more
        return data

    def skip(self, nbytes: int) -> None:
        """As `TarSource.skip`."""
        while nbytes:
            nbytes -= len(self._some(nbytes))

    def take(self, nbytes: int) -> tuple[Path, tuple[int, int]]:
        """As `TarSource.take`. What is cut short leaves nothing in the spool."""
        begin = at = self._spool.begin()
        while at < begin + nbytes:
            try:
                data = self._some(begin + nbytes - at)
            except Truncated:
                self._spool.drop(begin)
                raise
            self._spool.write(at, data)
            at += len(data)
        return self._spool.path, (begin, nbytes)

    def rest_is_blank(self) -> bool:
        """As `TarSource.rest_is_blank`."""
        is_blank = True
        while data := self._stream.read(_COPY_BYTES):
            is_blank = is_blank and data.count(0) == len(data)
        return is_blank and not self._stream.has_rubbish

    def _some(self, nbytes: int) -> bytes:
        data = self._stream.read(min(nbytes, _COPY_BYTES))
        if not data:
            raise Truncated("the archive ends in the middle of it")
        return data


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    reason: str | None
    """Why it is refused, or None."""
    is_file: bool
    size: int
    """Bytes behind its headers, unpadded."""


def read_tar(
    source: TarSource, path: Path, limits: Limits, *, screen: Screen
) -> tuple[list[ArchiveEntry], list[Refusal]]:
    """The regular files in the order of the archive, and what is refused. Folders are left out.

    What stands before the place where an archive is cut short or damaged is listed all the same, and the
    refusals say where it ended.

    Raises:
        InputError: the archive has more entries than `limits` allow.
        StoreCorrupt: it is no tar archive; or its compressed stream is damaged, so that nothing in it can be
            trusted.
        StoreError: what it unpacks to cannot be written.
    """
    entries: list[ArchiveEntry] = []
    refused: list[Refusal] = []
    count = 0
    names: list[str] = []
    try:
        while (member := _next_member(source, limits)) is not None:
            count += 1
            if count > limits.max_entries:
                raise InputError(
                    f"{str(path)!r} has more than {limits.max_entries:,} entries",
                    hint=raise_limit("max_entries"),
                )
            if member.is_file:
                names.append(member.name)
            _visit(source, member, limits, screen, entries, refused)
            source.skip(-member.size % BLOCK)
        if not source.rest_is_blank():
            reason = "something follows the mark at the end of the archive; tools do not show it"
            refused.append(Refusal(entry=_REST, reason=reason))
    except (Truncated, TarDamage) as err:
        if not count:
            raise StoreCorrupt(
                f"{str(path)!r} is not a whole tar archive: {err}", hint="copy it again"
            ) from err
        refused.append(Refusal(entry=_REST, reason=f"{err}; what stands before it is compared"))
    repeated, more = repeated_names(names)
    return [entry for entry in entries if entry.name not in repeated], refused + more


def _visit(
    source: TarSource,
    member: _Member,
    limits: Limits,
    screen: Screen,
    entries: list[ArchiveEntry],
    refused: list[Refusal],
) -> None:
    """Take what is wanted of one member, and leave `source` behind its content."""
    is_wanted = member.is_file and member.reason is None and not is_clutter(member.name)
    reason = screen(member.name) if is_wanted else member.reason
    if is_wanted and reason is None and member.size > limits.max_bytes:
        reason = f"it has {member.size:,} bytes; the limit max_bytes is {limits.max_bytes:,}"
    if reason is not None:
        refused.append(Refusal(entry=member.name, reason=reason))
    if not is_wanted or reason is not None:
        source.skip(member.size)
        return
    try:
        path, region = source.take(member.size)
    except Truncated:
        refused.append(Refusal(entry=member.name, reason="the archive ends in the middle of it"))
        raise
    entries.append(ArchiveEntry(member.name, path, region))


def _next_member(source: TarSource, limits: Limits) -> _Member | None:
    """The next file, folder or other thing, with what its extended headers say; None at the end."""
    long_name: bytes | None = None
    records: dict[str, bytes] = {}
    for _ in range(_EXTENDED_IN_A_ROW):
        block = source.exactly(BLOCK)
        if len(block) < BLOCK:
            raise Truncated("the archive has no mark at its end, and was probably cut short")
        header = parse_header(block)
        if header is None:
            return None
        if header.kind not in "xXgLK":
            return _resolve(source, header, long_name, records)
        if header.size > min(_EXTENDED_BYTES, limits.max_header_bytes):
            raise TarDamage(f"an extended header says to have {header.size:,} bytes")
        data = source.exactly(header.size)
        if len(data) < header.size:
            raise Truncated("the archive ends in the middle of an extended header")
        source.skip(-header.size % BLOCK)
        if header.kind == "L":
            long_name = data.partition(b"\0")[0]
        elif header.kind == "g":
            if any(key in ("path", "linkpath", "size") or "sparse" in key for key in parse_pax(data)):
                raise TarDamage("an extended header renames or resizes all that follows")
        elif header.kind != "K":
            records.update(parse_pax(data))
    raise TarDamage(f"{_EXTENDED_IN_A_ROW} extended headers follow each other")


def _resolve(
    source: TarSource, header: TarHeader, long_name: bytes | None, records: dict[str, bytes]
) -> _Member:
    raw_name = records.get("path", header.raw_name if long_name is None else long_name)
    name, reason = clean_name(raw_name)
    size = header.content_bytes
    if "size" in records and header.kind in FILES:
        digits = records["size"]
        if not digits.isdigit() or len(digits) > 19:
            raise TarDamage("an extended header has a size that is no number")
        # The old field holds less than 8 GiB; below that two sizes would be two archives in one, of which
        # each tool sees another.
        if int(digits) < _OCTAL_END and int(digits) != size:
            raise TarDamage(f"the headers of {name!r} say {size:,} bytes and {int(digits):,}")
        size = int(digits)
    if header.kind == DIRECTORY:
        return _Member(name, None if reason == NAMELESS else reason, is_file=False, size=size)
    if header.kind == "S" and header.is_sparse_extended:
        while (more := source.exactly(BLOCK)) and len(more) == BLOCK and more[504]:
            pass
    if any("sparse" in key or key == "SCHILY.realsize" for key in records):
        reason = "it is a sparse file"
    elif header.kind not in FILES:
        reason = f"it is {kind_words(header.kind)}, not a file"
    return _Member(name, reason, is_file=header.kind in FILES, size=size)
