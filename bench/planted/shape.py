"""Sizes of a small GPT, drawn at random."""

__all__ = ["Shape", "draw_shape"]

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What both implementations are told about the model, and about what it is fed."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    batch: int
    seq: int
    norm: str
    """`rms` or `layer`."""
    activation: str
    """`silu` (with a gate) or `gelu` (without)."""
    eps: float
    rope_base: float
    window: int | None
    """How many tokens a token sees, itself included; None for all."""
    has_bias: bool
    is_tied: bool
    embedding_std: float
    padding: tuple[int, ...]
    """How many tokens of each sequence, at its beginning, are padding."""

    @property
    def is_gated(self) -> bool:
        return self.activation == "silu"

    @property
    def scale(self) -> float:
        return self.head_dim**-0.5


def draw_shape(
    rng: random.Random,
    *,
    tp: int = 1,
    activation: str | None = None,
    window: bool = False,
    padding: bool = False,
    bias: bool = False,
    gqa: bool = False,
    square: bool = False,
) -> Shape:
    """A model that `tp` ranks can share and in which the fault that is to be planted has a place."""
    for _ in range(1000):
        shape = _draw(rng, tp, activation, window, padding, bias, gqa, square)
        sizes = [shape.hidden, shape.heads, shape.kv_heads, shape.head_dim, shape.seq, shape.intermediate]
        sizes += [shape.vocab, shape.batch]
        # One model in ten may have two equal sizes, so that shapes alone do not tell its dims apart.
        if len(set(sizes)) == len(sizes) or rng.random() < 0.1:
            return shape
    raise AssertionError("no shape with distinct sizes in 1000 draws")


def _draw(
    rng: random.Random,
    tp: int,
    activation: str | None,
    window: bool,
    padding: bool,
    bias: bool,
    gqa: bool,
    square: bool,
) -> Shape:
    groups = rng.choice([2, 3, 4] if gqa else [1, 2, 2, 3, 4])
    least = tp if rng.random() < 0.8 else max(1, tp // 2)
    kv_heads = rng.choice([n for n in (1, 2, 3, 4, 6, 8) if n % least == 0 and (n % tp == 0 or tp % n == 0)])
    while kv_heads * groups % tp:
        groups += 1
    if gqa:
        kv_heads = max(kv_heads, 2)
    if kv_heads * groups > 16:
        groups = 2 if gqa else 1
    heads = kv_heads * groups
    head_dim = rng.choice([8, 10, 12, 16, 20])
    hidden = heads * head_dim if square or rng.random() < 0.5 else 4 * rng.randint(8, 30)
    batch = rng.choice([1, 1, 1, 2, 3, 4])
    seq = rng.randint(9, 41)
    pads = tuple(rng.randint(0, seq // 3) for _ in range(batch))
    if padding:
        pads = (rng.randint(1, seq // 3), *pads[1:])
    elif rng.random() < 0.85:
        pads = (0,) * batch
    return Shape(
        layers=rng.randint(2, 8),
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=4 * rng.randint(hidden // 4, hidden),
        vocab=4 * rng.randint(12, 60),
        batch=batch,
        seq=seq,
        norm=rng.choice(["rms", "rms", "layer"]),
        activation=activation or rng.choice(["silu", "gelu"]),
        eps=rng.choice([1e-6, 1e-5]),
        rope_base=rng.choice([100.0, 1000.0, 10000.0, 500000.0]),
        window=rng.randint(3, seq // 2) if window or rng.random() < 0.25 else None,
        has_bias=bias or rng.random() < 0.35,
        is_tied=rng.random() < 0.3,
        embedding_std=rng.choice([0.02, 0.1, 1.0]),
        padding=pads,
    )
