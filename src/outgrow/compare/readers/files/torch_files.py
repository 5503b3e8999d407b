"""`.pth`, `.pt`, `.bin`: what `torch.save` wrote, as a zip file or as before torch 1.6. No code is run."""

__all__ = ["TorchFiles"]

from pathlib import Path, PurePosixPath
from typing import Any

from outgrow.compare.readers.advice import COPY_AGAIN, raise_limit
from outgrow.compare.readers.file_reader import FileContent
from outgrow.compare.readers.files.pickle_machine import Persistent, describe_pickle
from outgrow.compare.readers.files.piece import Piece, pieces_of_zip
from outgrow.compare.readers.files.torch_objects import TorchObjects, element_bytes
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.plain_file import PlainFile
from outgrow.compare.readers.tree import flatten
from outgrow.errors import InputError

_ZIP = b"PK\x03\x04"
# The pickle of the number that torch puts first, 0x1950A86A20F9469CFC6C.
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_PROTOCOL = 1001


class TorchFiles:
    """The `FileReader` of torch files."""

    def read(
        self, path: Path, entry: str, limits: Limits, region: tuple[int, int] | None = None
    ) -> FileContent:
        """As `FileReader.read`."""
        file = PlainFile.of(path, region, entry)
        start = file.read(0, min(len(_LEGACY), file.length))
        if start.startswith(_ZIP):
            return _read_zip(file, entry, limits)
        if start == _LEGACY:
            return _read_legacy(file, entry, limits)
        if not start:
            raise InputError("is empty", hint=COPY_AGAIN)
        if start.startswith(b"\x80"):
            raise InputError(
                "is a pickle that torch.save did not write: save it again with torch.save",
                hint="save its tensors again with torch.save",
            )
        raise InputError(
            "is not a torch file: it is neither a zip file nor begins as those before torch 1.6 do",
            hint=COPY_AGAIN,
        )


def _read_zip(file: PlainFile, entry: str, limits: Limits) -> FileContent:
    pieces, refused = pieces_of_zip(file, entry, limits)
    pickles = [name for name in pieces if PurePosixPath(name).name == "data.pkl"]
    if len(pickles) != 1:
        why = "; ".join(f"{refusal.entry}: {refusal.reason}" for refusal in refused[:3])
        raise InputError(
            f"has {len(pickles)} data.pkl where a torch file has one{f' ({why})' if why else ''}",
            hint=COPY_AGAIN,
        )
    root = str(PurePosixPath(pickles[0]).parent)
    prefix = "" if root == "." else f"{root}/"
    if f"{prefix}constants.pkl" in pieces:
        raise InputError(
            "is a TorchScript program, which holds code: save its state_dict() with torch.save",
            hint="save the program's state_dict() with torch.save instead",
        )
    order = pieces.get(f"{prefix}byteorder")
    if order is not None and order.nbytes < 16 and bytes(order.bytes()) == b"big":
        raise InputError(
            "was written on a machine with another byte order: save it again there as safetensors",
            hint="save it again on that machine as safetensors, whose byte order is fixed",
        )
    pickle = pieces[pickles[0]]
    if pickle.nbytes > limits.max_header_bytes:
        raise InputError(
            f"has a pickle of {pickle.nbytes:,} bytes; the limit max_header_bytes is "
            f"{limits.max_header_bytes:,}",
            hint=raise_limit("max_header_bytes"),
        )
    value, _, _ = describe_pickle(pickle.bytes(), max_bytes=limits.max_header_bytes)

    def find(key: tuple[Any, ...], nbytes: int) -> Piece:
        piece = pieces.get(f"{prefix}data/{key[2]}")
        if piece is None:
            reasons = [r.reason for r in refused if r.entry == f"{entry}/{prefix}data/{key[2]}"]
            raise InputError(
                f"lies in a part that is missing: {reasons[0] if reasons else 'cut short?'}", hint=COPY_AGAIN
            )
        if piece.nbytes < nbytes:
            raise InputError(
                f"needs a storage of {nbytes:,} bytes, which has {piece.nbytes:,}", hint=COPY_AGAIN
            )
        return piece

    stored = sum(piece.nbytes for piece in pieces.values())
    content = flatten(value, TorchObjects(find).understand, entry=entry, limits=limits, stored_bytes=stored)
    known = {refusal.reason for refusal in content.refused}
    # What a refused entry meant for its tensor was said already.
    others = [refusal for refusal in refused if not any(refusal.reason in reason for reason in known)]
    return FileContent(records=content.records, refused=(*content.refused, *others))


def _read_legacy(file: PlainFile, entry: str, limits: Limits) -> FileContent:
    data = file.map(0, file.length)
    at = len(_LEGACY)
    parts = []
    for _ in range(4):  # protocol, machine, the object, keys of the storages
        value, at, mentioned = describe_pickle(data, at, max_bytes=limits.max_header_bytes)
        parts.append((value, mentioned))
    (protocol, _), (machine, _), (value, mentioned), (keys, _) = parts
    if protocol != _LEGACY_PROTOCOL:
        raise InputError(
            f"has the version {str(protocol)[:40]} of the old torch format; 1001 is read",
            hint="load it with the torch that wrote it, and save it again",
        )
    if isinstance(machine, list) and ("little_endian", False) in machine:
        raise InputError(
            "was written on a machine with another byte order",
            hint="save it again on that machine as safetensors, whose byte order is fixed",
        )
    pieces = _legacy_pieces(file, at, keys, mentioned)

    def find(key: tuple[Any, ...], nbytes: int) -> Piece:
        piece = pieces.get(str(key[2]))
        if piece is None or piece.nbytes < nbytes:
            raise InputError(
                f"needs a storage of {nbytes:,} bytes, which is missing or shorter", hint=COPY_AGAIN
            )
        if len(key) > 5 and key[5] is not None:
            raise InputError(
                "lies in a view of a storage, as torch wrote before 0.4: save it again",
                hint="if you trust it, load it with torch.load and save clones of its tensors",
            )
        return piece

    return flatten(value, TorchObjects(find).understand, entry=entry, limits=limits, stored_bytes=file.length)


def _legacy_pieces(file: PlainFile, at: int, keys: Any, mentioned: list[Persistent]) -> dict[str, Piece]:
    """The storages by key: behind the pickles, each with its number of elements before it."""
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise InputError("has no list of storages: cut short?", hint=COPY_AGAIN)
    widths: dict[str, int] = {}
    for storage in mentioned:
        if isinstance(storage.key, tuple) and len(storage.key) >= 5 and isinstance(storage.key[2], str):
            widths.setdefault(storage.key[2], element_bytes(storage))
    pieces = {}
    for key in keys:
        if key not in widths:
            raise InputError(f"has a storage {key[:100]!r} that no tensor lies in", hint=COPY_AGAIN)
        nbytes = int.from_bytes(file.read(at, 8), "little") * widths[key]
        if at + 8 + nbytes > file.length:
            raise InputError(
                f"has a storage that ends at byte {at + 8 + nbytes:,} of {file.length:,}: cut short?",
                hint=COPY_AGAIN,
            )
        pieces[key] = Piece(file, f"{key}", at + 8, nbytes, nbytes, None)
        at += 8 + nbytes
    return pieces
