"""numpy's dtypes, arrays and scalars, from their descriptions in files; numpy itself unpickles nothing."""

__all__ = ["array_part", "numpy_leaf", "torch_dtype"]

import math
import re
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outgrow.compare.readers.advice import CAST_FIRST, COPY_AGAIN, SAVE_PLAIN
from outgrow.compare.readers.dtypes import known_dtype
from outgrow.compare.readers.files.pickle_machine import Global, Made
from outgrow.compare.readers.tree import Leaf, Part
from outgrow.errors import InputError, StoreError

_CODE = re.compile(r"([<>|=]?)([biufc?])([0-9]{0,2})")
_OTHER = {
    "O": "holds Python objects, which could hold code",
    "S": "holds text",
    "U": "holds text",
    "a": "holds text",
    "M": "holds dates",
    "m": "holds durations",
    "V": "holds raw bytes (a bfloat16 or float8 array of ml_dtypes is saved so): save it as float32",
}
_MAX_DIMS = 64


def torch_dtype(code: Any) -> tuple[torch.dtype, bool]:
    """The dtype of a type string such as `<f4`, and whether its bytes have to be swapped.

    Raises:
        InputError: it is structured, of objects, text or dates, or unknown to torch.
    """
    if not isinstance(code, str):
        raise InputError(
            "has fields of several types (a structured array): save each field as an array", hint=SAVE_PLAIN
        )
    match = _CODE.fullmatch(code)
    if match is None:
        kind = code.lstrip("<>|=")[:1]
        raise InputError(
            _OTHER.get(kind, f"has the dtype {code[:40]!r}, which cannot be compared"),
            hint=CAST_FIRST if kind == "V" else SAVE_PLAIN,
        )
    order, _, _ = match.groups()
    try:
        name = np.dtype(match[2] + match[3]).name
    except TypeError:
        name = code
    dtype = known_dtype(name)
    return dtype, order == ">" and dtype.itemsize > 1


def array_part(data: Any, code: Any, shape: Any, *, is_fortran: bool) -> Part:
    """An array whose bytes are in memory.

    Raises:
        InputError: bytes, dtype and shape do not fit.
    """
    dtype, is_swapped = torch_dtype(code)
    if not isinstance(shape, tuple | list) or len(shape) > _MAX_DIMS:
        raise InputError("has a shape that is no tuple of counts, or too many dims", hint=COPY_AGAIN)
    if not all(type(size) is int and 0 <= size < 2**62 for size in shape):
        raise InputError("has a shape that is no tuple of counts", hint=COPY_AGAIN)
    dims = tuple(shape)
    raw = _raw(data)
    if math.prod(dims) * dtype.itemsize != len(raw):
        raise InputError(f"has {len(raw):,} bytes, which are no {list(dims)} of {dtype}", hint=COPY_AGAIN)

    def read() -> Tensor:
        # Only now: the same bytes may stand in a thousand places of a pickle.
        held = bytearray(raw if isinstance(raw, bytes) else _encoded(raw))
        if not held:
            return torch.empty(dims, dtype=dtype)
        flat = torch.frombuffer(held, dtype=dtype)
        return laid_out(swapped(flat) if is_swapped else flat, dims, is_fortran=is_fortran)

    return Part(dtype, dims, read)


def swapped(flat: Tensor) -> Tensor:
    """A copy with the bytes of each number in the other order."""
    parts = 2 if flat.is_complex() else 1
    width = flat.dtype.itemsize // parts
    return flat.view(torch.uint8).reshape(-1, width).flip(1).reshape(-1).view(flat.dtype)


def laid_out(flat: Tensor, shape: tuple[int, ...], *, is_fortran: bool) -> Tensor:
    """In rows, or where the first index runs fastest."""
    if is_fortran and len(shape) > 1:
        return flat.reshape(shape[::-1]).permute(*reversed(range(len(shape))))
    return flat.reshape(shape)


def _raw(value: Any) -> bytes | str:
    """Bytes in a pickle, or the text of as many characters that protocol 2 has to write for them, by a call
    of `_codecs.encode(text, "latin1")`.

    Raises:
        InputError: it is something else.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, Made) and isinstance(value.by, Global) and isinstance(value.arguments, tuple):
        if value.by.name in ("_codecs.encode", "codecs.encode") and len(value.arguments) == 2:
            text, codec = value.arguments
            if isinstance(text, str) and codec in ("latin1", "latin-1"):
                return text
        if value.by.name in ("builtins.bytes", "builtins.bytearray") and not value.arguments:
            return b""
    raise InputError("has no plain bytes where its numbers should be", hint=COPY_AGAIN)


def _encoded(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as err:
        raise StoreError("a numpy array has bytes that are none: it is damaged", hint=COPY_AGAIN) from err


def numpy_leaf(name: str, made: Made) -> Leaf | None:
    """A numpy array or scalar; None where `name` (what would be called) is nothing of numpy's.

    Raises:
        InputError: it cannot be compared, or is damaged.
    """
    package, _, function = name.rpartition(".")
    if package.partition(".")[0] != "numpy" or not isinstance(made.arguments, tuple):
        return None
    if function == "scalar" and len(made.arguments) == 2:
        return Leaf((array_part(made.arguments[1], _code(made.arguments[0]), (), is_fortran=False),))
    if function == "_reconstruct":
        state = made.state
        if not isinstance(state, tuple) or len(state) != 5:
            raise InputError("is a numpy array without its numbers", hint=COPY_AGAIN)
        _, shape, dtype, is_fortran, data = state
        code = _code(dtype)
        torch_dtype(code)  # says of objects what they are, before their bytes are missed
        return Leaf((array_part(data, code, shape, is_fortran=is_fortran is True),))
    if function == "_frombuffer" and len(made.arguments) == 4:
        data, dtype, shape, order = made.arguments
        return Leaf((array_part(data, _code(dtype), shape, is_fortran=order == "F"),))
    return None


def _code(dtype: Any) -> Any:
    """The type string of a pickled `numpy.dtype`: `f4` with its byte order from the state."""
    if not isinstance(dtype, Made) or not isinstance(dtype.by, Global) or dtype.by.name != "numpy.dtype":
        raise InputError("has a dtype that numpy did not write", hint=COPY_AGAIN)
    code = dtype.arguments[0] if isinstance(dtype.arguments, tuple) and dtype.arguments else None
    state = dtype.state
    if isinstance(state, tuple) and len(state) > 3 and (state[2] is not None or state[3] is not None):
        return None  # a dtype within a dtype, or fields
    if (
        isinstance(code, str)
        and isinstance(state, tuple)
        and len(state) > 1
        and state[1] in ("<", ">", "|", "=")
    ):
        return f"{state[1]}{code}"
    return code
