"""How far two tensors of one shape and dtype are apart: the one arithmetic that every room trusts.

What counts as a difference:

- *Identical* means equal bits. So `-0.0` and `0.0` are not identical, nor are two NaN with other payloads,
  although no distance lies between them (`max_abs` and `max_ulp` are 0, `is_equal` holds).
- NaN against a number is an infinite difference, so that no tolerance lets it pass. NaN against NaN is none.
- Equal infinities are no difference; an infinity against anything else is an infinite one.
"""

__all__ = ["Difference", "difference"]

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from outgrow.difference.chunks import chunks, unravel
from outgrow.difference.numbers import E2M1_PAIR, INT64_MIN, Numbers, bits, check_plain, plain, steps
from outgrow.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What `difference` found."""

    shape: tuple[int, ...]
    """The shape of both; 4-bit numbers, which torch keeps in pairs, are counted one by one."""
    dtype: torch.dtype
    """The dtype of both."""
    mismatched: int
    """How many elements have unequal bits."""
    first_mismatch: tuple[int, ...] | None
    """The index of the first of them in row-major order."""
    max_abs: float
    """The largest `|actual - expected|`: an exact `int` for integers, else computed in float64; infinite
    where NaN or an infinity stands against something else. Of complex numbers the modulus."""
    max_abs_index: tuple[int, ...] | None
    """Where that is, the first in row-major order; None where `max_abs` is 0."""
    relative_frobenius: float
    """The norm of `actual - expected` divided by that of `expected`, in float64. NaN and infinities that
    stand on both sides are left out of both norms. Infinite where `max_abs` is, or where `expected` is 0 and
    `actual` is not."""
    max_ulp: int
    """How many steps from one number of the dtype to the next the two are apart at most; both zeros are one
    number, the step past the largest number is infinity. NaN against a number counts as `2 ** bits`, more
    than any two numbers are apart. For integers and bool the distance itself, for complex numbers the larger
    of both parts."""
    nan_mismatched: int
    """How many elements are NaN on one side alone."""
    actual_nan: int
    """How many elements of `actual` are NaN; a complex one is where a part is."""
    expected_nan: int
    """How many elements of `expected` are NaN."""
    actual_inf: int
    """How many elements of `actual` are infinite; a complex one is where a part is."""
    expected_inf: int
    """How many elements of `expected` are infinite."""

    @property
    def elements(self) -> int:
        """How many elements were compared."""
        return math.prod(self.shape)

    @property
    def is_identical(self) -> bool:
        """Whether all bits are equal."""
        return self.mismatched == 0

    @property
    def is_equal(self) -> bool:
        """Whether all numbers are equal, NaN standing against NaN only; the signs of zeros do not matter."""
        return self.max_abs == 0


def difference(actual: Tensor, expected: Tensor, *, chunk_elements: int = 2**20) -> Difference:
    """Compare two tensors of one shape (any) and dtype (any), `chunk_elements` at a time.

    The memory used does not grow with the tensors, also where they are not contiguous. They may lie on
    different devices: the work is done on that of `actual` if it is a CUDA device, else on the CPU. Neither
    is changed.

    Raises:
        InputError: the shapes or dtypes differ, a tensor holds no plain numbers (sparse, quantized, meta), or
            `chunk_elements` is not positive.
    """
    _check(actual, expected, chunk_elements)
    device = actual.device if actual.device.type == "cuda" else torch.device("cpu")
    tally = _Tally()
    for part_actual, part_expected in chunks(actual.detach(), expected.detach(), chunk_elements):
        tally.add(plain(part_actual.to(device)), plain(part_expected.to(device)))
    shape = tuple(actual.shape)
    if actual.dtype == E2M1_PAIR:
        shape = (*shape[:-1], 2 * shape[-1]) if shape else (2,)
    return Difference(
        shape=shape,
        dtype=actual.dtype,
        mismatched=tally.mismatched,
        first_mismatch=unravel(tally.first_mismatch, shape),
        max_abs=tally.max_abs,
        max_abs_index=unravel(tally.max_abs_at, shape),
        relative_frobenius=tally.relative_frobenius(),
        max_ulp=tally.max_ulp,
        nan_mismatched=tally.nan_mismatched,
        actual_nan=tally.nan[0],
        expected_nan=tally.nan[1],
        actual_inf=tally.inf[0],
        expected_inf=tally.inf[1],
    )


def _check(actual: Tensor, expected: Tensor, chunk_elements: int) -> None:
    if actual.shape != expected.shape:
        raise InputError(
            f"cannot compare shape {tuple(actual.shape)} with {tuple(expected.shape)}",
            hint="give two tensors of one shape: a difference is taken element by element",
        )
    if actual.dtype != expected.dtype:
        raise InputError(
            f"cannot compare {actual.dtype} with {expected.dtype}", hint="cast one of the two on purpose"
        )
    check_plain(actual, expected)
    if chunk_elements < 1:
        raise InputError(
            f"chunk_elements must be positive, not {chunk_elements}",
            hint="leave it out for the usual size of chunks",
        )


@dataclass(slots=True)
class _Norm:
    """A Euclidean norm that neither overflows nor underflows: `scale * sqrt(total)`, as BLAS does it."""

    scale: float = 0.0
    total: float = 0.0

    def add(self, magnitudes: Tensor) -> None:
        largest = float(magnitudes.max())
        if largest == 0 or math.isinf(self.scale):
            return
        if math.isinf(largest):
            self.scale = math.inf
            return
        own = float((magnitudes / largest).square().sum())
        if largest > self.scale:
            self.total = own + self.total * (self.scale / largest) ** 2
            self.scale = largest
        else:
            self.total += own * (largest / self.scale) ** 2


class _Tally:
    """The sums over the chunks so far."""

    def __init__(self) -> None:
        self.mismatched = 0
        self.first_mismatch: int | None = None
        self.max_abs = 0.0
        self.max_abs_at: int | None = None
        self.max_ulp = 0
        self.nan_mismatched = 0
        self.nan = [0, 0]
        self.inf = [0, 0]
        self._done = 0
        self._of_difference = _Norm()
        self._of_expected = _Norm()

    def relative_frobenius(self) -> float:
        above, below = self._of_difference, self._of_expected
        if above.scale == 0:
            return 0.0
        if math.isinf(above.scale) or below.scale == 0:
            return math.inf
        # The scales are divided first: their squares or products could leave the range of float64.
        return above.scale / below.scale * math.sqrt(above.total / below.total)

    def add(self, plain_actual: Tensor, plain_expected: Tensor) -> None:
        """Take in the next chunk: both sides as `plain` gives them."""
        expected = Numbers.of(plain_expected)
        is_identical = torch.equal(bits(plain_actual), bits(plain_expected))
        actual = expected if is_identical else Numbers.of(plain_actual)
        for side, numbers in enumerate((actual, expected)):
            self.nan[side] += int(numbers.nan.any(dim=1).sum())
            self.inf[side] += int(numbers.inf.any(dim=1).sum())
        self._of_expected.add(expected.values.abs().masked_fill_(expected.nan | expected.inf, 0.0))
        if not is_identical:
            self._add_mismatches(bits(plain_actual) != bits(plain_expected))
            self._add_steps(actual, expected)
            self._add_distances(actual, expected)
        self._done += expected.values.shape[0]

    def _add_mismatches(self, unequal: Tensor) -> None:
        unequal = unequal.any(dim=1)
        self.mismatched += int(unequal.sum())
        if self.first_mismatch is None:
            self.first_mismatch = self._done + int(unequal.byte().argmax())

    def _add_steps(self, actual: Numbers, expected: Numbers) -> None:
        self.nan_mismatched += int((actual.nan.any(dim=1) != expected.nan.any(dim=1)).sum())
        if bool((actual.nan != expected.nan).any()):
            self.max_ulp = 2**expected.width
        else:
            apart = steps(actual, expected).masked_fill_(expected.nan, INT64_MIN)
            self.max_ulp = max(self.max_ulp, int(apart.max()) - INT64_MIN)

    def _add_distances(self, actual: Numbers, expected: Numbers) -> None:
        if actual.is_integer:
            # float64 cannot hold the distance of two large integers, the steps can.
            apart = steps(actual, expected)
            at = int(apart[:, 0].argmax())
            largest: float = int(apart[at, 0]) - INT64_MIN
            unsigned = (apart ^ INT64_MIN).double()
            distances = torch.where(unsigned < 0, unsigned + 2.0**64, unsigned)
        else:
            distances = (actual.values - expected.values).abs()
            distances.masked_fill_((actual.values == expected.values) | (actual.nan & expected.nan), 0.0)
            distances.masked_fill_(actual.nan != expected.nan, math.inf)
            moduli = distances[:, 0] if distances.shape[1] == 1 else distances[:, 0].hypot(distances[:, 1])
            at = int(moduli.argmax())
            largest = float(moduli[at])
        self._of_difference.add(distances)
        if largest > self.max_abs:
            self.max_abs, self.max_abs_at = largest, self._done + at
