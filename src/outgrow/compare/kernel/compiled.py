"""The compiled kernel, called: the same sums as torch's, several times faster."""

__all__ = ["CompiledKernel"]

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from outgrow.compare.kernel.build import KernelUnavailable
from outgrow.compare.kernel.tally import SideTally, Tally
from outgrow.compare.sample import SampleFigures

KINDS: Mapping[torch.dtype, int] = {
    torch.float32: 0,
    torch.bfloat16: 1,
    torch.float16: 2,
    torch.float64: 3,
}
"""What `measure.c` calls the dtypes that it knows."""

_DONE, _LEFT = 0, 1
_FIELDS = 2048
_BIAS = 1023


class _Side(ctypes.Structure):
    _fields_ = (
        ("finite", ctypes.c_int64), ("mean", ctypes.c_double), ("squares", ctypes.c_double),
        ("minimum", ctypes.c_double), ("maximum", ctypes.c_double),
        ("nan", ctypes.c_int64), ("inf", ctypes.c_int64), ("first_nan", ctypes.c_int64),
    )  # fmt: skip


class _Outcome(ctypes.Structure):
    _fields_ = (
        ("actual", _Side), ("expected", _Side),
        ("elements", ctypes.c_int64), ("mismatched", ctypes.c_int64), ("outside", ctypes.c_int64),
        ("nan_apart", ctypes.c_int64), ("finite", ctypes.c_int64), ("max_ulp", ctypes.c_uint64),
        ("max_abs", ctypes.c_double), ("max_abs_at", ctypes.c_int64), ("squares", ctypes.c_double),
        ("actual_squares", ctypes.c_double), ("expected_squares", ctypes.c_double),
        ("products", ctypes.c_double), ("exponents", ctypes.c_int64 * _FIELDS),
    )  # fmt: skip


class _Few(ctypes.Structure):
    _fields_ = (
        ("elements", ctypes.c_int64), ("lost", ctypes.c_int64), ("actual_digits", ctypes.c_int64),
        ("expected_digits", ctypes.c_int64), ("number", ctypes.c_double), ("slice", ctypes.c_double),
    )  # fmt: skip


class CompiledKernel:
    """`measure.c`, loaded."""

    def __init__(self, path: Path) -> None:
        """Load the library that `build` made.

        Raises:
            KernelUnavailable: it cannot be loaded.
        """
        try:
            self._function: Any = ctypes.CDLL(str(path)).outgrow_measure
            # Microseconds: to let other threads run meanwhile, and to wait for them, takes longer.
            self._sample: Any = ctypes.PyDLL(str(path)).outgrow_sample
        except (OSError, AttributeError) as err:
            raise KernelUnavailable(f"{path} cannot be loaded: {err}") from err
        pointer, number, count, real = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_double
        self._function.argtypes = (
            pointer, number, pointer, number, count, real, real, number, ctypes.POINTER(_Outcome),
        )  # fmt: skip
        self._function.restype = ctypes.c_int
        self._sample.argtypes = (
            pointer, number, pointer, number, count, number, ctypes.POINTER(count), count,
            ctypes.POINTER(_Few),
        )  # fmt: skip
        self._sample.restype = ctypes.c_int
        self.path = path

    @staticmethod
    def takes(actual: torch.dtype, expected: torch.dtype) -> bool:
        """Whether it knows these dtypes, one beside the other."""
        return {actual, expected} <= KINDS.keys() and (
            actual == expected or torch.float64 not in (actual, expected)
        )

    def tally(
        self, actual: Tensor, expected: Tensor, *, start: int, rtol: float, atol: float, threads: int
    ) -> Tally | None:
        """As `torch_tally`, for two flat contiguous tensors on the CPU; None where float64 numbers are so
        large or small that torch must scale them. Other Python threads run meanwhile."""
        # It reads memory from the first element on, wherever the strides lead.
        assert actual.is_contiguous()
        assert expected.is_contiguous()
        assert actual.numel() == expected.numel()
        found = _Outcome()
        code = self._function(
            actual.data_ptr(), KINDS[actual.dtype], expected.data_ptr(), KINDS[expected.dtype],
            actual.numel(), rtol, atol, threads, ctypes.byref(found),
        )  # fmt: skip
        if code == _LEFT:
            return None
        if code != _DONE:
            raise MemoryError(f"the kernel gave up with code {code}")
        return _tally(found, start)

    def sample(self, actual: Tensor, expected: Tensor, at: int | None) -> tuple[SampleFigures, float, float]:
        """As `outgrow.compare.sample.sample`, for two contiguous tensors of one shape on the CPU; then the
        element of `expected` that is number `at` in row-major order, and the largest root mean square of the
        slices around it, both 0 where there is none."""
        assert actual.is_contiguous()
        assert expected.is_contiguous()
        assert actual.shape == expected.shape
        found = _Few()
        dims = actual.dim()
        code = self._sample(
            actual.data_ptr(), KINDS[actual.dtype], expected.data_ptr(), KINDS[expected.dtype],
            actual.numel(), dims, (ctypes.c_int64 * dims)(*actual.shape), -1 if at is None else at,
            ctypes.byref(found),
        )  # fmt: skip
        assert code == _DONE
        figures = SampleFigures(
            elements=found.elements,
            expected_digits=None if found.expected_digits < 0 else found.expected_digits,
            actual_digits=None if found.actual_digits < 0 else found.actual_digits,
            lost=found.lost,
        )
        return figures, found.number, found.slice


def _tally(found: _Outcome, start: int) -> Tally:
    counts = np.ctypeslib.as_array(found.exponents)
    return Tally(
        actual=_side(found.actual, start),
        expected=_side(found.expected, start),
        elements=found.elements,
        mismatched=found.mismatched,
        outside=found.outside,
        max_abs=found.max_abs,
        max_abs_at=None if found.max_abs_at < 0 else start + found.max_abs_at,
        max_ulp=found.max_ulp,
        nan_apart=found.nan_apart > 0,
        finite=found.finite,
        squares=found.squares,
        actual_squares=found.actual_squares,
        expected_squares=found.expected_squares,
        products=found.products,
        exponents={int(field) - _BIAS: int(counts[field]) for field in np.flatnonzero(counts)},
    )


def _side(found: _Side, start: int) -> SideTally:
    if not found.finite:
        return SideTally(nan=found.nan, inf=found.inf, first_nan=_at(found.first_nan, start))
    return SideTally(
        finite=found.finite,
        mean=found.mean,
        squares=found.squares,
        minimum=found.minimum,
        maximum=found.maximum,
        nan=found.nan,
        inf=found.inf,
        first_nan=_at(found.first_nan, start),
    )


def _at(place: int, start: int) -> int | None:
    return None if place < 0 else start + place
