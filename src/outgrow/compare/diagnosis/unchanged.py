"""A step that did nothing."""

__all__ = ["diagnose"]

from outgrow.compare.diagnosis.context import Context, explains, relative_error
from outgrow.compare.diagnosis.diagnosis import Diagnosis
from outgrow.compare.diagnosis.neighbours import earlier_tensors


def diagnose(context: Context) -> Diagnosis | None:
    """The actual tensor is one that came before it; the expected one is not."""
    for finding, actual, expected in earlier_tensors(context):
        left = relative_error(context.actual_window, actual)
        moved = relative_error(context.expected_window, expected)
        if explains(left, min(moved, context.error), context.allowed):
            detail = (
                f"it is still {finding.pair.actual_name}, up to a relative error of {left:.2g}; what is"
                f" expected has moved from there by {moved:.2g}"
            )
            return Diagnosis(at=context.finding.pair.expected_name, kind="unchanged", detail=detail)
    return None
