"""Numbers as somebody typed them, and which numbers of a tensor are meant."""

__all__ = ["TypedNumber", "in_range"]

import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction

import torch
from torch import Tensor

from outgrow.compare.view.gap import moduli
from outgrow.difference.numbers import INT64_MIN
from outgrow.errors import InputError

_MOST_CHARACTERS = 400
_LARGEST_EXPONENT = 400
_WORDS = {"nan": math.nan, "inf": math.inf, "infinity": math.inf, "true": 1.0, "false": 0.0}
# One way alone to read each text: with two, 400 digits and a letter would take minutes.
_REAL = r"[+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|[+-]?nan|[+-]?inf(?:inity)?|true|false"
_FORM = re.compile(rf"(?P<real>{_REAL})?(?:(?P<imaginary>[+-]?(?:{_REAL})?)j)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Real:
    """A number without an imaginary part, and how far another may be from it."""

    exact: Fraction | float
    """A Fraction, or NaN or an infinity."""
    half: Fraction
    """Half a unit of the last digit that was typed; 0 where the number itself is meant."""

    def matches(self, numbers: Tensor) -> Tensor:
        if isinstance(self.exact, float):
            if not numbers.is_floating_point():
                return torch.zeros(numbers.shape, dtype=torch.bool)
            return _wide(numbers).isnan() if math.isnan(self.exact) else _wide(numbers) == self.exact
        found = _between(numbers, self.exact - self.half, self.exact + self.half)
        if numbers.is_floating_point():
            # The shortest text of a number can be farther from it than its last digit says.
            nearest = float(torch.tensor(_nearest(self.exact), dtype=torch.float64).to(numbers.dtype))
            # Not what is beyond the dtype: numbers of 8 bits have a largest or a smallest one in its place.
            is_held = abs(self.exact) <= torch.finfo(numbers.dtype).max and math.isfinite(nearest)
            if is_held and (nearest > 0) == (self.exact > 0) and (nearest < 0) == (self.exact < 0):
                found |= _wide(numbers) == nearest
        return found


@dataclass(frozen=True, slots=True)
class TypedNumber:
    """What a search is for.

    - A text with digits after its point means all numbers that would be written so with as many: `0.12`
      those from 0.115 to 0.125, so that what is typed from a rounded listing is found.
    - A text without a point, or with `.0` alone after it, and a number that is no text, mean the one number
      of the tensor's dtype that is nearest: `1` and `1.0` never find 1.2, nor `0` all that is small.
    - `nan`, `inf`, `-inf`, `true`, `false` mean themselves. In complex tensors both parts have to match; the
      imaginary part is 0 where none is typed.
    """

    real: _Real
    imaginary: _Real

    @classmethod
    def parse(cls, typed: object) -> "TypedNumber":
        """From a text or a number.

        Raises:
            InputError: it is none.
        """
        text = typed.strip() if isinstance(typed, str) else _written(typed)
        inside = text[1:-1] if text.startswith("(") and text.endswith(")") else text
        match = _FORM.fullmatch(inside) if inside and len(inside) <= _MOST_CHARACTERS else None
        if match is None:
            raise _no_number(text)
        is_text = isinstance(typed, str)
        real, imaginary = match["real"], match["imaginary"]
        if imaginary is not None and imaginary in ("", "+", "-"):
            if real is not None and not imaginary:
                return cls(_real("0", is_text=False), _real(real, is_text=is_text))
            imaginary += "1"
        return cls(_real(real or "0", is_text=is_text), _real(imaginary or "0", is_text=is_text))

    def matches(self, numbers: Tensor) -> Tensor:
        """Which of `[elements]` are meant."""
        if numbers.is_complex():
            parts = torch.view_as_real(numbers)
            return self.real.matches(parts[:, 0]) & self.imaginary.matches(parts[:, 1])
        if self.imaginary.exact != 0:
            return torch.zeros(numbers.shape, dtype=torch.bool)
        return self.real.matches(numbers)

    def bound(self, name: str) -> Fraction | float:
        """As the end of a range.

        Raises:
            InputError: it is NaN or has an imaginary part.
        """
        if self.imaginary.exact != 0 or self.real.exact != self.real.exact:
            raise InputError(f"{name} of a range is no real number", hint="give a number, or leave it out")
        return self.real.exact


def in_range(numbers: Tensor, low: Fraction | float, high: Fraction | float) -> Tensor:
    """Which of `[elements]` lie in it, its ends included; of complex numbers the modulus. NaN never does.

    The ends are those of float32, or of float64 for tensors of it: what reads 0.1 is not above 0.1.
    """
    return _between(moduli(numbers) if numbers.is_complex() else numbers, low, high)


def _between(numbers: Tensor, low: Fraction | float, high: Fraction | float) -> Tensor:
    if numbers.is_floating_point():
        values = _wide(numbers)
        ends = [_nearest(low), _nearest(high)]
        if values.dtype == torch.float32:
            ends = torch.tensor(ends, dtype=torch.float64).float().tolist()
        limits = torch.finfo(values.dtype)
        least = limits.smallest_normal * limits.eps
        # A finite end keeps infinities out, also where it is beyond the dtype, and one that is not 0 keeps 0
        # out.
        first = -limits.max if low != -math.inf and ends[0] == -math.inf else ends[0]
        last = limits.max if high != math.inf and ends[1] == math.inf else ends[1]
        first = least if low > 0 and first == 0 else first
        last = -least if high < 0 and last == 0 else last
        return (values >= first) & (values <= last)
    dtype = torch.uint8 if numbers.dtype == torch.bool else numbers.dtype
    about = torch.iinfo(dtype)
    lowest = about.min if low == -math.inf else about.max + 1 if low == math.inf else math.ceil(low)
    highest = about.max if high == math.inf else about.min - 1 if high == -math.inf else math.floor(high)
    lowest, highest = max(lowest, about.min), min(highest, about.max)
    if lowest > highest:
        return torch.zeros(numbers.shape, dtype=torch.bool)
    if dtype == torch.uint64:
        # torch does not compare these; shifted by 2**63 their order is that of int64.
        shifted = numbers.view(torch.int64) ^ INT64_MIN
        return (shifted >= lowest + INT64_MIN) & (shifted <= highest + INT64_MIN)
    whole = numbers.view(torch.uint8).long() if numbers.dtype == torch.bool else numbers.long()
    return (whole >= lowest) & (whole <= highest)


def _wide(numbers: Tensor) -> Tensor:
    return numbers if numbers.dtype == torch.float64 else numbers.float()


def _nearest(number: Fraction | float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _real(text: str, *, is_text: bool) -> _Real:
    word = text.lower().lstrip("+-")
    if word in _WORDS:
        number = -_WORDS[word] if text.startswith("-") else _WORDS[word]
        return _Real(number if not math.isfinite(number) else Fraction(number), Fraction(0))
    try:
        decimal = Decimal(text)
    except InvalidOperation as err:
        raise _no_number(text) from err
    if decimal and abs(decimal.adjusted()) > _LARGEST_EXPONENT:
        raise InputError(f"{text!r} is beyond all numbers of any dtype", hint="give a smaller exponent")
    after = text.lower().partition("e")[0].partition(".")[2]
    if not is_text or after in ("", "0"):
        return _Real(Fraction(decimal), Fraction(0))
    exponent = decimal.as_tuple().exponent
    assert isinstance(exponent, int)  # of NaN and infinities alone it is none
    return _Real(Fraction(decimal), Fraction(10) ** exponent / 2)


def _written(typed: object) -> str:
    if isinstance(typed, bool) or not isinstance(typed, int | float | complex):
        raise _no_number(repr(typed))
    return repr(typed)


def _no_number(text: str) -> InputError:
    shown = text if len(text) <= 40 else text[:37] + "..."
    return InputError(
        f"{shown!r} is no number", hint="type it as Python writes it: 0.12, -1e-3, nan, inf, True, (1+2j)"
    )
