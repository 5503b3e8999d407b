"""Everything one position too early or too late."""

__all__ = ["diagnose"]

from outgrow.compare.diagnosis.context import Context, explains, relative_error
from outgrow.compare.diagnosis.diagnosis import Diagnosis

STEPS = (1, -1, 2, -2)


def diagnose(context: Context) -> Diagnosis | None:
    """`actual[i] = expected[i - step]` along one dim."""
    expected, actual = context.expected_window, context.actual_window
    for dim, size in enumerate(expected.shape):
        for step in STEPS:
            overlap = size - abs(step)
            if overlap < 3 or overlap * expected.numel() // size < 16:
                continue
            here = actual.narrow(dim, max(step, 0), overlap)
            there = expected.narrow(dim, max(-step, 0), overlap)
            error = relative_error(here, expected.narrow(dim, max(step, 0), overlap))
            left = relative_error(here, there)
            if explains(left, error, context.allowed):
                detail = (
                    f"along dim {dim} everything is {abs(step)} too {'late' if step > 0 else 'early'}: index"
                    f" i holds what is expected at i {'-' if step > 0 else '+'} {abs(step)}, up to a relative"
                    f" error of {left:.2g}"
                )
                return Diagnosis(at=context.finding.pair.expected_name, kind="shift", detail=detail)
    return None
