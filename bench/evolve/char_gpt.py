"""A GPT over characters whose heads, MLPs and depth can differ from block to block."""

__all__ = ["CharGpt", "GptSize", "token_macs"]

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.evolve.corpus import VOCABULARY


@dataclass(frozen=True, slots=True, kw_only=True)
class GptSize:
    """Sizes at the beginning."""

    layers: int
    """Blocks."""
    heads: int
    """Of `head_dim` each, in every block."""
    inner: int
    """Width of every MLP."""
    hidden: int = 128
    """Width of the residual stream; LayerNorm lets it grow only by doubling, so it stays."""
    head_dim: int = 32
    """Of queries, keys and values."""
    length: int = 128
    """Characters of context."""


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self, size: GptSize) -> None:
        super().__init__()
        self.head_dim = size.head_dim
        self.query = nn.Linear(size.hidden, size.heads * size.head_dim)
        self.key = nn.Linear(size.hidden, size.heads * size.head_dim)
        self.value = nn.Linear(size.hidden, size.heads * size.head_dim)
        self.out = nn.Linear(size.heads * size.head_dim, size.hidden)

    def forward(self, hidden: Tensor) -> Tensor:
        """`[batch, length, hidden]` to the same."""
        query, key, value = (
            project(hidden).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self, size: GptSize) -> None:
        super().__init__()
        self.up = nn.Linear(size.hidden, size.inner)
        self.down = nn.Linear(size.inner, size.hidden)

    def forward(self, hidden: Tensor) -> Tensor:
        """`[batch, length, hidden]` to the same."""
        return self.down(F.gelu(self.up(hidden)))


class Block(nn.Module):
    """Pre-norm, as in GPT-2."""

    def __init__(self, size: GptSize) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(size.hidden)
        self.attention = Attention(size)
        self.before_mlp = nn.LayerNorm(size.hidden)
        self.mlp = Mlp(size)

    def forward(self, hidden: Tensor) -> Tensor:
        """`[batch, length, hidden]` to the same."""
        hidden = hidden + self.attention(self.before_attention(hidden))
        return hidden + self.mlp(self.before_mlp(hidden))


class CharGpt(nn.Module):
    """Characters `[batch, length]` to logits `[batch, length, vocabulary]`."""

    def __init__(self, size: GptSize) -> None:
        super().__init__()
        self.characters = nn.Embedding(VOCABULARY, size.hidden)
        self.positions = nn.Embedding(size.length, size.hidden)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.hidden)
        self.head = nn.Linear(size.hidden, VOCABULARY, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(
                    module.weight, std=0.02 if module is self.head else module.weight.shape[1] ** -0.5
                )
        for module in self.blocks:
            nn.init.normal_(module.attention.out.weight, std=0.02)
            nn.init.normal_(module.mlp.down.weight, std=0.02)

    def forward(self, characters: Tensor) -> Tensor:
        """Logits of the next character at every position."""
        places = torch.arange(characters.shape[1], device=characters.device)
        hidden = self.characters(characters) + self.positions(places)
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(self.norm(hidden))


def token_macs(model: nn.Module, length: int) -> float:
    """Multiply-adds of the forward pass for one character at the sizes of now; attention not halved."""
    linear = sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear))
    mixed = sum(
        2 * length * module.out.weight.shape[1] for module in model.modules() if isinstance(module, Attention)
    )
    return float(linear + mixed)
