"""A measured figure with its error, or the reason why there is none."""

__all__ = ["Abstention", "Estimate", "why_unusable"]

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure that was measured on samples."""

    value: float
    """The figure, in the unit that the measure names."""
    standard_error: float
    """Of the value, as far as the number of samples causes it; what the measure cannot see is not in it."""
    samples: int
    """How many samples it comes from."""
    p_value: float | None = None
    """How often chance alone gives as much, where that was tested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abstention:
    """No figure: what was seen does not support one."""

    reason: str
    """One sentence."""
    samples: int
    """How many samples there were."""
    p_value: float | None = None
    """How often chance alone gives as much as was seen, where that is the reason."""


def why_unusable(*samples: Tensor, least: int) -> str | None:
    """Why no figure can come from these samples (rows of one tensor each); None where one can."""
    rows = min(len(one) for one in samples)
    if rows < least:
        return f"{rows} samples, and at least {least} are needed"
    for one in samples:
        if one.is_floating_point():
            broken = int((~one.isfinite().flatten(1).all(1)).sum()) if one.dim() > 1 else 0
            broken = broken or int((~one.isfinite()).sum())
            if broken:
                return f"{broken} of {len(one)} samples hold NaN or Inf"
    return None
