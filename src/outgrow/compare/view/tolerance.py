"""Up to where a single number of a pair does not differ from its counterpart."""

__all__ = ["judged_tolerance"]

import math

from outgrow.compare.finding import Finding

_FAR = 2.0
"""Ten standard deviations of the error that the judge expects: of a billion numbers none is as far off."""


def judged_tolerance(finding: Finding) -> tuple[float, float]:
    """`rtol` and `atol` for its numbers, from the relative error that the judge allows the whole tensor; 0
    where it allows none, as between integers, or was not asked."""
    allowed = finding.judged.allowed
    if not allowed or finding.measures is None or not math.isfinite(allowed):
        return 0.0, 0.0
    expected = finding.measures.expected
    size = math.hypot(expected.mean or 0.0, expected.std or 0.0)
    return allowed, _FAR * allowed * size if math.isfinite(size) else 0.0
