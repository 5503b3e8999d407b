"""`.npy` and `.npz`: numpy's arrays. Arrays of Python objects are pickles, and refused."""

__all__ = ["NumpyArchives", "NumpyFiles"]

import ast
import math
import struct
from pathlib import Path
from typing import Any

from torch import Tensor

from outgrow.capture.recording import Refusal
from outgrow.compare.readers.advice import COPY_AGAIN
from outgrow.compare.readers.file_reader import FileContent, FoundTensor
from outgrow.compare.readers.files.numpy_objects import laid_out, swapped, torch_dtype
from outgrow.compare.readers.files.piece import Piece, pieces_of_zip
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.plain_file import PlainFile
from outgrow.errors import InputError, OutgrowError

_MAGIC = b"\x93NUMPY"
# As numpy's own limit: what is longer is no array of numbers.
_MAX_HEADER_BYTES = 10_000
_MAX_DIMS = 64


class NumpyFiles:
    """The `FileReader` of single arrays."""

    def read(
        self, path: Path, entry: str, limits: Limits, region: tuple[int, int] | None = None
    ) -> FileContent:
        """As `FileReader.read`."""
        file = PlainFile.of(path, region, entry)
        if not file.length:
            raise InputError("is empty", hint=COPY_AGAIN)
        piece = Piece(file, entry, 0, file.length, file.length, None)
        return FileContent(records=(_array(piece, ""),))


class NumpyArchives:
    """The `FileReader` of several arrays in a zip file; those that are stored plainly are mapped."""

    def read(
        self, path: Path, entry: str, limits: Limits, region: tuple[int, int] | None = None
    ) -> FileContent:
        """As `FileReader.read`."""
        file = PlainFile.of(path, region, entry)
        if not file.length:
            raise InputError("is empty", hint=COPY_AGAIN)
        pieces, refused = pieces_of_zip(file, entry, limits)
        records = []
        for name, piece in pieces.items():
            try:
                if not name.endswith(".npy"):
                    raise InputError(
                        "is not an array of numpy's: its name does not end in '.npy'",
                        hint="numpy.savez writes such archives",
                    )
                records.append(_array(piece, name.removesuffix(".npy")))
            except OutgrowError as err:
                refused.append(Refusal(entry=f"{entry}/{name}", reason=err.message, hint=err.hint))
        return FileContent(records=tuple(records), refused=tuple(refused))


def _array(piece: Piece, inner: str) -> FoundTensor:
    code, shape, is_fortran, start = _header(piece)
    dtype, is_swapped = torch_dtype(code)
    count = math.prod(shape)
    if len(shape) > _MAX_DIMS or start + count * dtype.itemsize != piece.nbytes:
        raise InputError(
            f"has {piece.nbytes:,} bytes and should have {start + count * dtype.itemsize:,}: "
            "cut short, or a lie",
            hint=COPY_AGAIN,
        )

    def read() -> Tensor:
        flat = piece.tensor(start, dtype, (count,))
        return laid_out(swapped(flat) if is_swapped else flat, shape, is_fortran=is_fortran)

    return FoundTensor(inner=inner, dtype=dtype, shape=shape, read=read, is_unpacked=piece.crc is not None)


def _header(piece: Piece) -> tuple[Any, tuple[int, ...], bool, int]:
    """Type string, shape, whether the first index runs fastest, and where the numbers begin."""
    first = bytes(piece.start(12))
    if first[:6] != _MAGIC or len(first) < 12:
        raise InputError("is not a file of numpy's: it does not begin with its mark", hint=COPY_AGAIN)
    version = first[6]
    if version == 1:
        begin, length = 10, struct.unpack("<H", first[8:10])[0]
    elif version in (2, 3):
        begin, length = 12, struct.unpack("<I", first[8:12])[0]
    else:
        raise InputError(
            f"is of version {version} of numpy's format; 1 to 3 are read",
            hint="save it again with a numpy that writes one of these",
        )
    if length > _MAX_HEADER_BYTES or begin + length > piece.nbytes:
        raise InputError(
            f"has a header of {length:,} bytes: cut short, a lie, or of many fields", hint=COPY_AGAIN
        )
    raw = bytes(piece.start(begin + length)[begin:])
    try:
        # Literals alone: no name is looked up and nothing is called.
        content = ast.literal_eval(raw.decode("utf-8" if version == 3 else "latin-1").strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as err:
        raise InputError("has a header that cannot be understood", hint=COPY_AGAIN) from err
    if not isinstance(content, dict) or set(content) != {"descr", "fortran_order", "shape"}:
        raise InputError("has a header without type, order and shape", hint=COPY_AGAIN)
    shape = content["shape"]
    if not isinstance(shape, tuple) or not all(type(size) is int and 0 <= size < 2**62 for size in shape):
        raise InputError("has a shape that is no tuple of counts", hint=COPY_AGAIN)
    if type(content["fortran_order"]) is not bool:
        raise InputError("has an order that is neither rows nor columns", hint=COPY_AGAIN)
    return content["descr"], shape, content["fortran_order"], begin + length
