"""Pairs of tensors with one thing wrong, and what a diagnosis may say of each."""

import math
from types import MappingProxyType

import torch

from outgrow.capture.recording import Record
from outgrow.compare.diagnosis import diagnose
from outgrow.compare.finding import Finding
from outgrow.compare.judge import Measured, judge
from outgrow.compare.layout import Identity, StageLayout
from outgrow.compare.measures import measure
from outgrow.compare.pair import Pair

SEQ, HEADS, DIM = 24, 6, 16


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def record(name, tensor, sequence=0, kind="outputs"):
    return Record(
        name=name, sequence=sequence, dtype=tensor.dtype, shape=tuple(tensor.shape),
        read=lambda: tensor, kind=kind, mesh=MappingProxyType({}),
    )  # fmt: skip


def findings(*pairs):
    """Of `(name, expected, actual)` or `(name, expected, actual, kind)`; `actual` may be a list of ranks, of
    which the first is laid over `expected` as it is, or concatenated along the dim that fits."""
    rows, measured = [], []
    for place, (name, expected, actual, *kind) in enumerate(pairs):
        ranks = actual if isinstance(actual, list) else [actual]
        kind = kind[0] if kind else "outputs"
        layer, _, stage = name.partition("_")
        pair = Pair(
            expected=record(name, expected, place, kind),
            actual=tuple(record(name, rank, place, kind) for rank in ranks),
            stage=stage or name,
            layer=int(layer) if layer.isdigit() else None,
            how="identical",
        )
        rows.append(pair)
        measures = measure(laid_out(ranks, expected), expected)
        measured.append(Measured(name=name, stage=pair.stage, layer=pair.layer, kind=kind, measures=measures))
    judgement = judge(measured)
    return [
        Finding(pair=pair, layout=StageLayout(layout=Identity()), measures=row.measures, judged=judged)
        for pair, row, judged in zip(rows, measured, judgement.judged, strict=True)
    ]


def laid_out(ranks, expected):
    if ranks[0].shape == expected.shape:
        return ranks[0]
    dim = next(d for d in range(expected.ndim) if ranks[0].shape[d] != expected.shape[d])
    return torch.cat(ranks, dim)


def read(finding):
    expected = finding.pair.expected.read()
    return laid_out([rank.read() for rank in finding.pair.actual], expected), expected


def said(*pairs, limit=1):
    """The diagnoses of the first divergence, detail by kind."""
    return {found.kind: found.detail for found in diagnose(findings(*pairs), read=read, limit=limit)}


def noisy(tensor, level=1e-7, seed=99):
    """As another implementation would compute it."""
    return tensor * (1 + level * numbers(*tensor.shape, seed=seed))


def rotated(heads, base, *, offset=0, sign=1, pairing="half"):
    """`[heads, seq, dim]`, turned as RoPE does."""
    half = heads.shape[-1] // 2
    theta = base ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = sign * (torch.arange(heads.shape[1], dtype=torch.float64)[:, None] + offset) * theta
    if pairing == "half":
        turned = torch.complex(heads[..., :half].double(), heads[..., half:].double())
        turned = turned * torch.polar(torch.ones_like(angles), angles)
        return torch.cat([turned.real, turned.imag], -1).float()
    turned = torch.view_as_complex(heads.double().unflatten(-1, (half, 2)).contiguous())
    turned = turned * torch.polar(torch.ones_like(angles), angles)
    return torch.view_as_real(turned).flatten(-2).float()


def changed(tensor, index, value):
    tensor = tensor.clone()
    tensor[index] = value
    return tensor


def flipped(tensor, index, bit):
    tensor = tensor.clone()
    bits = tensor.view(torch.int32)
    bits[index] ^= 1 << bit
    return tensor


FLAT = numbers(SEQ, HEADS * DIM)
HEADED = numbers(HEADS, SEQ, DIM, seed=1)
BEFORE = numbers(SEQ, HEADS * DIM, seed=2)
SQUARE = numbers(64, 64, seed=3)
FACTORS = 1 + 0.3 * numbers(HEADS * DIM, seed=4)
PARTS = [numbers(64, 96, seed=seed) for seed in range(10, 14)]
RIGHT = ("0_input", BEFORE, noisy(BEFORE, seed=5))

CASES = {
    "factor": ([RIGHT, ("0_query", FLAT, noisy(FLAT / 4))], {"constant_factor"}),
    "sign": ([RIGHT, ("0_query", FLAT, noisy(-FLAT))], {"constant_factor"}),
    "zero": ([RIGHT, ("0_query", FLAT, torch.zeros_like(FLAT))], {"constant_factor"}),
    "scalar": ([("0_scaling", torch.tensor(0.125), torch.tensor(1.0))], {"constant_factor"}),
    "heads": ([RIGHT, ("0_key", HEADED, noisy(HEADED[[2, 1, 0, 5, 3, 4]]))], {"permutation", "place"}),
    "halves": (
        [RIGHT, ("0_key", FLAT, noisy(FLAT.roll(HEADS * DIM // 2, -1)))],
        {"permutation"},
    ),
    "interleaved": (
        [RIGHT, ("0_key", HEADED, noisy(HEADED.unflatten(-1, (2, DIM // 2)).transpose(-1, -2).flatten(-2)))],
        {"permutation", "place"},
    ),
    "tiled": (
        [RIGHT, ("0_key", HEADED[:2].repeat_interleave(3, 0), noisy(HEADED[:2].repeat(3, 1, 1)))],
        {"permutation", "place"},
    ),
    "late": ([RIGHT, ("0_key", FLAT, noisy(torch.cat([FLAT[:1], FLAT[:-1]])))], {"shift", "place"}),
    "early": ([RIGHT, ("0_key", HEADED, noisy(HEADED.roll(-1, 1)))], {"shift"}),
    "ranks": (
        [RIGHT, ("0_query", FLAT, list(noisy(FLAT).chunk(3, -1))[::-1])],
        {"wrong_rank_order", "place"},
    ),
    "all_reduce": ([("0_out", sum(PARTS), list(PARTS))], {"missing_all_reduce"}),
    "one_partial_sum": ([("0_out", sum(PARTS), PARTS[0])], {"missing_all_reduce"}),
    "nan": ([RIGHT, ("0_query", FLAT, changed(FLAT, (3, 5), math.nan))], {"nan_born", "place"}),
    "infinity": ([RIGHT, ("0_query", FLAT, changed(FLAT, 3, math.inf))], {"nan_born", "place"}),
    "downgrade": ([RIGHT, ("0_query", FLAT, FLAT.bfloat16().float())], {"dtype_downgrade"}),
    "downgrade_inside": ([RIGHT, ("0_query", FLAT, noisy(FLAT.half().float()))], {"dtype_downgrade"}),
    "transposed": ([RIGHT, ("0_scores", SQUARE, noisy(SQUARE.T))], {"transposed"}),
    "bit": ([RIGHT, ("0_query", FLAT, flipped(FLAT, (7, 9), 26))], {"bad_element"}),
    "base": (
        [RIGHT, ("0_query", rotated(HEADED, 1e4), noisy(rotated(HEADED, 5e5)))],
        {"rotation", "place"},
    ),
    "position": (
        [RIGHT, ("0_query", rotated(HEADED, 1e4), noisy(rotated(HEADED, 1e4, offset=1)))],
        {"rotation", "place"},
    ),
    "backwards": (
        [RIGHT, ("0_query", rotated(HEADED, 1e4), noisy(rotated(HEADED, 1e4, sign=-1)))],
        {"rotation", "place"},
    ),
    "not_rotated": (
        [("0_query", HEADED, noisy(HEADED)), ("0_query_final", rotated(HEADED, 1e4), noisy(HEADED))],
        {"rotation", "unchanged", "place"},
    ),
    "not_added": ([RIGHT, ("0_sum", BEFORE + FLAT, noisy(FLAT))], {"missing_term"}),
    "added_twice": ([RIGHT, ("0_sum", BEFORE + FLAT, noisy(2 * BEFORE + FLAT))], {"missing_term"}),
    "channels": ([RIGHT, ("0_norm", FLAT * FACTORS, noisy(FLAT))], {"channel_factor"}),
    "rows": (
        [RIGHT, ("0_norm", FLAT, noisy(FLAT * (1 + 0.1 * numbers(SEQ, 1, seed=6))))],
        {"row_factor"},
    ),
    "bias": ([RIGHT, ("0_query", FLAT + FACTORS, noisy(FLAT))], {"channel_offset"}),
    "bias_of_heads": (
        [RIGHT, ("0_query", HEADED + FACTORS.reshape(HEADS, 1, DIM), noisy(HEADED))],
        {"channel_offset"},
    ),
    "mean": (
        [RIGHT, ("0_norm", FLAT, noisy(FLAT + 0.2 * numbers(SEQ, 1, seed=6)))],
        {"row_offset"},
    ),
    "other_layer": (
        [("0_norm", BEFORE, noisy(BEFORE)), ("1_norm", FLAT, noisy(BEFORE))],
        {"misplaced", "unchanged"},
    ),
    "last_rows": (
        [RIGHT, ("0_post_attn", FLAT, torch.cat([noisy(FLAT[:-4]), numbers(4, HEADS * DIM, seed=7)]))],
        {"place"},
    ),
    "something_else": ([RIGHT, ("0_query", FLAT, numbers(SEQ, HEADS * DIM, seed=8))], set()),
    "noise": ([RIGHT, ("0_query", FLAT, noisy(FLAT, 0.01))], set()),
    "another_function": ([RIGHT, ("0_act", FLAT.relu(), torch.nn.functional.gelu(FLAT))], set()),
    "one_of_four_columns_mixed": (
        [RIGHT, ("0_out", FLAT, noisy(FLAT @ torch.linalg.qr(numbers(96, 96, seed=9))[0]))],
        set(),
    ),
}
"""By name: pairs in order of execution, and every kind that may be said of the first wrong one."""
