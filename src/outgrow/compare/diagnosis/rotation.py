"""Vectors turned by other angles than expected: positions of RoPE."""

__all__ = ["diagnose"]

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from outgrow.compare.diagnosis.context import Context, explains, relative_error
from outgrow.compare.diagnosis.diagnosis import Diagnosis

BASES = (10_000.0, 500_000.0, 1_000_000.0, 100_000.0, 1_000.0, 100.0, 10_000_000.0)
"""Usual bases of RoPE; the expected run is taken to have one of them."""
TURNS = {-1: "they are not turned at all", 1: "they are turned twice", -2: "backwards"}
"""What it means that the first pair turns so many radians a position more than expected."""
NEARLY = 0.05
"""Radians."""
HEAD_SIZES = (256, 192, 128, 112, 96, 80, 64, 48, 32, 24, 16, 12, 8, 4)
MOST = 64
"""Positions, and vectors of one position, that are looked at."""
MIN_VECTORS = 2
"""Vectors that share an angle; with one alone any two tensors would fit."""


def diagnose(context: Context) -> Diagnosis | None:
    """All pairs of channels keep their length and are turned by an angle of their position and frequency."""
    for expected, actual, first in _views(context):
        for pairing in ("half", "interleaved"):
            wanted, found = _as_complex(expected, pairing), _as_complex(actual, pairing)
            turns = (found * wanted.conj()).sum(1)
            angles = torch.polar(torch.ones_like(turns.abs()), turns.angle())
            left = float((found - wanted * angles[:, None]).norm() / wanted.norm())
            if not explains(left, relative_error(actual, expected), context.allowed) or _is_one_turn(angles):
                continue
            told = _tell_angles(angles, first)
            detail = (
                f"all pairs of channels ({_PAIRINGS[pairing]}, heads of {expected.shape[-1]}) keep their"
                f" length and are turned: {told}; that leaves a relative error of {left:.2g}"
            )
            return Diagnosis(at=context.finding.pair.expected_name, kind="rotation", detail=detail)
    return None


_PAIRINGS = {"half": "i with i + half", "interleaved": "2i with 2i + 1"}


def _views(context: Context) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Both tensors as `[positions, vectors, head_size]`, in every way in which they could be meant, and the
    first position."""
    expected, actual = context.expected_window, context.actual_window
    if expected.ndim < 2 or expected.numel() < 64:
        return
    channels = expected.shape[-1]
    for size in (
        size for size in dict.fromkeys((channels, *HEAD_SIZES)) if channels % size == 0 and size % 2 == 0
    ):
        for dim in range(expected.ndim - 1):
            positions = expected.shape[dim]
            vectors = expected.numel() // (positions * size)
            if positions < 4 or vectors < MIN_VECTORS:
                continue
            wanted, found = (
                side.narrow(dim, 0, min(positions, MOST)).movedim(dim, 0).reshape(-1, vectors, size)
                for side in (expected, actual)
            )
            yield wanted[:, :MOST], found[:, :MOST], context.origin[dim]


def _as_complex(vectors: Tensor, pairing: str) -> Tensor:
    half = vectors.shape[-1] // 2
    if pairing == "half":
        return torch.complex(vectors[..., :half], vectors[..., half:])
    return torch.complex(vectors[..., 0::2], vectors[..., 1::2])


def _is_one_turn(angles: Tensor) -> bool:
    """Whether all are turned by the same angle: that is a factor, for example -1."""
    mean = angles.mean()
    return float((angles - mean).abs().max()) < 1e-2


def _tell_angles(angles: Tensor, first: int) -> str:
    """What angles `[positions, frequencies]`, as unit complex numbers, have in common; from position `first`
    on."""
    steps = (angles[1:] * angles[:-1].conj()).sum(0)
    steps = (steps / steps.abs().clamp(min=1e-300)).angle()
    positions = first + torch.arange(len(angles), dtype=torch.float64)[:, None]
    start = (angles * torch.polar(torch.ones_like(angles.abs()), -positions * steps)).sum(0).angle()
    fitted = torch.polar(torch.ones_like(angles.abs()), start + positions * steps)
    if float((fitted - angles).abs().max()) > NEARLY:
        return "by angles that are not linear in the position"
    exponents = torch.arange(angles.shape[1], dtype=torch.float64) / -angles.shape[1]
    if float(steps.abs().max()) < NEARLY / len(angles):
        return _tell_shift(start, exponents)
    if float(start.abs().max()) > NEARLY:
        return "by angles that grow with the position"
    turn = round(float(steps[0]))
    if turn in TURNS and abs(float(steps[0]) - turn) < NEARLY / len(angles):
        base = _find_base(steps / turn, exponents)
        if base is not None:
            return f"{TURNS[turn]} (base {base:g})"
    return _tell_bases(steps, exponents, NEARLY / len(angles))


def _tell_shift(start: Tensor, exponents: Tensor) -> str:
    """All positions are turned by the same angles: those of so many positions."""
    shift = round(float(start[0]))
    base = _find_base(start / shift, exponents) if shift else None
    if base is None:
        return "by angles that are the same at all positions"
    count = abs(shift)
    return f"by {count} position{'s' * (count > 1)} too {'far' if shift > 0 else 'little'} (base {base:g})"


def _find_base(angles: Tensor, exponents: Tensor) -> float | None:
    """The base whose frequencies `base ** exponents` these angles are."""
    if len(angles) < 3 or float(angles[1:].min()) <= 0:
        return None
    # The low frequencies have the least relative precision; the second is the best known after the first, 1.
    base = math.exp(float(angles[1].log() / exponents[1]))
    return float(f"{base:.2g}") if float((base**exponents - angles).abs().max()) < NEARLY else None


def _tell_bases(steps: Tensor, exponents: Tensor, near: float) -> str:
    """Two bases whose frequencies differ by `steps`, of the usual ones for the expected run."""
    best: tuple[float, float, float] | None = None
    for base in BASES:
        turned = base**exponents + steps
        if len(steps) < 4 or float(turned[1:].min()) <= 0:
            continue
        other = math.exp(float(turned[1].log() / exponents[1]))
        miss = float((other**exponents - turned).abs().max())
        if best is None or miss < best[0]:
            best = miss, base, other
    if best is None or best[0] > near or abs(best[2] / best[1] - 1) < 0.01:
        return "by angles that grow with the position"
    return f"as with base {best[2]:.2g} where {best[1]:.2g} is expected"
