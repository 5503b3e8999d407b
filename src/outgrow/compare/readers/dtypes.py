"""Which dtypes can be compared."""

__all__ = ["DTYPES", "known_dtype"]

from collections.abc import Mapping

import torch

from outgrow.compare.readers.advice import CAST_FIRST
from outgrow.errors import InputError

DTYPES: Mapping[str, torch.dtype] = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float8_e4m3fn": torch.float8_e4m3fn,
    "float8_e5m2": torch.float8_e5m2,
    "float8_e4m3fnuz": torch.float8_e4m3fnuz,
    "float8_e5m2fnuz": torch.float8_e5m2fnuz,
    "float8_e8m0fnu": torch.float8_e8m0fnu,
    "int64": torch.int64,
    "int32": torch.int32,
    "int16": torch.int16,
    "int8": torch.int8,
    "uint64": torch.uint64,
    "uint32": torch.uint32,
    "uint16": torch.uint16,
    "uint8": torch.uint8,
    "bool": torch.bool,
    "complex64": torch.complex64,
    "complex128": torch.complex128,
}
"""What is read, by the name that torch and numpy have for it."""


def known_dtype(name: str) -> torch.dtype:
    """The dtype of that name.

    Raises:
        InputError: it cannot be compared.
    """
    if name not in DTYPES:
        raise InputError(f"has dtype {name!r}, which cannot be compared", hint=CAST_FIRST)
    return DTYPES[name]
