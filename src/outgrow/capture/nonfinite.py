"""How many NaN and infinities there are among the bits of a tensor, at the speed of memory."""

__all__ = ["count_nonfinite"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

# What the processor's nearest caches hold beside the input: twice as fast as with a quarter of it.
_CHUNK = 16_384


@dataclass(frozen=True, slots=True)
class _Bits:
    """How a dtype writes NaN and infinity."""

    integer: Any
    """The integers of numpy with as many bits."""
    magnitude: int
    """All bits but the sign."""
    infinity: int | None
    """Magnitude of infinity, where there is one: above it all is NaN."""
    nan: int | None = None
    """The one pattern of NaN, where there is no infinity."""


_BITS: Mapping[torch.dtype, _Bits] = {
    torch.float64: _Bits(np.int64, 0x7FFF_FFFF_FFFF_FFFF, 0x7FF0_0000_0000_0000),
    torch.float32: _Bits(np.int32, 0x7FFF_FFFF, 0x7F80_0000),
    torch.float16: _Bits(np.int16, 0x7FFF, 0x7C00),
    torch.bfloat16: _Bits(np.int16, 0x7FFF, 0x7F80),
    torch.float8_e5m2: _Bits(np.uint8, 0x7F, 0x7C),
    torch.float8_e4m3fn: _Bits(np.uint8, 0x7F, None, 0x7F),
    torch.float8_e4m3fnuz: _Bits(np.uint8, 0xFF, None, 0x80),
    torch.float8_e5m2fnuz: _Bits(np.uint8, 0xFF, None, 0x80),
    torch.float8_e8m0fnu: _Bits(np.uint8, 0xFF, None, 0xFF),
}
_PARTS = {torch.complex128: torch.float64, torch.complex64: torch.float32, torch.complex32: torch.float16}


def count_nonfinite(data: memoryview, dtype: torch.dtype) -> tuple[int, int]:
    """NaN and infinities in a tensor's bytes; both are 0 for dtypes that have none.

    A complex number is NaN where a part is, and infinite where a part is.
    """
    width = 2 if dtype in _PARTS else 1
    bits = _BITS.get(_PARTS.get(dtype, dtype))
    if bits is None or not data.nbytes:
        return 0, 0
    values = np.frombuffer(data, dtype=bits.integer)
    buffer = np.empty(_CHUNK, dtype=bits.integer)
    nan = infinite = 0
    for start in range(0, values.size, _CHUNK):
        part = values[start : start + _CHUNK]
        magnitudes = np.bitwise_and(part, bits.magnitude, out=buffer[: part.size])
        if bits.nan is not None:
            nan += int(np.count_nonzero(magnitudes == bits.nan))
        # Nearly always all are finite, and one look says so.
        elif bits.infinity is not None and magnitudes.max() >= bits.infinity:
            numbers = magnitudes.reshape(-1, width)
            nan += int(np.count_nonzero((numbers > bits.infinity).any(axis=1)))
            infinite += int(np.count_nonzero((numbers == bits.infinity).any(axis=1)))
    return nan, infinite
