"""A small GPT that trains: what `record_overhead` slows down."""

__all__ = ["SHAPES", "GptShape", "SmallGpt"]

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, slots=True, kw_only=True)
class GptShape:
    """Sizes of a GPT and of what it is trained on."""

    vocab: int
    hidden: int
    heads: int
    layers: int
    length: int
    batch: int


SHAPES = {
    "toy": GptShape(vocab=65, hidden=32, heads=2, layers=2, length=16, batch=2),
    # The "baby GPT" of nanoGPT on characters, in smaller batches, and GPT-2 small. What a step computes and
    # what it gives to record both grow with the batch.
    "baby": GptShape(vocab=65, hidden=384, heads=6, layers=6, length=256, batch=2),
    "gpt2": GptShape(vocab=50257, hidden=768, heads=12, layers=12, length=256, batch=1),
}


class _Attention(nn.Module):
    def __init__(self, shape: GptShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.hidden, 3 * shape.hidden)
        self.out = nn.Linear(shape.hidden, shape.hidden)

    def forward(self, hidden: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(hidden).chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class _Block(nn.Module):
    def __init__(self, shape: GptShape) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(shape.hidden)
        self.attention = _Attention(shape)
        self.before_mlp = nn.LayerNorm(shape.hidden)
        self.mlp = nn.Sequential(
            nn.Linear(shape.hidden, 4 * shape.hidden), nn.GELU(), nn.Linear(4 * shape.hidden, shape.hidden)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.attention(self.before_attention(hidden))
        return hidden + self.mlp(self.before_mlp(hidden))


class SmallGpt(nn.Module):
    """Token and position embeddings, blocks with norms before, logits; `[batch, seq]` to logits."""

    def __init__(self, shape: GptShape) -> None:
        super().__init__()
        self.tokens = nn.Embedding(shape.vocab, shape.hidden)
        self.positions = nn.Embedding(shape.length, shape.hidden)
        self.blocks = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.hidden)
        self.head = nn.Linear(shape.hidden, shape.vocab, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(self.norm(hidden))
