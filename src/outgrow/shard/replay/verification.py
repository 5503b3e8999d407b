"""Whether a program gives what eager execution gives, on the same inputs."""

__all__ = ["Verifier"]

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from outgrow.difference import difference
from outgrow.placement import Partial, Replicate
from outgrow.shard.messages import Call
from outgrow.shard.ranks.eager import Eager, SegmentOps
from outgrow.shard.ranks.fabric import Fabric
from outgrow.shard.ranks.held import Held
from outgrow.shard.ranks.redistribute import redistribute
from outgrow.shard.replay.agreement import any_rank

TOLERANCE: Final = {
    torch.float64: 1e-9,
    torch.float32: 2e-4,
    torch.bfloat16: 4e-2,
    torch.float16: 1e-2,
    torch.complex64: 2e-4,
    torch.complex128: 1e-9,
}
"""How far apart two orders of adding up may be, as a share of the tensor's root mean square."""
SLACK: Final = 16.0
"""How many times as far as eager execution itself moves when its inputs are rounded otherwise."""


class Verifier:
    """Compares what programs give with what eager execution gave."""

    def __init__(self, fabric: Fabric, eager: Eager) -> None:
        self.fabric, self.eager = fabric, eager

    def disagreement(
        self,
        actual: Sequence[Held],
        expected: Sequence[Held],
        ops: SegmentOps,
        given: Sequence[Held],
        call: Call,
    ) -> str | None:
        """Where outputs differ by more than rounding explains; None where they do not. The same on every
        rank.

        Where outputs are far apart, eager execution is asked again with inputs that are off by one
        rounding: an optimizer turns a gradient that is nothing but rounding into a step of full size.
        """
        failed = next((held.failure for held in actual if held.failure is not None), None)
        if any_rank(self.fabric, [failed is not None])[0]:
            return "another rank failed" if failed is None else f"{failed.kind}: {failed.message}"
        pairs = list(zip(actual, expected, strict=True))
        doubts = [not self._are_close(one, other, 0.0) for one, other in pairs]
        doubts = any_rank(self.fabric, doubts)
        if not any(doubts):
            return None
        again = self.eager.run(ops, [_perturbed(held) for held in given], call.floats, call.live, call.number)
        found = []
        for index, (one, other) in enumerate(pairs):
            if doubts[index]:
                tensor, right, moved = self._whole(one), self._whole(other), self._whole(again[index])
                own = float((_real(moved) - _real(right)).abs().max())
                if not _is_close(tensor, right, SLACK * own):
                    found.append(f"output {index} of shape {tuple(right.shape)}: {_how_far(tensor, right)}")
        if any_rank(self.fabric, [bool(found)])[0]:
            return "; ".join(found[:3]) or "another rank found other numbers"
        return None

    def _are_close(self, one: Held, other: Held, slack: float) -> bool:
        """On this rank's pieces: what a rank holds of a large state need not go to all others."""
        if one.placement == other.placement or isinstance(other.placement, Replicate):
            right = redistribute(other.pieces, other.meta, other.placement, one.placement, self.fabric)
            if not isinstance(one.placement, Partial):
                pairs = zip(one.pieces, right, strict=True)
                return all(
                    _is_close(mine, yours, slack)
                    for mine, yours in pairs
                    if mine is not None and yours is not None
                )
        return _is_close(self._whole(one), self._whole(other), slack)

    def _whole(self, held: Held) -> Tensor:
        whole = redistribute(held.pieces, held.meta, held.placement, Replicate(), self.fabric)[0]
        assert whole is not None
        return whole


def _perturbed(held: Held) -> Held:
    if not held.meta.dtype.is_floating_point:
        return held
    factor = 1.0 + torch.finfo(held.meta.dtype).eps
    return Held(held.meta, held.placement, [None if one is None else one * factor for one in held.pieces])


def _is_close(actual: Tensor, expected: Tensor, slack: float) -> bool:
    tolerance = TOLERANCE.get(expected.dtype)
    if tolerance is None or not expected.numel():
        return torch.equal(actual, expected)
    if not expected.is_complex():
        # Enough for nearly all, in the tensors' own precision: one pass for each of the two.
        far, scale = (
            (actual - expected).abs().max(),
            torch.linalg.vector_norm(expected.float()) / expected.numel() ** 0.5,
        )
        if bool(far <= tolerance * scale):
            return True
    one, other = _real(actual), _real(expected)
    is_finite = torch.isfinite(other)
    if not torch.equal(is_finite, torch.isfinite(one)):
        return False
    if not bool(is_finite.all()):
        if not torch.equal(
            torch.nan_to_num(one[~is_finite], nan=3.0), torch.nan_to_num(other[~is_finite], nan=3.0)
        ):
            return False
        one, other = one[is_finite], other[is_finite]
        if not other.numel():
            return True
    scale = float(other.square().mean().sqrt())
    allowed = tolerance * (other.abs() + scale) + slack
    return bool(((one - other).abs() <= allowed).all())


def _how_far(actual: Tensor, expected: Tensor) -> str:
    found = difference(actual.contiguous(), expected.contiguous())
    return f"largest difference {found.max_abs:.3e}, {found.mismatched} of {found.elements} elements unequal"


def _real(tensor: Tensor) -> Tensor:
    parts = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
    return parts.double()
