"""A trial of the compiled kernel before it is trusted: small vectors with everything in them."""

__all__ = ["agree", "check_kernel"]

import dataclasses
import itertools
import math

import torch

from outgrow.compare.kernel.build import KernelUnavailable
from outgrow.compare.kernel.compiled import KINDS, CompiledKernel
from outgrow.compare.kernel.tally import SideTally, Tally
from outgrow.compare.kernel.torch_path import torch_tally

# Both paths add the same float64 numbers in another order. A sum of n of them differs by far less than this
# share of the sum of their sizes.
_SHARE = 1e-12


def agree(one: Tally, other: Tally) -> bool:
    """Whether two tallies of the same numbers are equal: counts, extremes, places and steps exactly, sums
    up to the order in which they were added."""
    sides = ((one.actual, other.actual), (one.expected, other.expected))
    return (
        _exact(one, _SUMS) == _exact(other, _SUMS)
        and all(_sides_agree(mine, its) for mine, its in sides)
        and _near(one.squares, other.squares, one.squares)
        and _near(one.actual_squares, other.actual_squares, one.actual_squares)
        and _near(one.expected_squares, other.expected_squares, one.expected_squares)
        and _near(
            one.products, other.products, math.sqrt(one.actual_squares) * math.sqrt(one.expected_squares)
        )
    )


_SUMS = ("actual", "expected", "squares", "actual_squares", "expected_squares", "products")


def _exact(tally: Tally | SideTally, without: tuple[str, ...]) -> dict[str, object]:
    return {
        field.name: getattr(tally, field.name)
        for field in dataclasses.fields(tally)
        if field.name not in without
    }


def _sides_agree(one: SideTally, other: SideTally) -> bool:
    size = math.sqrt(one.squares / one.finite + one.mean**2) if one.finite else 0.0
    return (
        _exact(one, ("mean", "squares")) == _exact(other, ("mean", "squares"))
        and _near(one.mean, other.mean, size)
        # Deviations from a rounded mean: those of a constant need not be 0.
        and _near(one.squares, other.squares, one.squares + 1e-6 * one.finite * one.mean**2)
    )


def _near(one: float, other: float, size: float) -> bool:
    return abs(one - other) <= _SHARE * size


def check_kernel(kernel: CompiledKernel) -> None:
    """Compare the kernel with torch on every pair of dtypes that it takes.

    Raises:
        KernelUnavailable: they disagree, so that the kernel must not be used.
    """
    random = torch.Generator().manual_seed(0)
    for actual, expected in itertools.product(KINDS, KINDS):
        if not kernel.takes(actual, expected):
            continue
        for count, special in ((2500, False), (700, True)):
            one, other = torch.randn(2, count, dtype=torch.float64, generator=random)
            other[count // 2 :] = one[count // 2 :] + 0.01 * other[count // 2 :]
            if special:
                odd = torch.tensor([math.nan, math.inf, -math.inf, 0.0, -0.0, 6e4, -7e4, 1e-7, 1e-42, 3e38])
                one[:100], other[:100] = odd.repeat_interleave(10), odd.repeat(10)
            one, other = one.to(actual), other.to(expected)
            found = kernel.tally(one, other, start=7, rtol=1e-2, atol=1e-3, threads=2)
            wanted = torch_tally(one, other, start=7, rtol=1e-2, atol=1e-3)
            if found is None or not agree(found, wanted):
                raise KernelUnavailable(
                    f"the compiled kernel and torch disagree on {actual} against {expected}"
                )
