"""Vectors turned by other angles than expected: positions of RoPE."""

__all__ = ["diagnose"]

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from outgrow.compare.diagnosis.context import Context, explains
from outgrow.compare.diagnosis.diagnosis import Diagnosis

BASES = (10_000.0, 500_000.0, 1_000_000.0, 100_000.0, 1_000.0, 10_000_000.0)
"""Usual bases of RoPE; the expected run is taken to have one of them."""
HEAD_SIZES = (256, 192, 128, 112, 96, 80, 64, 48, 32, 24, 16, 12, 8, 4)
MIN_VECTORS = 2
"""Vectors that share an angle; with one alone any two tensors would fit."""


def diagnose(context: Context) -> Diagnosis | None:
    """All pairs of channels keep their length and are turned by an angle of their position and frequency."""
    for expected, actual in _views(context):
        for pairing in ("half", "interleaved"):
            wanted, found = _as_complex(expected, pairing), _as_complex(actual, pairing)
            turns = (found * wanted.conj()).sum(1)
            angles = torch.polar(torch.ones_like(turns.abs()), turns.angle())
            left = float((found - wanted * angles[:, None]).norm() / wanted.norm())
            if not explains(left, context.error, context.allowed):
                continue
            detail = (
                f"all pairs of channels ({_PAIRINGS[pairing]}, heads of {expected.shape[-1]}) keep their"
                f" length and are turned: {_tell_angles(angles)}; that leaves a relative error of {left:.2g}"
            )
            return Diagnosis(at=context.finding.pair.expected_name, kind="rotation", detail=detail)
    return None


_PAIRINGS = {"half": "i with i + half", "interleaved": "2i with 2i + 1"}


def _views(context: Context) -> Iterator[tuple[Tensor, Tensor]]:
    """Both tensors as `[positions, vectors, head_size]`, in every way in which they could be meant."""
    expected, actual = context.expected_window, context.actual_window
    if expected.ndim < 2 or expected.numel() < 64:
        return
    channels = expected.shape[-1]
    for size in (
        size for size in dict.fromkeys((channels, *HEAD_SIZES)) if channels % size == 0 and size % 2 == 0
    ):
        for dim in range(expected.ndim - 1):
            positions = expected.shape[dim]
            if positions < 4 or expected.numel() // (positions * size) < MIN_VECTORS:
                continue
            yield (
                expected.movedim(dim, 0).reshape(positions, -1, size),
                actual.movedim(dim, 0).reshape(positions, -1, size),
            )


def _as_complex(vectors: Tensor, pairing: str) -> Tensor:
    half = vectors.shape[-1] // 2
    if pairing == "half":
        return torch.complex(vectors[..., :half], vectors[..., half:])
    return torch.complex(vectors[..., 0::2], vectors[..., 1::2])


def _tell_angles(angles: Tensor) -> str:
    """What angles `[positions, frequencies]`, as unit complex numbers, have in common."""
    steps = (angles[1:] * angles[:-1].conj()).sum(0).angle()
    start = angles[0].angle()
    positions = torch.arange(len(angles), dtype=torch.float64)[:, None]
    fitted = torch.polar(torch.ones_like(angles.abs()), start + positions * steps)
    if float((fitted - angles).abs().max()) > 0.05:
        return "by angles that are not linear in the position"
    size = 2 * angles.shape[1]
    exponents = torch.arange(angles.shape[1], dtype=torch.float64) * (-2 / size)
    for base in BASES:
        theta = base**exponents
        for shift in (1, -1, 2, -2):
            if _is_close(start, shift * theta) and _is_close(steps, torch.zeros_like(theta)):
                return f"by {abs(shift)} position{'s' * (abs(shift) > 1)} too {_way(shift)} (base {base:g})"
        if _is_close(steps, -2 * theta):
            return f"backwards (base {base:g})"
        if _is_close(steps, -theta):
            return f"they are not turned at all (base {base:g})"
        if _is_close(steps, theta):
            return f"they are turned twice (base {base:g})"
        found = _find_base(steps, theta, exponents)
        if found is not None:
            return f"as with base {found:g} instead of {base:g}"
    return "by angles that grow with the position"


def _way(shift: int) -> str:
    return "far" if shift > 0 else "little"


def _is_close(angles: Tensor, wanted: Tensor) -> bool:
    """Whether angles are equal up to full turns."""
    return float(torch.remainder(angles - wanted + math.pi, 2 * math.pi).sub(math.pi).abs().max()) < 1e-3


def _find_base(steps: Tensor, theta: Tensor, exponents: Tensor) -> float | None:
    """The base whose angles are `theta + steps`; None where no base has them, or the same."""
    turned = theta + steps
    if len(theta) < 3 or float(turned[1:].min()) <= 0 or float(steps.abs().max()) < 1e-3:
        return None
    base = math.exp(float((turned[1:].log() / exponents[1:]).median()))
    fitted = base**exponents
    return float(f"{base:.3g}") if float((fitted - turned).abs().max()) < 2e-3 else None
