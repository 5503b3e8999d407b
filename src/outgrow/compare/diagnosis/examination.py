"""Which pairs are looked at closely, and what the diagnosers are shown of them."""

__all__ = ["choose", "prepare"]

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from outgrow.compare.diagnosis.context import Context, window
from outgrow.compare.finding import Finding


def choose(findings: Sequence[Finding], limit: int) -> list[int]:
    """Indices of the pairs to look at: the first wrong one, and the next that went wrong by themselves."""
    wrong = [index for index, finding in enumerate(findings) if finding.judged.status == "differs"]
    return wrong[:limit]


def prepare(
    findings: Sequence[Finding], index: int, read: Callable[[Finding], tuple[Tensor, Tensor]]
) -> Context | None:
    """What there is to see of one pair; None where it has no tensors of one shape, or nothing in them.

    Raises:
        StoreError: the bytes cannot be read.
    """
    finding = findings[index]
    measures = finding.measures
    if measures is None or not measures.elements:
        return None
    actual, expected = read(finding)
    around = measures.max_abs_index or (0,) * expected.ndim
    expected_window, actual_window, origin = window(expected, actual, around)
    finite = expected_window.isfinite() & actual_window.isfinite()
    expected_window, actual_window = expected_window.where(finite, 0), actual_window.where(finite, 0)
    same = [other for other in findings if _is_beside(other, finding)]
    layer = finding.pair.layer or 0
    return Context(
        finding=finding,
        expected=expected,
        actual=actual,
        expected_window=expected_window,
        actual_window=actual_window,
        origin=origin,
        before=findings[:index],
        beside=sorted(same, key=lambda other: abs((other.pair.layer or 0) - layer)),
        read=read,
        allowed=finding.judged.allowed or rounding(expected.dtype, actual.dtype),
    )


def rounding(*dtypes: torch.dtype) -> float:
    """A relative error that rounding to the coarsest of these dtypes explains where no judge has said."""
    return max(
        (10 * torch.finfo(dtype).eps / 2 for dtype in dtypes if dtype.is_floating_point or dtype.is_complex),
        default=0.0,
    )


def _is_beside(other: Finding, finding: Finding) -> bool:
    return (
        other is not finding
        and other.pair.stage == finding.pair.stage
        and other.pair.expected.kind == finding.pair.expected.kind
        and other.measures is not None
        and finding.measures is not None
        and other.measures.shape == finding.measures.shape
    )
