"""The few directions in which samples vary most."""

__all__ = ["principal_dims"]

import torch
from torch import Tensor


def principal_dims(values: Tensor, *, most: int, always: bool = False) -> Tensor:
    """The values as they are (float64) where they have at most `most` dims; else on their principal dims.

    Dims are standardised first, so that a dim's unit does not decide; constant ones, and directions without
    variance, count as nothing. Signs are fixed, so that equal values give equal results. `always` goes to
    principal dims however few there are.
    """
    wide = values.detach().double().flatten(1)
    if wide.shape[1] <= most and not always:
        return wide
    spread = wide.std(0)
    alive = spread > 1e-12 * (wide.mean(0).abs() + 1e-300)
    scaled = torch.where(alive, (wide - wide.mean(0)) / torch.where(alive, spread, 1.0), 0.0)
    _, strengths, directions = torch.linalg.svd(scaled, full_matrices=False)
    chosen = directions[:most][strengths[:most] > 1e-6 * strengths[:1]]
    largest = chosen.gather(1, chosen.abs().argmax(1, keepdim=True)) if len(chosen) else chosen
    turned: Tensor = scaled @ (chosen * largest.sign()).T
    return turned
