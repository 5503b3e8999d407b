"""The first implementation: plain modules, batch first, as Hugging Face writes them. It is never broken."""

__all__ = ["BatchFirst"]

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.planted.points import Point
from bench.planted.shape import Shape
from bench.planted.weights import Weights


class BatchFirst(nn.Module):
    """Split projections, `[batch, heads, seq, dim]`, rotation by halves, `scaled_dot_product_attention`."""

    def __init__(self, shape: Shape, weights: Weights, dtype: torch.dtype) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))
        self.norm = _norm(shape)
        self.head = nn.Linear(shape.hidden, shape.vocab, bias=False)
        self.to(dtype).requires_grad_(False)
        names = {"w": "weight", "b": "bias"}
        state = {}
        for name, weight in weights.items():
            path, kind = name.rsplit(".", 1)
            path = f"layers.{path}" if path[0].isdigit() else path
            state[f"{path}.{names[kind]}"] = weight.to(dtype)
        self.load_state_dict(state)
        self.dtype = dtype

    def forward(self, tokens: Tensor) -> dict[Point, Tensor]:
        """Every point: hidden `[batch, seq, channels]`, heads `[batch, heads, seq, dim]`, scalars `[]`."""
        shape, kept = self.shape, {}
        real = torch.arange(shape.seq) >= torch.tensor(shape.padding)[:, None]
        positions = (real.long().cumsum(-1) - 1).clamp(min=0)
        cos, sin = _rotary(shape, positions, self.dtype)
        mask = _mask(shape, real)
        hidden = self.embed(tokens)
        kept[Point(None, "embeddings")] = hidden
        for number, layer in enumerate(self.layers):
            taps: dict[str, Tensor] = {}
            hidden = layer(hidden, cos, sin, mask, taps)
            kept |= {Point(number, stage): tensor for stage, tensor in taps.items()}
        hidden = self.norm(hidden)
        kept[Point(None, "final_norm")] = hidden
        kept[Point(None, "logits")] = self.head(hidden)
        return kept


class _Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        wide, narrow = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self.shape = shape
        self.norm1, self.norm2 = _norm(shape), _norm(shape)
        self.q = nn.Linear(shape.hidden, wide, bias=shape.has_bias)
        self.k = nn.Linear(shape.hidden, narrow, bias=shape.has_bias)
        self.v = nn.Linear(shape.hidden, narrow, bias=shape.has_bias)
        self.o = nn.Linear(wide, shape.hidden, bias=shape.has_bias)
        self.gate = (
            nn.Linear(shape.hidden, shape.intermediate, bias=shape.has_bias) if shape.is_gated else None
        )
        self.up = nn.Linear(shape.hidden, shape.intermediate, bias=shape.has_bias)
        self.down = nn.Linear(shape.intermediate, shape.hidden, bias=shape.has_bias)

    def forward(
        self, hidden: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, taps: dict[str, Tensor]
    ) -> Tensor:
        normed = taps["post_ln_pre_attn"] = self.norm1(hidden)
        hidden = hidden + self.attend(normed, cos, sin, mask, taps)
        normed = taps["pre_mlp"] = self.norm2(hidden)
        up = taps["up"] = self.up(normed)
        if self.gate is None:
            inner = F.gelu(up)
        else:
            gate = taps["gate"] = self.gate(normed)
            inner = F.silu(gate) * up
        taps["post_mlp"] = self.down(inner)
        return hidden + taps["post_mlp"]

    def attend(
        self, normed: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, taps: dict[str, Tensor]
    ) -> Tensor:
        shape = self.shape
        split = (shape.batch, shape.seq, -1, shape.head_dim)
        query = taps["query"] = self.q(normed).view(split).transpose(1, 2)
        key = taps["key"] = self.k(normed).view(split).transpose(1, 2)
        value = taps["value"] = taps["value_final"] = self.v(normed).view(split).transpose(1, 2)
        query = taps["query_final"] = query * cos + _rotate_half(query) * sin
        key = taps["key_final"] = key * cos + _rotate_half(key) * sin
        taps["scaling"] = torch.tensor(shape.scale)
        taps["sliding"] = torch.tensor(shape.window or 0)
        groups = shape.heads // shape.kv_heads
        out = taps["post_attn"] = F.scaled_dot_product_attention(
            query,
            key.repeat_interleave(groups, dim=1),
            value.repeat_interleave(groups, dim=1),
            attn_mask=mask,
            scale=shape.scale,
        )
        merged = out.transpose(1, 2).reshape(shape.batch, shape.seq, -1)
        taps["post_attn_pre_resid"] = self.o(merged)
        return taps["post_attn_pre_resid"]


class _RMSNorm(nn.Module):
    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, hidden: Tensor) -> Tensor:
        wide = hidden.float()
        return self.weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)).to(
            hidden.dtype
        )


def _norm(shape: Shape) -> nn.Module:
    if shape.norm == "rms":
        return _RMSNorm(shape.hidden, shape.eps)
    return nn.LayerNorm(shape.hidden, eps=shape.eps)


def _rotary(shape: Shape, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    inverse = shape.rope_base ** -(torch.arange(0, shape.head_dim, 2).float() / shape.head_dim)
    angles = positions[:, None, :, None].float() * inverse
    doubled = torch.cat((angles, angles), dim=-1)
    return doubled.cos().to(dtype), doubled.sin().to(dtype)


def _rotate_half(heads: Tensor) -> Tensor:
    left, right = heads.chunk(2, dim=-1)
    return torch.cat((-right, left), dim=-1)


def _mask(shape: Shape, real: Tensor) -> Tensor:
    """What may be seen, `[batch, 1, query, key]`; a padding token sees itself, so that no row is empty."""
    square = torch.ones(shape.seq, shape.seq, dtype=torch.bool)
    seen = square.tril()
    if shape.window is not None:
        seen = seen & square.triu(1 - shape.window)
    return ((seen & real[:, None, :]) | torch.eye(shape.seq, dtype=torch.bool))[:, None]
