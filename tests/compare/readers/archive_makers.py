"""Archives of all kinds for tests: honest ones by the standard library, others byte by byte."""

import binascii
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save as save_safetensors


def tensor_file(seed: int = 0, *shape: int) -> bytes:
    """A safetensors file with one tensor `a`."""
    generator = torch.Generator().manual_seed(seed)
    return save_safetensors({"a": torch.randn(*(shape or (4, 5)), generator=generator)})


def files(count: int = 4) -> dict[str, bytes]:
    """Some files of a dump, below one folder."""
    return {
        f"run/{index}_query_final.safetensors": tensor_file(index, 3, index + 1) for index in range(count)
    }


def zipped(content: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return buffer.getvalue()


class _Pipe(io.RawIOBase):
    """A sink that cannot seek, as a pipe: zip archives written to it have data descriptors."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.data += bytes(data)  # type: ignore[call-overload]
        return len(bytes(data))  # type: ignore[call-overload]


def piped_zip(content: Mapping[str, bytes]) -> bytes:
    """A deflated zip archive with data descriptors."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return bytes(pipe.data)


def wide_zip(content: Mapping[str, bytes]) -> bytes:
    """A zip archive with zip64 headers although it is small."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(data)
    return buffer.getvalue()


def tarred(content: Mapping[str, bytes], mode: str = "", form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive, compressed as `mode` says: `gz`, `bz2`, `xz` or not at all."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{mode}", format=form) as archive:
        for folder in sorted({name.rpartition("/")[0] for name in content} & {"run", "folder"}):
            info = tarfile.TarInfo(folder)
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


KINDS: Mapping[str, tuple[str, Callable[[Mapping[str, bytes]], bytes]]] = {
    "zip": (".zip", zipped),
    "zip-deflated": (".zip", lambda content: zipped(content, zipfile.ZIP_DEFLATED)),
    "zip-descriptors": (".zip", piped_zip),
    "zip64": (".zip", wide_zip),
    "tar": (".tar", tarred),
    "tar-gnu": (".tar", lambda content: tarred(content, form=tarfile.GNU_FORMAT)),
    "tar-ustar": (".tar", lambda content: tarred(content, form=tarfile.USTAR_FORMAT)),
    "tar.gz": (".tar.gz", lambda content: tarred(content, "gz")),
    "tgz": (".tgz", lambda content: tarred(content, "gz")),
    "tar.bz2": (".tar.bz2", lambda content: tarred(content, "bz2")),
    "tar.xz": (".tar.xz", lambda content: tarred(content, "xz")),
}
"""A suffix, and what packs files by name, for each kind of archive."""


def tar_header(name: bytes, size: int = 0, kind: bytes = b"0", **fields: bytes) -> bytes:
    """One header block; `fields` are `octal` (the size as it stands there), `prefix`, `magic`, `linkname`,
    `sum`, and `at482` for whatever is at byte 482."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136] = fields.get("octal", b"%011o\0" % size)
    block[136:148] = b"%011o\0" % 0
    block[156:157] = kind
    link = fields.get("linkname", b"")
    block[157 : 157 + len(link)] = link
    block[257:265] = fields.get("magic", b"ustar\x0000")
    prefix = fields.get("prefix", b"")
    block[345 : 345 + len(prefix)] = prefix
    for at, data in ((int(key[2:]), value) for key, value in fields.items() if key.startswith("at")):
        block[at : at + len(data)] = data
    block[148:156] = b" " * 8
    block[148:156] = fields.get("sum", b"%06o\0 " % sum(block))
    return bytes(block)


def padded(data: bytes) -> bytes:
    """With zeros up to a whole block."""
    return data + bytes(-len(data) % 512)


def tar_member(name: bytes, data: bytes = b"", kind: bytes = b"0", **fields: bytes) -> bytes:
    """A header with its content."""
    return tar_header(name, len(data), kind, **fields) + padded(data)


def pax_header(records: Mapping[str, str | bytes], kind: bytes = b"x") -> bytes:
    """An extended header."""
    data = b""
    for key, value in records.items():
        body = key.encode() + b"=" + (value if isinstance(value, bytes) else value.encode()) + b"\n"
        length = len(body) + 2
        while length != len(b"%d " % length) + len(body):
            length = len(b"%d " % length) + len(body)
        data += b"%d " % length + body
    return tar_member(b"PaxHeader", data, kind)


def raw_tar(*members: bytes) -> bytes:
    """Members as they are, and the mark at the end."""
    return b"".join(members) + bytes(1024)


@dataclass
class ZipMember:
    """One entry of a zip archive made byte by byte: whatever is given differs from the honest value."""

    name: bytes
    data: bytes = b""
    method: int = 0
    packed: bytes | None = None
    """The bytes in the archive."""
    crc: int | None = None
    unpacked: int | None = None
    """What both headers say."""
    flags: int = 0
    attributes: int = 0
    disk: int = 0
    extra: bytes = b""
    """In the directory alone."""
    local_name: bytes | None = None
    local_method: int | None = None
    local_unpacked: int | None = None
    local_extra: bytes = b""
    offset: int | None = None
    """What the directory says."""
    packed_size: int | None = None
    """What both headers say."""
    is_written: bool = True
    """Without, it is in the directory alone."""


def raw_zip(
    *members: ZipMember,
    prefix: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
    directory_bytes: int | None = None,
    disk: int = 0,
    shift: int = 0,
    gap: bytes = b"",
) -> bytes:
    """A zip archive; offsets do not count `prefix` unless `shift` is its length."""
    body = bytearray()
    directory = bytearray()
    for member in members:
        packed = member.packed
        if packed is None:
            packed = member.data
            if member.method == 8:
                deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
                packed = deflate.compress(member.data) + deflate.flush()
        crc = binascii.crc32(member.data) if member.crc is None else member.crc
        unpacked = len(member.data) if member.unpacked is None else member.unpacked
        packed_size = len(packed) if member.packed_size is None else member.packed_size
        offset = len(body) + shift if member.offset is None else member.offset
        if member.is_written:
            name = member.name if member.local_name is None else member.local_name
            method = member.method if member.local_method is None else member.local_method
            stated = unpacked if member.local_unpacked is None else member.local_unpacked
            body += struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, member.flags, method, 0, 33, crc, packed_size,
                                stated, len(name), len(member.local_extra))  # fmt: skip
            body += name + member.local_extra + packed
        directory += struct.pack(
            "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 0x314, 20, member.flags, member.method, 0, 33, crc, packed_size,
            unpacked, len(member.name), len(member.extra), 0, member.disk, 0, member.attributes, offset,
        )  # fmt: skip
        directory += member.name + member.extra
    start = len(body) + len(gap) + shift
    number = len(members) if count is None else count
    size = len(directory) if directory_bytes is None else directory_bytes
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", disk, disk, number, number, size, start, len(comment))
    return prefix + bytes(body) + gap + bytes(directory) + end + comment


def write(folder: Path, name: str, data: bytes) -> Path:
    """A file of these bytes."""
    path = folder / name
    path.write_bytes(data)
    return path
