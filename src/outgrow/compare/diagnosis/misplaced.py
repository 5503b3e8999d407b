"""The tensor of another layer."""

__all__ = ["diagnose"]

from outgrow.compare.diagnosis.context import Context, explains, relative_error
from outgrow.compare.diagnosis.diagnosis import Diagnosis

MAX_LAYERS = 8


def diagnose(context: Context) -> Diagnosis | None:
    """What is found here is expected in another layer."""
    for other in context.beside[:MAX_LAYERS]:
        left = relative_error(context.actual_window, context.window_of(context.read(other)[1]))
        if explains(left, context.error, context.allowed):
            detail = (
                f"it is what is expected at {other.pair.expected_name}, up to a relative error of {left:.2g}"
                f" instead of {context.error:.2g}"
            )
            return Diagnosis(at=context.finding.pair.expected_name, kind="misplaced", detail=detail)
    return None
