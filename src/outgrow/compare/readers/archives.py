"""An archive of files of tensors, as the contents of its files."""

__all__ = ["OpenArchive", "is_archive", "open_archive"]

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from torch import Tensor

from outgrow.capture.recording import Refusal
from outgrow.compare.readers.archive_entry import ArchiveEntry
from outgrow.compare.readers.entry import is_readable, read_entry
from outgrow.compare.readers.entry_names import is_archive_name
from outgrow.compare.readers.file_reader import FileContent, FoundTensor
from outgrow.compare.readers.files import READERS
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.spool import Spool
from outgrow.compare.readers.tar_archive import PackedTar, PlainTar, TarSource, read_tar
from outgrow.compare.readers.tar_header import BLOCK, TarDamage, parse_header
from outgrow.compare.readers.unpacked_stream import PackedKind, UnpackedStream, packed_kind
from outgrow.compare.readers.zip_archive import is_torch_file, read_zip
from outgrow.compare.readers.zip_directory import read_zip_directory
from outgrow.errors import InputError, OutgrowError, StoreError, hint_for
from outgrow.events import Listener, ignore

Kind = Literal["zip", "tar"] | PackedKind
# Whole, empty and split archives begin with different signatures.
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_TAIL_BYTES = 2**16 + 64
_FOREIGN = {
    b"\x28\xb5\x2f\xfd": "zstandard", b"7z\xbc\xaf\x27\x1c": "7-Zip", b"Rar!": "RAR",
    b"\x04\x22\x4d\x18": "LZ4", b"\x1f\x9d": "compress",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenArchive:
    """What an archive holds; close it when no tensor of it is needed any more."""

    contents: tuple[tuple[str, FileContent], ...]
    """Name in the archive, with its folders, and content of each file that could be read."""
    refused: tuple[Refusal, ...]
    """What was met and left out; those of the files' inside are in their contents."""
    close: Callable[[], None]
    """Remove what was unpacked; may be called twice. Tensors that were read before stay good."""


def is_archive(path: Path) -> bool:
    """Whether a file is an archive, or says so by its name: its content decides where its name does not.

    A file with the suffix of a reader is that reader's: `.pth` and `.npz` files are zip archives themselves.

    Raises:
        StoreError: it cannot be read.
    """
    if is_readable(path.name):
        return False
    return is_archive_name(path.name) or _kind(path, _ends(path, path)) is not None


def open_archive(
    path: Path, limits: Limits, *, name: str | None = None, listener: Listener = ignore
) -> OpenArchive:
    """Open a `.zip`, `.tar`, `.tar.gz`, `.tar.bz2` or `.tar.xz` file, told apart by their content.

    Stored entries of zip archives and all of plain tar archives are read where they lie. What is compressed
    is unpacked into a nameless temporary file (`Spool`) now, as far as a reader exists for it. Nothing is
    written under a name from the archive. `listener` receives `Progress` of the task `unpacking`. `name` is
    what people call the file, where its path does not say so.

    Raises:
        InputError: it is no archive, or asks for more than `limits` allow.
        StoreCorrupt: it contradicts itself, so that nothing in it can be trusted.
        StoreError: it cannot be read, or the disk for temporary files is full.
    """
    shown = path if name is None else Path(name)
    ends = _ends(path, shown)
    kind = _kind(shown, ends)
    if kind is None:
        raise InputError(f"{str(shown)!r} {_what_else(shown, ends[0])}", hint="unpack it and give the folder")
    spool = Spool()
    try:
        try:
            with path.open("rb") as file:
                contents, refused = _read(file, path, shown, kind, limits, spool, listener)
        except OSError as err:
            raise StoreError(
                f"cannot read {str(shown)!r}: {err.strerror or err}", hint=hint_for(err)
            ) from err
    except BaseException:
        # Ctrl-C too: nothing of what was unpacked may stay.
        spool.close()
        raise
    return OpenArchive(contents=tuple(contents), refused=tuple(refused), close=spool.close)


def _read(
    file: BinaryIO, path: Path, shown: Path, kind: Kind, limits: Limits, spool: Spool, listener: Listener
) -> tuple[list[tuple[str, FileContent]], list[Refusal]]:
    entries: list[ArchiveEntry]
    if kind == "zip":
        listed, refused = read_zip_directory(file, shown, limits)
        if is_torch_file(listed):
            region = None if shown is path else (0, os.fstat(file.fileno()).st_size)
            return [(shown.name, _read_torch(path, shown.name, limits, region))], []
        entries, more = read_zip(
            file, path, listed, limits, screen=_screen, spool=spool, listener=listener, shown=shown
        )
        refused += more
    else:
        source: TarSource = PlainTar(file, path)
        if kind != "tar":
            stream = UnpackedStream(file, shown, kind, limits, listener=listener)
            source = PackedTar(stream, spool)
        entries, refused = read_tar(source, shown, limits, screen=_screen)
    # Only now: readers remember what a file was like, and the spool does not change any more.
    contents = []
    for entry in entries:
        content = read_entry(entry.path, entry.name, limits, entry.region)
        if entry.path != path:
            guarded = tuple(_guarded(found, shown, spool) for found in content.records)
            content = FileContent(records=guarded, refused=content.refused)
        contents.append((entry.name, content))
    return contents, refused


def _guarded(found: FoundTensor, path: Path, spool: Spool) -> FoundTensor:
    """The same, saying what happened where it is read after the end of the temporary file."""

    def read() -> Tensor:
        if spool.is_closed:
            raise StoreError(
                f"{str(path)!r} was closed, and what was unpacked of it is gone", hint="read before closing"
            )
        return found.read()

    return replace(found, read=read)


def _screen(name: str) -> str | None:
    if is_archive_name(name):
        return "it is an archive or a compressed file within the archive; unpack it first"
    if is_readable(name):
        return None
    (refusal,) = read_entry(Path(name), name, Limits()).refused
    return refusal.reason


def _read_torch(path: Path, name: str, limits: Limits, region: tuple[int, int] | None) -> FileContent:
    try:
        return READERS[".pth"].read(path, name, limits, region)
    except OutgrowError as err:
        return FileContent(refused=(Refusal(entry=name, reason=err.message, hint=err.hint),))


def _ends(path: Path, shown: Path) -> tuple[bytes, bytes]:
    """The first bytes of a regular file, and the last."""
    try:
        # Opening a pipe would wait for somebody to write to it.
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{str(shown)!r} is not a regular file", hint="give an archive or a folder")
        with path.open("rb") as file:
            beginning = file.read(BLOCK)
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return beginning, file.read()
    except OSError as err:
        raise StoreError(f"cannot read {str(shown)!r}: {err.strerror or err}", hint=hint_for(err)) from err


def _kind(path: Path, ends: tuple[bytes, bytes]) -> Kind | None:
    beginning, tail = ends
    if beginning.startswith(_ZIP_MAGIC):
        return "zip"
    # Programs that unpack themselves are zip archives with something in front.
    if path.suffix.lower() == ".zip" and b"PK\x05\x06" in tail:
        return "zip"
    packed = packed_kind(beginning)
    if packed is not None:
        return packed
    if len(beginning) == BLOCK:
        try:
            return "tar" if parse_header(beginning) is not None else None
        except TarDamage:
            return None
    return None


def _what_else(path: Path, beginning: bytes) -> str:
    for magic, name in _FOREIGN.items():
        if beginning.startswith(magic):
            return f"is packed by {name}; zip, tar, tar.gz, tar.bz2 and tar.xz are read"
    if not beginning:
        return "is empty"
    return "is not an archive" + (", whatever its name says" if is_archive_name(path.name) else "")
