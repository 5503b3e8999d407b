"""Learning rate over the share of the budget that is spent."""

__all__ = ["HOLD", "rate"]

HOLD = 0.3
"""Up to this share of the budget the rate stays; then it falls linearly to zero."""


def rate(peak: float, share: float, hold: float = HOLD) -> float:
    """The rate at `share` of the budget, in [0, 1] (more counts as 1)."""
    return peak * min(1.0, max(0.0, 1.0 - share) / (1.0 - hold))
