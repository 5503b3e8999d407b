"""How far two right answers may lie apart: from the dtype and the length of the reductions alone."""

__all__ = ["LOOSER", "tolerance"]

import math

import torch

_ULPS = 64.0
"""Units in the last place, for one element: kernels vectorise pieces in another way than the whole."""

_GAPS = "gradients of singular vectors divide by the gaps between singular values"
LOOSER: dict[str, tuple[float, str]] = {
    "Muon": (1e10, "its step is computed in bfloat16, by a polynomial that grows small numbers 480 times"),
    "pca_lowrank": (1e3, _GAPS),
    "svd_lowrank": (1e3, _GAPS),
    "LBFGS": (
        1e5,
        "each step divides by differences of gradients, which are small near the end",
    ),
}
"""By entry: a factor on the tolerance, and why it is needed."""


def tolerance(dtype: torch.dtype, elements: int, *, entry: str = "") -> float:
    """Relative to the largest finite magnitude among the numbers compared, or to 1 where that is less: inputs
    are drawn of that order. 0 for integers and bools.

    `elements`: of the largest input, the longest sum that can have occurred in one op.
    """
    if not (dtype.is_floating_point or dtype.is_complex):
        return 0.0
    factor = LOOSER.get(entry, (1.0, ""))[0]
    return factor * _ULPS * torch.finfo(dtype).eps * math.sqrt(max(1, elements))
