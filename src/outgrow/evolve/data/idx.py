"""IDX files, the form in which MNIST and its relatives are handed on; nothing is believed unchecked."""

__all__ = ["IdxCorrupt", "read_idx"]

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from outgrow.errors import InputError, StoreError, hint_for

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_BYTES = 2**31
_AGAIN = "download the file again"


class IdxCorrupt(StoreError):
    """An IDX file is cut short, too long, or none at all."""


def read_idx(path: Path, *, dims: int | None = None) -> Tensor:
    """One IDX file as a tensor of the file's own dtype; compressed or not, whatever its name says.

    Args:
        path: the file.
        dims: how many dims it must have.

    Raises:
        InputError: there is no such file, or it has another number of dims.
        IdxCorrupt: it is no IDX file, or has more or fewer bytes than its header says.
        StoreError: it cannot be read.
    """
    data = _read(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _DTYPES:
        raise IdxCorrupt(f"{str(path)!r} is not an IDX file: it begins with {data[:4].hex() or 'nothing'}",
                         hint="IDX files begin with 0000, a type and the number of dims")  # fmt: skip
    count = data[3]
    if dims is not None and count != dims:
        raise InputError(
            f"{str(path)!r} has {count} dims, expected {dims}",
            hint="pictures have 3 dims (images-idx3), labels 1 (labels-idx1): are two files exchanged?",
        )
    begin = 4 + 4 * count
    if len(data) < begin:
        raise IdxCorrupt(f"{str(path)!r} ends within its header", hint=_AGAIN)
    shape = [int.from_bytes(data[4 + 4 * dim : 8 + 4 * dim], "big") for dim in range(count)]
    dtype = np.dtype(_DTYPES[data[2]])
    expected = math.prod(shape) * dtype.itemsize
    if len(data) - begin != expected:
        what = "was cut short" if len(data) - begin < expected else "has something behind its data"
        raise IdxCorrupt(
            f"{str(path)!r} {what}: {len(data) - begin:,} bytes of data, {expected:,} by its header {shape}",
            hint=_AGAIN,
        )
    array = np.frombuffer(data, dtype, offset=begin).reshape(shape)
    return torch.from_numpy(array.astype(dtype.newbyteorder("=")))


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise IdxCorrupt(f"{str(path)!r} has {path.stat().st_size:,} bytes", hint=_AGAIN)
        data = path.read_bytes()
        if data[:2] != b"\x1f\x8b":
            return data
        with gzip.open(path) as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError as err:
        raise InputError(f"no such file: {str(path)!r}", hint="see `outgrow evolve run --help`") from err
    except (EOFError, gzip.BadGzipFile, zlib.error) as err:
        raise IdxCorrupt(f"{str(path)!r} cannot be unpacked: {err}", hint=_AGAIN) from err
    except OSError as err:
        raise StoreError(f"cannot read {str(path)!r}: {err.strerror or err}", hint=hint_for(err)) from err
    if len(data) > _MOST_BYTES:
        raise IdxCorrupt(f"{str(path)!r} unpacks to more than {_MOST_BYTES:,} bytes", hint=_AGAIN)
    return data
