"""Arguments of ops as JSON, exactly: floats by their bits, and nothing that could run code on the other
side."""

__all__ = ["check_op_name", "decode_arguments", "decode_meta", "encode_arguments", "encode_meta"]

import re
import struct
from typing import Any

import torch

from outgrow.errors import InputError
from outgrow.shard.instructions import FLOAT, INPUT, Marker, TensorMeta
from outgrow.shard.wire.frame import ProtocolError

_NAMESPACES = ("aten", "prims", "outgrow", "torchvision")
_OP_NAME = re.compile(rf"(?:{'|'.join(_NAMESPACES)})\.[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?")
# They read or write files of the machine that they run on.
_REFUSED_OPS = ("aten.from_file",)
_DEEPEST = 16
_LONGEST_TEXT = 1 << 16
_DTYPES = {
    str(value).removeprefix("torch."): value
    for value in vars(torch).values()
    if isinstance(value, torch.dtype)
}
_FORMATS = {str(value).removeprefix("torch."): value for value in (
    torch.contiguous_format, torch.preserve_format, torch.channels_last, torch.channels_last_3d,
)}  # fmt: skip
_LAYOUTS = {str(value).removeprefix("torch."): value for value in (
    torch.strided, torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc,
)}  # fmt: skip


def check_op_name(name: Any) -> str:
    """The name, where it is one of an op that clients may run: `aten.add.Tensor`, `outgrow.read_view`.

    Raises:
        ProtocolError: it is not.
    """
    if not isinstance(name, str) or not _OP_NAME.fullmatch(name) or name.startswith(_REFUSED_OPS):
        raise ProtocolError(
            f"the op {name!r} is none that workers run",
            hint=f"ops of {', '.join(_NAMESPACES)} are run, except those that read files",
        )
    return name


def encode_arguments(value: Any) -> Any:
    """What JSON can hold of an argument; tuples come back as tuples, lists as lists, a device as None.

    Raises:
        InputError: the value is of a kind that workers cannot be given, for example a generator.
    """
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is tuple or isinstance(value, torch.Size):
        return [encode_arguments(one) for one in value]
    if kind is list:
        return {"list": [encode_arguments(one) for one in value]}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Marker):
        return {"hole": value.value}
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            raise InputError(f"{value} does not fit 64 bits", hint="no op of torch takes such a number")
        return int(value)
    if isinstance(value, float):
        return {"float": _bits(value)}
    if isinstance(value, complex):
        return {"complex": [_bits(value.real), _bits(value.imag)]}
    return _encode_torch(value)


def _encode_torch(value: Any) -> Any:
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, torch.memory_format):
        return {"format": str(value).removeprefix("torch.")}
    if isinstance(value, torch.layout):
        return {"layout": str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return None
    raise InputError(
        f"workers cannot be given an argument of type {type(value).__name__}: {value!r:.200}",
        hint="numbers, texts, dtypes, layouts and memory formats can be sent, nested in lists and tuples",
    )


def decode_arguments(value: Any, depth: int = 0) -> Any:
    """What `encode_arguments` was given.

    Raises:
        ProtocolError: the JSON is none that it writes.
    """
    if depth > _DEEPEST:
        raise ProtocolError(f"arguments are nested more than {_DEEPEST} deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, list):
        return tuple(decode_arguments(one, depth + 1) for one in value)
    if isinstance(value, str):
        if len(value) > _LONGEST_TEXT:
            raise ProtocolError(f"a text of {len(value):,} characters is longer than any argument")
        return value
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            raise ProtocolError(f"{value} does not fit 64 bits")
        return value
    if isinstance(value, dict) and len(value) == 1:
        ((tag, content),) = value.items()
        decode = _TAGS.get(tag)
        if decode is not None:
            try:
                return decode(content, depth + 1)
            except (LookupError, TypeError, ValueError, struct.error) as err:
                raise ProtocolError(f"{str(value)[:200]} is no argument") from err
    raise ProtocolError(f"{str(value)[:200]} is no argument")


def _bits(value: float) -> str:
    return struct.pack(">d", value).hex()


def _float(text: Any) -> float:
    number: float = struct.unpack(">d", bytes.fromhex(text))[0]
    return number


_TAGS: dict[str, Any] = {
    "list": lambda content, depth: list(decode_arguments(list(content), depth)),
    "hole": lambda content, depth: {"input": INPUT, "float": FLOAT}[content],
    "float": lambda content, depth: _float(content),
    "complex": lambda content, depth: complex(_float(content[0]), _float(content[1])),
    "dtype": lambda content, depth: _DTYPES[content],
    "format": lambda content, depth: _FORMATS[content],
    "layout": lambda content, depth: _LAYOUTS[content],
}


def encode_meta(meta: TensorMeta) -> list[Any]:
    """`[shape, stride, dtype]`."""
    return [list(meta.shape), list(meta.stride), str(meta.dtype).removeprefix("torch.")]


def decode_meta(value: Any) -> TensorMeta:
    """What `encode_meta` was given.

    Raises:
        ProtocolError: it was given nothing that gives this.
    """
    try:
        shape, stride, dtype = value
        meta = TensorMeta(_sizes(shape), _sizes(stride), _DTYPES[dtype])
    except (KeyError, TypeError, ValueError) as err:
        raise ProtocolError(f"{str(value)[:200]} does not describe a tensor") from err
    if len(meta.shape) != len(meta.stride) or len(meta.shape) > 64 or meta.nbytes >= 1 << 62:
        raise ProtocolError(f"{str(value)[:200]} does not describe a tensor")
    return meta


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(one) is int and 0 <= one < 1 << 62 for one in value):
        raise ValueError("not sizes")
    return tuple(value)
