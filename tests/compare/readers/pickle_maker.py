"""Pickles and torch files put together by hand, honest or not."""

import io
import struct
import zipfile
from pathlib import Path

from outgrow.compare.readers.files.torch_files import _LEGACY


def text(value: str) -> bytes:
    """A str."""
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    """An int of any size."""
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def name(full: str) -> bytes:
    """A global."""
    module, _, function = full.rpartition(".")
    return f"c{module}\n{function}\n".encode()


def call(function: str, *arguments: bytes) -> bytes:
    """A call of a global."""
    return name(function) + b"(" + b"".join(arguments) + b"tR"


def counts(*values: int) -> bytes:
    """A tuple of ints."""
    return b"(" + b"".join(number(value) for value in values) + b"t"


def storage(key: str = "0", numel: int = 4, kind: str = "torch.FloatStorage") -> bytes:
    """A mention of a storage."""
    return b"(" + text("storage") + name(kind) + text(key) + text("cpu") + number(numel) + b"tQ"


def tensor(
    shape: tuple[int, ...] = (4,),
    stride: tuple[int, ...] = (1,),
    *,
    offset: int = 0,
    numel: int = 4,
    key: str = "0",
) -> bytes:
    """A float32 tensor in a storage."""
    hooks = call("collections.OrderedDict")
    return call(
        "torch._utils._rebuild_tensor_v2",
        storage(key, numel), number(offset), counts(*shape), counts(*stride), b"\x89", hooks,
    )  # fmt: skip


def dict_of(**items: bytes) -> bytes:
    """A dict."""
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def torch_zip(
    body: bytes, *, storages: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED
) -> bytes:
    """A torch file around a pickle without its first and last instruction."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        file.writestr("archive/data.pkl", b"\x80\x02" + body + b".")
        file.writestr("archive/version", "3\n")
        for key, data in (storages if storages is not None else {"0": bytes(16)}).items():
            file.writestr(f"archive/data/{key}", data)
    return out.getvalue()


def torch_legacy(body: bytes, *, keys: bytes = b"]", rest: bytes = b"") -> bytes:
    """The same in the format from before torch 1.6."""
    machine = dict_of(little_endian=b"\x88")
    parts = [b"\x80\x02" + part + b"." for part in (b"M\xe9\x03", machine, body, keys)]
    return _LEGACY + b"".join(parts) + rest


def write(path: Path, data: bytes) -> Path:
    """A file of these bytes."""
    path.write_bytes(data)
    return path
