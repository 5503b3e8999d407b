"""One case: two runs of a random model, the second one with a fault or without, and the truth about them."""

__all__ = ["CLEAN", "DTYPES", "PERMUTED", "Case", "draw_case"]

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bench.planted.batch_first import BatchFirst
from bench.planted.dump import (
    Dump,
    dump_batch_first,
    dump_sequence_first,
    is_sharded,
    named_parameters,
    whole,
)
from bench.planted.fault import Fault, Needs, Scene
from bench.planted.faults import FAULTS
from bench.planted.points import Point, in_order
from bench.planted.sequence_first import Ranks, SequenceFirst
from bench.planted.shape import Shape, draw_shape
from bench.planted.variant import Variant, draw_variant
from bench.planted.weights import Weights, draw_tokens, draw_weights, shard_weights

DTYPES = {
    "fp32": (torch.float32, torch.float32),
    "bf16": (torch.bfloat16, torch.bfloat16),
    "mixed": (torch.float32, torch.bfloat16),
}
"""Of the first and of the second implementation."""
CLEAN = ("clean", "clean_partial", "clean_pairs", "clean_ranks")
"""Kinds without a fault: a plain pair; row-parallel lines shown before their all-reduce; queries and keys
with the dims of each head in interleaved order; ranks given in reverse order. Of the last two, which no shape
tells, the right answer is a match that says so or a difference with the permutation as its diagnosis."""
PERMUTED = ("clean_pairs", "clean_ranks")
"""Those of them in which a permutation is hidden."""
_ATTEMPTS = 40
# What float64 leaves between two ways to the same number; faults change more.
_SAME = 1e-11


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Dumps of both runs, and what a comparison ought to find."""

    seed: int
    kind: str
    dtype: str
    shape: Shape
    tp: int
    variant: Variant
    detail: str
    expected: Dump
    actual: Dump
    clean_expected: Dump
    clean: Dump
    """Both sides without the fault, or the permutation, dumped alike."""
    truth: Point | None
    """The first dumped point whose values the fault touches; None for a clean pair."""
    wrong_parameters: frozenset[str]
    """Parameters that are dumped and were loaded wrongly; they come before what is computed from them."""
    is_at_fault: bool
    """Whether `truth` is the very tensor that the fault changes first, and not one computed from it."""
    effect: float
    """Relative Frobenius norm of what the fault changes at `truth`, in float64."""
    noise: float
    """Relative Frobenius norm of what lies between the implementations at `truth` without the fault."""
    effect_max: float
    """As `effect`, the largest element of the change."""
    noise_max: float
    canonical: Mapping[Point, tuple[Tensor, Tensor]]
    """Expected and actual of every point that both dumps show, in equal dims: what perfect pairing and
    layouts would give to the judge. Where ranks ought to agree it has the one that is farthest off."""

    @property
    def is_below_rounding(self) -> bool:
        """Whether the fault changes less than rounding does, in its norm and in every element."""
        return self.truth is not None and self.effect < self.noise and self.effect_max < self.noise_max

    @property
    def ratio(self) -> float:
        """Effect over noise."""
        if self.effect == 0:
            return 0.0
        return self.effect / self.noise if self.noise else float("inf")


def draw_case(seed: int, kind: str, dtype: str) -> Case:
    """The case of a seed; equal arguments give equal cases.

    Raises:
        ValueError: no draw gave a fault with an effect.
    """
    rng = random.Random(f"{seed}/{kind}/{dtype}")
    for _ in range(_ATTEMPTS):
        case = _draw(rng, seed, kind, dtype)
        if case is not None:
            return case
    raise ValueError(f"seed {seed}, {kind}, {dtype}: no fault with an effect in {_ATTEMPTS} draws")


def _draw(rng: random.Random, seed: int, kind: str, dtype: str) -> Case | None:
    if kind in CLEAN:
        plant, needs = None, Needs(ranks=(1, 1, 2, 4) if kind in ("clean", "clean_pairs") else (2, 4))
    else:
        plant, needs = FAULTS[kind]
    tp = rng.choice(needs.ranks)
    shape = draw_shape(rng, tp=tp, **needs.shape)
    if kind == "clean_partial":
        shape = replace(shape, has_bias=False)
    variant = draw_variant(rng, shape, tp)
    if kind == "clean_partial":
        variant = replace(variant, actual=replace(variant.actual, is_partial=True))
    theirs, ours = DTYPES[dtype]
    fault = None if plant is None else plant(Scene(rng=rng, shape=shape, tp=tp, dtype=ours))
    generator = torch.Generator().manual_seed(rng.getrandbits(60))
    weights = draw_weights(shape, generator)
    tokens = draw_tokens(shape, generator)
    pairing = "interleaved" if kind == "clean_pairs" else "half"
    runs = _Runs(shape, weights, tokens, tp, pairing, rng.getrandbits(60))

    loaded = {name: weight.to(theirs) for name, weight in weights.items()}
    first = BatchFirst(shape, loaded, theirs)(tokens)
    clean = runs.second(ours, None)
    faulty = runs.second(ours, fault) if fault is not None else clean
    expected = dump_batch_first(first, shape, variant.expected)
    actual = dump_sequence_first(faulty, shape, variant.actual)
    expected = replace(expected, parameters=named_parameters(loaded, variant.expected))
    actual = replace(actual, parameters=named_parameters(runs.loaded(ours, fault), variant.actual))
    right = named_parameters(runs.loaded(ours, None), variant.actual)
    wrong = {name for name, weight in actual.parameters.items() if not torch.equal(weight, right[name])}
    if kind == "clean_pairs":
        clean = _Runs(shape, weights, tokens, tp, "half", 0).second(ours, None)
    if kind == "clean_ranks":
        actual = replace(actual, ranks=actual.ranks[::-1])
    clean_dump = dump_sequence_first(clean, shape, variant.actual)
    shown = [point for point in in_order(shape.layers) if point in expected.points & actual.points]
    truth = None
    effect = noise = effect_max = noise_max = 0.0
    if fault is not None:
        if all(_equal(actual.ranks[r][n], clean_dump.ranks[r][n]) for r in range(tp) for n in actual.holds):
            return None
        before, after = runs.second(ours, None, twin=True), runs.second(ours, fault, twin=True)
        truth = next((p for p in shown if _distance(after[p], before[p])[0] > _SAME), None)
        if truth is None:
            return None
        _check(truth, fault, shown)
        effect, effect_max = _distance(after[truth], before[truth])
        noise, noise_max = _distance([whole(truth, clean[truth], shape)], [first[truth]])
    canonical = {p: (first[p].detach(), _farthest(p, faulty[p], first[p], shape)) for p in shown}
    return Case(
        seed=seed, kind=kind, dtype=dtype, shape=shape, tp=tp, variant=variant,
        detail="" if fault is None else fault.detail,
        expected=actual if variant.is_mirrored else expected,
        actual=expected if variant.is_mirrored else actual,
        clean_expected=clean_dump if variant.is_mirrored else expected,
        clean=expected if variant.is_mirrored else clean_dump,
        truth=truth, wrong_parameters=frozenset(wrong),
        is_at_fault=fault is not None and truth == fault.first,
        effect=effect, noise=noise, effect_max=effect_max, noise_max=noise_max,
        canonical=canonical,
    )  # fmt: skip


class _Runs:
    """The second implementation with one set of weights, as often as it is needed."""

    def __init__(
        self, shape: Shape, weights: Weights, tokens: Tensor, tp: int, pairing: str, seed: int
    ) -> None:
        self.shape, self.tokens, self.tp, self.pairing, self.seed = shape, tokens, tp, pairing, seed
        self.weights = weights if pairing == "half" else _interleaved(weights, shape)

    def loaded(self, dtype: torch.dtype, fault: Fault | None) -> Weights:
        """The whole weights as they come from the checkpoint."""
        weights = {name: weight.to(dtype) for name, weight in self.weights.items()}
        if fault is not None and fault.weights is not None:
            fault.weights(weights)
        return weights

    def second(self, dtype: torch.dtype, fault: Fault | None, *, twin: bool = False) -> dict[Point, Ranks]:
        """Run it; a twin has the same weights, rounded alike, and computes in float64."""
        ranks = shard_weights(self.loaded(dtype, fault), self.shape, self.tp)
        if fault is not None and fault.shards is not None:
            fault.shards(ranks)
        model = SequenceFirst(
            self.shape,
            ranks,
            torch.float64 if twin else dtype,
            fault=fault,
            pairing=self.pairing,
            seed=self.seed,
        )
        return model.run(self.tokens)


def _interleaved(weights: Weights, shape: Shape) -> Weights:
    """Rows of queries and keys so ordered that pairs stand beside each other."""
    half = shape.head_dim // 2
    order = torch.arange(shape.head_dim).view(2, half).T.flatten()
    return {
        name: weight.unflatten(0, (-1, shape.head_dim))[:, order].flatten(0, 1)
        if name.split(".")[-2] in ("q", "k")
        else weight
        for name, weight in weights.items()
    }


def _check(truth: Point, fault: Fault, shown: list[Point]) -> None:
    """The twin must find the fault where it was planted, or after it where that is not shown.

    Raises:
        AssertionError: it does not: the generator is wrong.
    """
    order = {point: place for place, point in enumerate(in_order(64))}
    if fault.first in shown and truth != fault.first:
        raise AssertionError(f"{fault.detail}: planted at {fault.first}, found at {truth}")
    if truth.layer is not None and order[truth] < order.get(fault.first, len(order)):
        raise AssertionError(f"{fault.detail}: planted at {fault.first}, found before it at {truth}")


def _farthest(point: Point, ranks: Ranks, expected: Tensor, shape: Shape) -> Tensor:
    """`whole`, of the rank that is farthest off where all ought to have the same."""
    if is_sharded(point):
        return whole(point, ranks, shape)
    candidates = [whole(point, [rank], shape) for rank in ranks]
    return max(candidates, key=lambda tensor: _distance([tensor], [expected])[0])


def _equal(x: Tensor, y: Tensor) -> bool:
    return torch.equal(torch.nan_to_num(x, nan=12345.0), torch.nan_to_num(y, nan=12345.0))


def _distance(actual: Ranks, expected: Ranks) -> tuple[float, float]:
    """Relative Frobenius norm and largest element of a difference; infinite where NaN or Inf is in it."""
    x = torch.cat([tensor.double().flatten() for tensor in actual])
    y = torch.cat([tensor.double().flatten() for tensor in expected])
    gap = x - y
    if not bool(gap.isfinite().all()):
        return float("inf"), float("inf")
    norm = float(y.norm())
    return float(gap.norm()) / norm if norm else float(gap.norm()), float(gap.abs().max())
