"""Pieces of files that say what is not so."""

import io
import struct
import zipfile
from typing import Any

import numpy as np

from tests.compare.readers.pickle_maker import call, counts, name, number, storage, tensor, text, torch_zip


def safetensors(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes


def npy(header: str, data: bytes = b"") -> bytes:
    raw = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + data


def deep(levels: int, opening: bytes, closing: bytes) -> bytes:
    return opening * levels + number(1) + closing * levels


def laughing(levels: int) -> bytes:
    """A list of ten times a list of ten times ... a tensor, each written once."""
    body = tensor() + b"q\x01"
    for level in range(1, levels):
        body += b"](" + b"h" + bytes([level]) + (b"h" + bytes([level])) * 9 + b"eq" + bytes([level + 1])
    return body


def many_storages(count: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02].")
        for index in range(count):
            file.writestr(f"archive/data/{index}", b"")
    return out.getvalue()


def bomb(nbytes: int) -> bytes:
    return torch_zip(
        tensor((nbytes // 4,), numel=nbytes // 4), storages={"0": bytes(nbytes)}, method=zipfile.ZIP_DEFLATED
    )


def rebuilt(kept: bytes, shape: bytes = counts(4), stride: bytes = counts(1), *more: bytes) -> bytes:
    hooks = call("collections.OrderedDict")
    return call("torch._utils._rebuild_tensor_v2", kept, number(0), shape, stride, b"\x89", hooks, *more)


def kept(key: bytes) -> bytes:
    """A mention of a storage by a key that is no text in the pickle yet."""
    return b"(" + text("storage") + name("torch.FloatStorage") + key + text("cpu") + number(4) + b"tQ"


def flagged(flags: bytes) -> bytes:
    return rebuilt(storage(), counts(4), counts(1), flags)


def array(nbytes: int, data: bytes) -> bytes:
    """A numpy array of bytes as it is pickled."""
    code = call("numpy.dtype", text("u1"), b"\x89", b"\x88")
    begun = name("numpy._core.multiarray._reconstruct") + b"(" + name("numpy.ndarray") + counts(0) + b"C\1btR"
    return begun + b"(" + number(1) + counts(nbytes) + code + b"\x89" + data + b"tb"


def saved(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def zipped(content: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for key, data in content.items():
            file.writestr(key, data)
    return out.getvalue()
