"""All figures of a pair of tensors, in one pass over both."""

__all__ = ["Measures", "SideFigures", "measure"]

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from outgrow.compare.kernel.choice import find_kernel
from outgrow.compare.kernel.compiled import CompiledKernel
from outgrow.compare.kernel.rounding import coarser
from outgrow.compare.kernel.tally import SideTally, Tally, unscaled
from outgrow.compare.kernel.torch_path import torch_tally
from outgrow.compare.sample import SampleFigures, sample, size_around
from outgrow.difference.chunks import chunks, unravel
from outgrow.difference.numbers import E2M1_PAIR, check_plain
from outgrow.errors import InputError

# So much stays in the cache of a core while it is looked at several times.
_CHUNK_ELEMENTS = 2**18
# Tensors in one piece go to the kernel at once, up to here, so that Ctrl-C is heard now and then.
_SPAN_ELEMENTS = 2**28
# A call costs torch half a millisecond. Fewer elements need no compiler, as in first tries and in tests.
_LEAST_FOR_KERNEL = 2**10
# A thread does so many in a few milliseconds. Whole recordings are measured several pairs at a time.
_ELEMENTS_A_THREAD = 2**23
_PARTS = {torch.complex32: torch.float16, torch.complex64: torch.float32, torch.complex128: torch.float64}


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFigures:
    """Of one side alone, over its finite elements, in float64; None where there are none."""

    mean: float | None
    std: float | None
    """With `n` below, not `n - 1`."""
    minimum: float | None
    maximum: float | None
    nan: int
    inf: int
    first_nan: tuple[int, ...] | None
    """Index of the first NaN in row-major order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """How far `actual` is from `expected`. Distances are of the exact values in float64."""

    shape: tuple[int, ...]
    expected_dtype: torch.dtype
    actual_dtype: torch.dtype
    elements: int
    mismatched: int
    """Elements that are not equal numbers; NaN against NaN is equal, NaN against a number is not."""
    outside: int
    """Elements beyond `atol + rtol * |expected|`; equal to `mismatched` where no tolerance was given."""
    max_abs: float
    """The largest distance; infinite where NaN or an infinity stands against something else."""
    max_abs_index: tuple[int, ...] | None
    relative_error: float
    """Relative Frobenius error: the norm of the distances over that of `expected`, over elements that are
    finite on both sides; infinite where `expected` is 0 and `actual` is not, or where `max_abs` is."""
    mse: float
    """Mean of the squared distances over elements that are finite on both sides."""
    max_ulp: int
    """In the coarser dtype, to which the other side is rounded first; as `Difference.max_ulp`."""
    cosine: float | None
    """Over elements that are finite on both sides; None where one side is all zero and the other is not; 1.0
    where both are zero or empty."""
    scale: float | None
    """The factor `f` that makes `f * expected` closest to `actual` (least squares); None where undefined."""
    finite_relative_error: float
    """As `relative_error`, but finite also where NaN and infinities stand against numbers: those are left
    out."""
    distance_exponents: Mapping[int, int]
    """How many finite distances that are not 0 lie in `[2**e, 2**(e + 1))`, by `e`: whether few elements are
    far off, or all a little."""
    expected: SideFigures
    actual: SideFigures
    expected_at_max: float | None = None
    """What is expected where the distance is largest; the modulus of a complex number."""
    size_at_max: float | None = None
    """How large numbers are there: `expected_at_max` without its sign, plus the largest root mean square of
    its row, its channel and so on."""
    sample: SampleFigures | None = None

    @property
    def is_equal(self) -> bool:
        """Whether all numbers are equal, NaN standing only against NaN."""
        return self.mismatched == 0


def measure(actual: Tensor, expected: Tensor, *, rtol: float = 0.0, atol: float = 0.0) -> Measures:
    """Compare two tensors of one shape and any dtypes in one pass and constant memory.

    The dtypes may differ. Tensors on an accelerator are fetched to the CPU piece by piece. The figures do not
    depend on the number of threads.

    Raises:
        InputError: the shapes differ, a tensor holds no plain numbers (sparse, quantized, meta), 4-bit
            numbers stand against another dtype, or a tolerance is negative or NaN.
    """
    _check(actual, expected, rtol, atol)
    tally = Tally()
    kernel = None
    if actual.numel() >= _LEAST_FOR_KERNEL and CompiledKernel.takes(actual.dtype, expected.dtype):
        kernel = find_kernel()
    is_in_place = all(side.is_contiguous() and side.device.type == "cpu" for side in (actual, expected))
    size = _SPAN_ELEMENTS if kernel and is_in_place else _CHUNK_ELEMENTS
    for one, other in chunks(actual.detach(), expected.detach(), size):
        tally.add(_tally(kernel, one.cpu(), other.cpu(), start=tally.elements, rtol=rtol, atol=atol))
    return _measures(tally, actual, expected, kernel if is_in_place else None)


def _tally(
    kernel: CompiledKernel | None, actual: Tensor, expected: Tensor, *, start: int, rtol: float, atol: float
) -> Tally:
    """Sums over a part: by the kernel where it can, else by torch, in chunks."""
    if kernel:
        actual, expected = actual.resolve_neg().contiguous(), expected.resolve_neg().contiguous()
        if _is_aligned(actual) and _is_aligned(expected):
            threads = min(torch.get_num_threads(), 1 + actual.numel() // _ELEMENTS_A_THREAD)
            found = kernel.tally(actual, expected, start=start, rtol=rtol, atol=atol, threads=threads)
            if found is not None:
                return found
    tally = Tally()
    for one, other in chunks(actual, expected, _CHUNK_ELEMENTS):
        tally.add(torch_tally(one, other, start=start + tally.elements, rtol=rtol, atol=atol))
    return tally


def _is_aligned(tensor: Tensor) -> bool:
    return tensor.data_ptr() % tensor.element_size() == 0


def _check(actual: Tensor, expected: Tensor, rtol: float, atol: float) -> None:
    check_plain(actual, expected)
    if actual.dtype != expected.dtype and E2M1_PAIR in (actual.dtype, expected.dtype):
        raise InputError(
            f"cannot compare {actual.dtype} with {expected.dtype}",
            hint="torch keeps 4-bit numbers in pairs; unpack them to a float dtype first",
        )
    if actual.shape != expected.shape:
        raise InputError(
            f"cannot compare shape {tuple(actual.shape)} with {tuple(expected.shape)}",
            hint="lay one of them out as the other first",
        )
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if not tolerance >= 0:
            raise InputError(
                f"{name} must not be negative, but is {tolerance}", hint=f"give {name}=0.0 for none"
            )


@dataclass(slots=True)
class _Few:
    """What is looked up after the sums."""

    sample: SampleFigures | None = None
    expected_at_max: float | None = None
    size_at_max: float | None = None

    @classmethod
    def of(
        cls,
        actual: Tensor,
        expected: Tensor,
        tally: Tally,
        place: tuple[int, ...] | None,
        kernel: CompiledKernel | None,
    ) -> "_Few":
        if not tally.mismatched or actual.dtype == E2M1_PAIR:
            return cls()
        if kernel and not any(side.is_neg() or not _is_aligned(side) for side in (actual, expected)):
            figures, number, size = kernel.sample(actual, expected, tally.max_abs_at)
            own = abs(number)
            return cls(figures, number, own + size if math.isfinite(own) else math.nan)
        few = cls(sample(actual, expected))
        if place is not None:
            few.expected_at_max = _number_at(expected, place)
            few.size_at_max = size_around(expected, place)
        return few


def _measures(tally: Tally, actual: Tensor, expected: Tensor, kernel: CompiledKernel | None) -> Measures:
    shape = tuple(actual.shape)
    if actual.dtype == E2M1_PAIR:
        shape = (*shape[:-1], 2 * shape[-1]) if shape else (2,)
    relative = _relative(tally)
    cosine, scale = _direction(tally)
    parts = 2 if actual.is_complex() or expected.is_complex() else 1
    place = unravel(tally.max_abs_at, shape)
    few = _Few.of(actual, expected, tally, place, kernel)
    return Measures(
        shape=shape,
        expected_dtype=expected.dtype,
        actual_dtype=actual.dtype,
        elements=tally.elements,
        mismatched=tally.mismatched,
        outside=tally.outside,
        max_abs=tally.max_abs,
        max_abs_index=place,
        relative_error=math.inf if math.isinf(tally.max_abs) else relative,
        mse=unscaled(tally.squares * parts / tally.finite, 2 * tally.power) if tally.finite else 0.0,
        max_ulp=2 ** _ulp_bits(actual.dtype, expected.dtype) if tally.nan_apart else tally.max_ulp,
        cosine=cosine,
        scale=scale,
        finite_relative_error=relative,
        distance_exponents=MappingProxyType(dict(sorted(tally.exponents.items()))),
        expected=_side_figures(tally.expected, shape),
        actual=_side_figures(tally.actual, shape),
        expected_at_max=few.expected_at_max,
        size_at_max=few.size_at_max,
        sample=few.sample,
    )


def _number_at(tensor: Tensor, index: tuple[int, ...]) -> float:
    number = tensor[index]
    return float(number.abs() if tensor.is_complex() else number)


def _relative(tally: Tally) -> float:
    if not tally.squares:
        return 0.0
    if not tally.expected_squares:
        return math.inf
    # Roots first: the quotient of the squares could leave float64.
    ratio = math.sqrt(tally.squares) / math.sqrt(tally.expected_squares)
    return unscaled(ratio, tally.power - tally.expected_power)


def _direction(tally: Tally) -> tuple[float | None, float | None]:
    """Cosine and scale."""
    if not tally.actual_squares and not tally.expected_squares:
        return 1.0, None
    if not tally.squares:
        return 1.0, 1.0
    if not tally.expected_squares:
        return None, None
    size, expected_size = math.sqrt(tally.actual_squares), math.sqrt(tally.expected_squares)
    along = tally.products / expected_size
    scale = unscaled(along / expected_size, tally.actual_power - tally.expected_power)
    if not size:
        return None, scale
    cosine = along / size
    return max(-1.0, min(1.0, cosine)), scale


def _side_figures(side: SideTally, shape: tuple[int, ...]) -> SideFigures:
    mean: float | None = None
    std: float | None = None
    if side.finite:
        # Of a constant the exact figures, not those with the rounding of a sum.
        is_constant = side.minimum == side.maximum
        mean = min(max(unscaled(side.mean, side.power), side.minimum), side.maximum)
        std = 0.0 if is_constant else unscaled(math.sqrt(side.squares / side.finite), side.power)
    return SideFigures(
        mean=mean,
        std=std,
        minimum=side.minimum if side.finite else None,
        maximum=side.maximum if side.finite else None,
        nan=side.nan,
        inf=side.inf,
        first_nan=unravel(side.first_nan, shape),
    )


def _ulp_bits(actual: torch.dtype, expected: torch.dtype) -> int:
    """Of a number of the dtype that steps are counted in."""
    if actual == expected == E2M1_PAIR:
        return 4
    dtype = coarser(*(_PARTS.get(side, side) for side in (actual, expected)))
    return 8 * (dtype or expected).itemsize
