"""Whether two lists of numbers are the same ones, in spite of noise, scale, NaN and faults in many places."""

__all__ = ["CONFIRMED", "DECIDED", "Scale", "agreement", "closer", "sigmas"]

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

CONFIRMED = 8.0
"""Standard deviations of agreement from which a map is believed. Structured tensors (large channels, smooth
positions) give wrong maps more than chance would: this is only the first of three tests."""
DECIDED = 5.0
"""Standard deviations of the paired test that decides between two maps: one error in 3 million."""
_CLIP = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Centre and spread of a side: no map changes them, so that a missing factor or offset on one side does
    not hide which map is right."""

    centre: float
    spread: float

    @staticmethod
    def of(values: Values) -> "Scale":
        """Robust: half of the numbers may be anything."""
        finite = values[np.isfinite(values)]
        if finite.size == 0:
            return Scale(centre=0.0, spread=1.0)
        # Sorted by hand: numpy's quantiles take longer than everything else that is done with a sample.
        with np.errstate(over="ignore", invalid="ignore"):
            centre = float(np.partition(finite, finite.size // 2)[finite.size // 2])
            away = np.sort(np.abs(finite - centre))
            # Where most numbers are one value, as behind a ReLU, the others tell maps apart, and noise on
            # that one value must not drown them.
            spread = max(float(away[away.size // 2]), float(away[away.size * 19 // 20]) / 4)
            if spread == 0.0:
                spread = float(away.mean())
        if not math.isfinite(spread) or spread == 0.0:
            spread = 1.0
        return Scale(centre=centre, spread=spread)

    def apply(self, values: Values) -> Values:
        """In units of the spread, clipped: one huge channel does not speak for all. NaN says nothing: 0."""
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (values - self.centre) / self.spread
        np.clip(scaled, -_CLIP, _CLIP, out=scaled)
        scaled[np.isnan(scaled)] = 0.0
        return scaled


def agreement(one: Values, other: Values) -> float:
    """Correlation; 0.0 where either does not vary."""
    one, other = one - one.mean(), other - other.mean()
    norm = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / norm if norm > 0 else 0.0


def sigmas(correlation: float, count: int) -> float:
    """How many standard deviations (Fisher's z) a correlation of `count` numbers is from none."""
    return math.atanh(max(-0.999999, min(0.999999, correlation))) * math.sqrt(max(count - 3, 0))


def closer(one: Values, other: Values) -> float:
    """Paired test on two lists of errors: by how many standard deviations the first are the smaller ones,
    each place weighing as much as it differs (a sign test where all differ alike); infinite where they are
    equal in every place."""
    won = other - one
    norm = math.sqrt(float(won @ won))
    return float(won.sum()) / norm if norm > 0 else math.inf
