"""Random weights of a small GPT, by name, and a rank's part of them."""

__all__ = ["Weights", "draw_tokens", "draw_weights", "shard_weights"]

import torch
from torch import Tensor

from bench.planted.shape import Shape

Weights = dict[str, Tensor]


def draw_weights(shape: Shape, generator: torch.Generator) -> Weights:
    """All weights in float64, `[out, in]`: `3.q.w`, `3.q.b`, `3.norm1.w`, `embed.w`, `norm.w`, `head.w`."""

    def normal(*size: int, std: float) -> Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64) * std

    weights: Weights = {"embed.w": normal(shape.vocab, shape.hidden, std=shape.embedding_std)}

    def add_linear(name: str, rows: int, columns: int, gain: float) -> None:
        weights[f"{name}.w"] = normal(rows, columns, std=gain * columns**-0.5)
        if shape.has_bias:
            weights[f"{name}.b"] = normal(rows, std=0.1 * gain)

    def add_norm(name: str) -> None:
        weights[f"{name}.w"] = 1 + normal(shape.hidden, std=0.2)
        if shape.norm == "layer":
            weights[f"{name}.b"] = normal(shape.hidden, std=0.1)

    wide, narrow = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    for layer in range(shape.layers):
        add_norm(f"{layer}.norm1")
        add_linear(f"{layer}.q", wide, shape.hidden, 1.3)
        add_linear(f"{layer}.k", narrow, shape.hidden, 1.3)
        add_linear(f"{layer}.v", narrow, shape.hidden, 1.0)
        add_linear(f"{layer}.o", shape.hidden, wide, 0.8)
        add_norm(f"{layer}.norm2")
        if shape.is_gated:
            add_linear(f"{layer}.gate", shape.intermediate, shape.hidden, 1.2)
        add_linear(f"{layer}.up", shape.intermediate, shape.hidden, 1.2)
        add_linear(f"{layer}.down", shape.hidden, shape.intermediate, 1.0)
    add_norm("norm")
    weights["head.w"] = (
        weights["embed.w"] if shape.is_tied else normal(shape.vocab, shape.hidden, std=shape.hidden**-0.5)
    )
    return weights


def draw_tokens(shape: Shape, generator: torch.Generator) -> Tensor:
    """Token ids, `[batch, seq]`."""
    return torch.randint(0, shape.vocab, (shape.batch, shape.seq), generator=generator)


def shard_weights(weights: Weights, shape: Shape, tp: int) -> list[Weights]:
    """The weights of each rank: heads and channels by rows, what follows them by columns, the rest whole.

    A KV head that several ranks need is on all of them.
    """
    ranks: list[Weights] = []
    for rank in range(tp):
        mine: Weights = {}
        for name, weight in weights.items():
            role, kind = name.split(".")[-2:]
            if role in ("q", "gate", "up", "head"):
                mine[name] = weight.chunk(tp, dim=0)[rank]
            elif role in ("k", "v"):
                heads = weight.unflatten(0, (shape.kv_heads, shape.head_dim))
                copies = max(1, tp // shape.kv_heads)
                mine[name] = heads.chunk(tp // copies, dim=0)[rank // copies].flatten(0, 1)
            elif role in ("o", "down") and kind == "w":
                mine[name] = weight.chunk(tp, dim=1)[rank]
            else:
                mine[name] = weight
        ranks.append(mine)
    return ranks
