"""The directory of a zip archive, read as if an enemy had written it. Nothing is unpacked here.

The directory at the end is believed only where the headers in front of the entries say the same, and where
no two entries claim the same bytes. What cannot be believed is refused by name; the rest is listed.
"""

__all__ = ["DEFLATED", "STORED", "ZipEntry", "read_zip_directory"]

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from outgrow.capture.recording import Refusal
from outgrow.compare.readers.advice import raise_limit
from outgrow.compare.readers.entry_names import NAMELESS, clean_name
from outgrow.compare.readers.limits import Limits
from outgrow.errors import InputError
from outgrow.store.header import StoreCorrupt

STORED, DEFLATED = 0, 8
_METHODS = {
    1: "shrink", 6: "implode", 9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstandard", 95: "xz", 98: "ppmd",
    99: "AES encryption",
}  # fmt: skip
_END = struct.Struct("<4sHHHHIIH")
_END64_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_ENCRYPTED, _DESCRIPTOR, _PATCH, _UTF8 = 0x2041, 0x8, 0x20, 0x800
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_CUT = "it was probably cut short: copy or download it again"


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One regular file in the archive."""

    name: str
    """Clean: a relative path with `/`."""
    method: int
    """`STORED` or `DEFLATED`."""
    crc: int
    start: int
    """Where its packed bytes begin in the archive file."""
    packed: int
    """How many they are."""
    unpacked: int
    """How many it says that it unpacks to."""


@dataclass(frozen=True, slots=True)
class _End:
    count: int
    size: int
    start: int
    shift: int
    """Bytes in front of the archive, by which all offsets in it are off."""


@dataclass(frozen=True, slots=True)
class _Central:
    raw_name: bytes
    name: str
    flags: int
    method: int
    crc: int
    packed: int
    unpacked: int
    offset: int


def read_zip_directory(file: IO[bytes], path: Path, limits: Limits) -> tuple[list[ZipEntry], list[Refusal]]:
    """The regular files of an archive in the order of its directory, and what is refused. Folders are left
    out.

    Raises:
        InputError: the archive has more entries or a larger directory than `limits` allow, or several parts.
        StoreCorrupt: there is no directory, or it contradicts itself.
    """
    file_bytes = file.seek(0, os.SEEK_END)
    end = _find_end(file, path, file_bytes)
    if end.count > limits.max_entries:
        raise InputError(
            f"{str(path)!r} has {end.count:,} entries, and the limit is {limits.max_entries:,}",
            hint=raise_limit("max_entries"),
        )
    if end.size > limits.max_header_bytes:
        raise InputError(
            f"{str(path)!r} has a directory of {end.size:,} bytes; the limit is {limits.max_header_bytes:,}",
            hint=raise_limit("max_header_bytes"),
        )
    refused: list[Refusal] = []
    found: list[tuple[int, int, ZipEntry]] = []
    # The headers only after the directory, so that the file is read from one end to the other.
    for central in list(_central_entries(file, path, end, refused)):
        place = _check_local(file, central, end)
        if isinstance(place, str):
            refused.append(Refusal(entry=central.name, reason=place))
            continue
        header, start = place
        entry = ZipEntry(central.name, central.method, central.crc, start, central.packed, central.unpacked)
        found.append((header, start + central.packed, entry))
    return _without_overlaps(found, refused), refused


def _find_end(file: IO[bytes], path: Path, file_bytes: int) -> _End:
    tail_bytes = min(file_bytes, _END.size + _FULL16 + _END64_LOCATOR.size)
    file.seek(file_bytes - tail_bytes)
    tail = file.read(tail_bytes)
    at = len(tail)
    while (at := tail.rfind(b"PK\x05\x06", 0, at)) >= 0:
        # The comment must reach exactly to the end: a signature in the middle of tensors is not a directory.
        if at + _END.size <= len(tail) and at + _END.size + _END.unpack_from(tail, at)[7] == len(tail):
            break
    if at < 0:
        raise StoreCorrupt(f"{str(path)!r} has no directory at its end, as zip archives do", hint=_CUT)
    _, disk, start_disk, here, count, size, offset, _ = _END.unpack_from(tail, at)
    end_at = file_bytes - len(tail) + at
    locator_at = at - _END64_LOCATOR.size
    if locator_at >= 0 and tail.startswith(b"PK\x06\x07", locator_at):
        plain = (disk, start_disk, here, count, size, offset)
        end_at, wide = _read_end64(file, path, tail[locator_at:at], end_at - _END64_LOCATOR.size)
        full = (_FULL16,) * 4 + (_FULL32,) * 2
        if any(a not in (b, most) for a, b, most in zip(plain, wide, full, strict=True)):
            raise StoreCorrupt(f"the two directory ends of {str(path)!r} contradict each other", hint=_CUT)
        disk, start_disk, here, count, size, offset = wide
    if disk or start_disk or here != count:
        raise InputError(
            f"{str(path)!r} is one part of several", hint="join them first: `zip -s 0 in.zip --out all.zip`"
        )
    shift = end_at - size - offset
    if shift < 0 or size < count * _CENTRAL.size:
        raise StoreCorrupt(f"the directory of {str(path)!r} cannot be where it says", hint=_CUT)
    return _End(count, size, end_at - size, shift)


def _read_end64(file: IO[bytes], path: Path, locator: bytes, end: int) -> tuple[int, tuple[int, ...]]:
    _, disk, offset, disks = _END64_LOCATOR.unpack(locator)
    if disk or disks > 1:
        raise InputError(f"{str(path)!r} is one part of {disks:,}", hint="join the parts first")
    # Where something stands in front of the archive, the offset is off; then it is looked for where it
    # usually ends.
    for at in (offset, end - _END64.size):
        if 0 <= at <= end - _END64.size:
            file.seek(at)
            raw = file.read(_END64.size)
            if raw.startswith(b"PK\x06\x06") and at + 12 + _END64.unpack(raw)[1] == end:
                _, _, _, _, disk, start_disk, here, count, size, start = _END64.unpack(raw)
                return at, (disk, start_disk, here, count, size, start)
    raise StoreCorrupt(f"the zip64 directory end of {str(path)!r} is not where it should be", hint=_CUT)


def _central_entries(file: IO[bytes], path: Path, end: _End, refused: list[Refusal]) -> Iterator[_Central]:
    """The entries that can be believed so far; those that cannot go to `refused`."""
    left = end.size
    at = end.start
    for _ in range(end.count):
        file.seek(at)
        raw = file.read(min(left, _CENTRAL.size))
        if len(raw) < _CENTRAL.size or not raw.startswith(b"PK\x01\x02"):
            raise StoreCorrupt(f"the directory of {str(path)!r} is damaged at byte {at:,}", hint=_CUT)
        fields = _CENTRAL.unpack(raw)
        lengths = fields[10:13]
        step = _CENTRAL.size + sum(lengths)
        if step > left:
            raise StoreCorrupt(f"the directory of {str(path)!r} is damaged at byte {at:,}", hint=_CUT)
        raw_name, extra = file.read(lengths[0]), file.read(lengths[1])
        at, left = at + step, left - step
        central, reason, name = _believe(fields, raw_name, extra)
        if reason is not None:
            refused.append(Refusal(entry=name, reason=reason))
        elif central is not None:
            yield central
    if left:
        raise StoreCorrupt(
            f"the directory of {str(path)!r} has {left:,} bytes more than its {end.count:,} entries need",
            hint="another tool may show other entries; pack it anew",
        )


def _believe(
    fields: tuple[int, ...], raw_name: bytes, extra: bytes
) -> tuple[_Central | None, str | None, str]:
    """An entry, or None and why it is refused, or neither for a folder; and its name."""
    flags, method, crc, packed, unpacked, disk, attributes, offset = (
        fields[index] for index in (3, 4, 7, 8, 9, 13, 15, 16)
    )
    # Without the flag the name is in the code page of DOS by the book, and in truth in whatever the tool
    # used: UTF-8 for most. The same ambiguity on both sides pairs all the same.
    text: bytes | str = raw_name
    if not flags & _UTF8:
        try:
            text = raw_name.decode()
        except UnicodeDecodeError:
            text = raw_name.decode("cp437")
    name, reason = clean_name(text)
    kind = stat.S_IFMT(attributes >> 16)
    if raw_name.endswith(b"/") and not unpacked:
        return None, None if reason == NAMELESS else reason, name
    sizes = _wide_sizes(extra, (unpacked, packed, offset, disk))
    if reason is not None:
        return None, reason, name
    if sizes is None:
        return None, "its zip64 sizes are missing or damaged", name
    unpacked, packed, offset, disk = sizes
    if kind not in (0, stat.S_IFREG):
        what = {stat.S_IFLNK: "a link", stat.S_IFIFO: "a FIFO", stat.S_IFDIR: "a folder with content"}
        return None, f"it is {what.get(kind, 'a device')}, not a file", name
    if flags & _ENCRYPTED or method == 99:
        return None, "it is encrypted", name
    if flags & _PATCH:
        return None, "it is a patch to another file", name
    if method not in (STORED, DEFLATED):
        named = _METHODS.get(method, "an unknown method")
        return None, f"it is packed by {named} ({method}); stored and deflated ones are read", name
    if method == STORED and packed != unpacked:
        return None, f"it is stored in {packed:,} bytes but says to have {unpacked:,}", name
    if disk:
        return None, "it lies in another part of the archive", name
    return _Central(raw_name, name, flags, method, crc, packed, unpacked, offset), None, name


def _wide_sizes(extra: bytes, narrow: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
    """Unpacked size, packed size, offset and disk, with those that did not fit taken from the zip64 field."""
    most = (_FULL32, _FULL32, _FULL32, _FULL16)
    if not any(value == full for value, full in zip(narrow, most, strict=True)):
        return narrow
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == 1 and at + 4 + size <= len(extra):
            values, field, used = [], extra[at + 4 : at + 4 + size], 0
            for value, full, wide in zip(narrow, most, (8, 8, 8, 4), strict=True):
                if value == full:
                    piece = field[used : used + wide]
                    if len(piece) < wide:
                        return None
                    values.append(int.from_bytes(piece, "little"))
                    used += wide
                else:
                    values.append(value)
            return values[0], values[1], values[2], values[3]
        at += 4 + size
    return None


def _check_local(file: IO[bytes], central: _Central, end: _End) -> tuple[int, int] | str:
    """Where the entry's header and its packed bytes begin, or why it is refused."""
    at = central.offset + end.shift
    if at + _LOCAL.size > end.start:
        return "it begins behind the end of the archive"
    file.seek(at)
    raw = file.read(_LOCAL.size + len(central.raw_name))
    if len(raw) < _LOCAL.size or not raw.startswith(b"PK\x03\x04"):
        return "its header is not where the directory says"
    _, _, flags, method, _, _, crc, packed, unpacked, name_bytes, extra_bytes = _LOCAL.unpack_from(raw)
    start = at + _LOCAL.size + name_bytes + extra_bytes
    if start + central.packed > end.start:
        return "it reaches into the directory of the archive"
    same = flags & (_ENCRYPTED | _PATCH) == central.flags & (_ENCRYPTED | _PATCH) and method == central.method
    if not same or name_bytes != len(central.raw_name) or raw[_LOCAL.size :] != central.raw_name:
        return "its header and the directory contradict each other"
    if not flags & _DESCRIPTOR:
        sizes = ((packed, central.packed), (unpacked, central.unpacked))
        # A size of all ones stands in the header's zip64 field, which the directory speaks for.
        if crc != central.crc or any(here not in (there, _FULL32) for here, there in sizes):
            return "its header and the directory contradict each other"
    return at, start


def _without_overlaps(found: list[tuple[int, int, ZipEntry]], refused: list[Refusal]) -> list[ZipEntry]:
    """The entries that share no byte with another; those that do may all be one bomb (Fifield 2019)."""
    order = sorted(range(len(found)), key=lambda index: found[index][:2])
    bad: set[int] = set()
    last = -1
    for index in order:
        if last >= 0 and found[index][0] < found[last][1]:
            bad |= {index, last}
        if last < 0 or found[index][1] > found[last][1]:
            last = index
    for index in sorted(bad):
        reason = "it shares its bytes with another entry"
        refused.append(Refusal(entry=found[index][2].name, reason=reason))
    return [entry for index, (_, _, entry) in enumerate(found) if index not in bad]
