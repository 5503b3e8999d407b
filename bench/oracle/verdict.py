"""Whether two outcomes are the same, and what an exception means."""

__all__ = ["difference", "judge_exception"]

import traceback
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bench.oracle.tolerance import tolerance
from outgrow.errors import OutgrowError, RemoteError


def difference(
    actual: Sequence[tuple[str, Any]], expected: Sequence[tuple[str, Any]], *, elements: int, entry: str = ""
) -> str | None:
    """What differs between two lists of named results, in words; None where nothing does."""
    if [name for name, _ in actual] != [name for name, _ in expected]:
        return f"results {[name for name, _ in actual]}, expected {[name for name, _ in expected]}"
    for (name, got), (_, wanted) in zip(actual, expected, strict=True):
        said = _one(got, wanted, elements, entry)
        if said is not None:
            return f"{name}: {said}"
    return None


def _one(actual: Any, expected: Any, elements: int, entry: str) -> str | None:
    if isinstance(expected, Tensor):
        if not isinstance(actual, Tensor):
            return f"a {type(actual).__name__}, expected a tensor"
        return _tensors(actual, expected, elements, entry)
    if isinstance(expected, float) and isinstance(actual, float):
        return _tensors(
            torch.tensor(actual, dtype=torch.float64),
            torch.tensor(expected, dtype=torch.float64),
            elements,
            entry,
        )
    if type(actual) is not type(expected) or actual != expected:
        return f"{actual!r}, expected {expected!r}"
    return None


def _tensors(actual: Tensor, expected: Tensor, elements: int, entry: str) -> str | None:
    if actual.dtype != expected.dtype:
        return f"dtype {actual.dtype}, expected {expected.dtype}"
    if actual.shape != expected.shape:
        return f"shape {list(actual.shape)}, expected {list(expected.shape)}"
    if actual.numel() == 0:
        return None
    actual, expected = (
        actual.detach().resolve_conj().resolve_neg(),
        expected.detach().resolve_conj().resolve_neg(),
    )
    if expected.dtype.is_complex:
        return _numbers(
            torch.view_as_real(actual), torch.view_as_real(expected), expected.dtype, elements, entry
        )
    return _numbers(actual, expected, expected.dtype, elements, entry)


def _numbers(actual: Tensor, expected: Tensor, dtype: torch.dtype, elements: int, entry: str) -> str | None:
    if not dtype.is_floating_point and not dtype.is_complex:
        wrong = actual != expected
        if not wrong.any():
            return None
        return f"{int(wrong.sum())} of {wrong.numel()} differ"
    near, wide = actual.double(), expected.double()
    if not torch.equal(near.isnan(), wide.isnan()):
        return f"{int((near.isnan() != wide.isnan()).sum())} NaN places differ"
    finite = wide.isfinite()
    odd = ~finite & ~wide.isnan()
    if not torch.equal(near[odd], wide[odd]):
        return "infinities differ"
    if not finite.any():
        return None
    gap = (near[finite] - wide[finite]).abs()
    scale = float(wide[finite].abs().max())
    allowed = tolerance(dtype, elements, entry=entry)
    if bool((gap <= allowed * max(scale, 1.0)).all()):
        return None
    return f"off by {float(gap.max()):.3g} where the largest is {scale:.3g} (allowed {allowed:.1g} of it)"


def judge_exception(error: BaseException, expected: BaseException | None) -> tuple[str, str]:
    """A word of `WORDS`, and why: for our exception, where torch alone raised `expected` or nothing."""
    said = f"{type(error).__name__}: {str(error).strip()}"
    if expected is not None:
        if isinstance(error, type(expected)):
            return "equal", ""
        if (
            isinstance(error, RemoteError)
            and f"{type(expected).__name__}: " in error.message.partition("Traceback")[0]
        ):
            # The workers alone see the numbers: raised at the next fetch, in torch's own words.
            return "equal", ""
    if isinstance(error, NotImplementedError) or (
        isinstance(error, OutgrowError) and not isinstance(error, RemoteError)
    ):
        return "refused", said[:400]
    if expected is not None:
        told = f"{type(expected).__name__}: {str(expected)[:200]}"
        return "error", f"raised {said[:300]}; torch alone raises {told}"
    where = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in where if "/outgrow/" in frame.filename] or list(where)
    at = own[-1] if own else traceback.FrameSummary("", 0, "nowhere")
    return "error", f"{said[-700:]} [{at.filename.rpartition('/outgrow/')[2]}:{at.lineno} {at.name}]"
