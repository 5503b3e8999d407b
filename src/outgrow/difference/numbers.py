"""A chunk of any dtype as numbers: values, order, NaN and infinities."""

__all__ = [
    "E2M1_PAIR",
    "E8M0",
    "INT64_MIN",
    "INTS",
    "Numbers",
    "bits",
    "check_plain",
    "plain",
    "sign_magnitude",
    "steps",
]

from dataclasses import dataclass

import torch
from torch import Tensor

from outgrow.errors import InputError

INT64_MIN = -(2**63)
INTS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""The integers that have so many bytes."""
E8M0 = getattr(torch, "float8_e8m0fnu", None)
E2M1_PAIR = getattr(torch, "float4_e2m1fn_x2", None)
_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A chunk taken apart; all have shape `[elements, parts]`, 2 parts for complex numbers, else 1."""

    ordered: Tensor
    """int64; neighbours in the dtype are neighbours here, both zeros are one (uint64 is shifted by 2**63)."""
    values: Tensor
    """float64."""
    nan: Tensor
    inf: Tensor
    width: int
    """Bits of a part."""
    is_integer: bool

    @classmethod
    def of(cls, plain: Tensor) -> "Numbers":
        """Take apart what `plain` gave."""
        width = 8 * plain.element_size()
        if plain.dtype.is_floating_point and plain.dtype not in (E8M0, E2M1_PAIR):
            values = plain.double()
            bits = plain.view(INTS[plain.element_size()]).long()
            nan, inf = values.isnan(), values.isinf()
            return cls(sign_magnitude(bits, width), values, nan, inf, width, is_integer=False)
        none = torch.zeros(plain.shape, dtype=torch.bool, device=plain.device)
        if plain.dtype == E2M1_PAIR:
            codes = plain.view(torch.uint8).long()
            codes = torch.cat([codes & 15, codes >> 4], dim=1).reshape(-1, 1)
            table = torch.tensor(
                [*_E2M1, *(-value for value in _E2M1)], dtype=torch.float64, device=plain.device
            )
            none = none.repeat_interleave(2, dim=0)
            return cls(
                sign_magnitude(codes - 16 * (codes >> 3), 4), table[codes], none, none, 4, is_integer=False
            )
        if plain.dtype == E8M0:
            values = plain.double()
            return cls(plain.view(torch.uint8).long(), values, values.isnan(), none, 8, is_integer=False)
        if plain.dtype == torch.uint64:
            ordered = plain.view(torch.int64) ^ INT64_MIN
        else:
            ordered = plain.view(torch.uint8).long() if plain.dtype == torch.bool else plain.long()
        return cls(ordered, plain.double(), none, none, width, is_integer=True)


def check_plain(actual: Tensor, expected: Tensor) -> None:
    """Refuse what holds no plain numbers.

    Raises:
        InputError: a tensor is sparse, quantized or on the meta device.
    """
    for side, tensor in (("actual", actual), ("expected", expected)):
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise InputError(
                f"{side} has no plain numbers to compare (sparse, quantized or on the meta device)",
                hint="give to_dense() of a sparse tensor, dequantize() of a quantized one",
            )


def plain(flat: Tensor) -> Tensor:
    """`[elements]` of any dtype as `[elements, parts]` of a real one."""
    flat = flat.resolve_conj().resolve_neg()
    return torch.view_as_real(flat) if flat.is_complex() else flat.unsqueeze(1)


def bits(plain: Tensor) -> Tensor:
    """The patterns of `plain` for comparison, `[elements, parts]`."""
    if plain.dtype == E2M1_PAIR:
        codes = plain.view(torch.uint8)
        return torch.cat([codes & 15, codes >> 4], dim=1).reshape(-1, 1)
    return plain.view(INTS[plain.element_size()])


def sign_magnitude(bits: Tensor, width: int) -> Tensor:
    """Bit patterns of floats, read as signed int64, in the order of the numbers that they mean."""
    return torch.where(bits < 0, -(2 ** (width - 1)) - bits, bits)


def steps(actual: Numbers, expected: Numbers) -> Tensor:
    """How many steps lie between, up to 2**64 - 1, as int64 from `INT64_MIN` on."""
    # The subtraction may wrap around: read without a sign its result is right all the same.
    above, below = (
        torch.maximum(actual.ordered, expected.ordered),
        torch.minimum(actual.ordered, expected.ordered),
    )
    return (above - below) ^ INT64_MIN
