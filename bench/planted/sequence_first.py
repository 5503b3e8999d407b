"""The second implementation: functions over `[seq, batch, …]`, split over ranks; faults are planted here."""

__all__ = ["LayerOptions", "NoFault", "SequenceFirst", "layer_options"]

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from bench.planted.points import Point
from bench.planted.shape import Shape
from bench.planted.weights import Weights

Ranks = list[Tensor]
"""One tensor for each rank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOptions:
    """What a line of the code below depends on; a fault changes one of them in a layer."""

    norm: str
    eps: float
    eps2: float
    norm_gain: float = 0.0
    """Added to the weight of the first norm: 1 where `1 + w` is taken for `w`."""
    norm_is_bare: bool = False
    norm_dims: tuple[int, ...] = (-1,)
    rope_base: float
    rope_dtype: torch.dtype | None = None
    rotates_query: bool = True
    rotates_key: bool = True
    pairing: str = "half"
    query_offset: int = 0
    key_offset: int = 0
    positions_skip_padding: bool = True
    scale: float
    is_causal: bool = True
    future: int = 0
    window: int | None
    masks_padding: bool = True
    group_order: str = "repeat"
    softmax_dtype: torch.dtype | None = None
    activation: str
    is_swapped: bool = False
    attention_residual: float = 1.0
    mlp_residual: float = 1.0
    residual_from: str = "stream"
    attention_reduces: bool = True
    mlp_reduces: bool = True
    attention_dropout: float = 0.0
    bias_on_every_rank: bool = False


def layer_options(shape: Shape) -> LayerOptions:
    """Options of a layer without a fault; `eps2` is of the second norm."""
    return LayerOptions(
        norm=shape.norm,
        eps=shape.eps,
        eps2=shape.eps,
        rope_base=shape.rope_base,
        scale=shape.scale,
        window=shape.window,
        activation=shape.activation,
    )


class Touch(Protocol):
    """What a fault may change while the model runs."""

    def options(self, layer: int | None, options: LayerOptions) -> LayerOptions:
        """Those of a layer; None is for the final norm."""
        ...

    def touch(self, point: Point, ranks: Ranks) -> Ranks:
        """A tensor between the line that computes it and everything that sees it."""
        ...


class NoFault:
    """Changes nothing."""

    def options(self, layer: int | None, options: LayerOptions) -> LayerOptions:
        return options

    def touch(self, point: Point, ranks: Ranks) -> Ranks:
        return ranks


class SequenceFirst:
    """Fused projections for each rank, rotation by complex numbers, a softmax of its own."""

    def __init__(
        self,
        shape: Shape,
        ranks: Sequence[Weights],
        dtype: torch.dtype,
        *,
        fault: Touch | None = None,
        pairing: str = "half",
        seed: int = 0,
    ) -> None:
        self.shape = shape
        self.ranks = [{name: weight.to(dtype) for name, weight in rank.items()} for rank in ranks]
        self.dtype = dtype
        self.wide = torch.promote_types(dtype, torch.float32)
        self.fault: Touch = fault or NoFault()
        self.pairing = pairing
        self.generator = torch.Generator().manual_seed(seed)

    def run(self, tokens: Tensor) -> dict[Point, Ranks]:
        """Every point, each as one tensor a rank: hidden `[seq, batch, channels]`, heads
        `[seq, batch, heads, dim]`, scalars `[]`; before the all-reduce of a row-parallel line as
        `Point(layer, stage + "_partial")`."""
        self.kept: dict[Point, Ranks] = {}
        embedded = [rank["embed.w"][tokens.T] for rank in self.ranks]
        stream = self.keep(Point(None, "embeddings"), embedded)
        for layer in range(self.shape.layers):
            stream = self._layer(layer, stream)
        options = self.fault.options(None, layer_options(self.shape))
        normed = self._norm("norm", options, options.eps, stream)
        normed = self.keep(Point(None, "final_norm"), normed)
        logits = [
            torch.einsum("sbc,vc->sbv", x, w["head.w"]) for x, w in zip(normed, self.ranks, strict=True)
        ]
        self.keep(Point(None, "logits"), logits)
        return self.kept

    def keep(self, point: Point, ranks: Ranks) -> Ranks:
        """Take note of a tensor, a fault's touch included, and hand it on."""
        self.kept[point] = self.fault.touch(point, ranks)
        return self.kept[point]

    def _layer(self, layer: int, stream: Ranks) -> Ranks:
        options = self.fault.options(layer, layer_options(self.shape))
        if self.pairing != "half":
            options = _paired(options, self.pairing)
        normed = self._norm(f"{layer}.norm1", options, options.eps, stream)
        normed = self.keep(Point(layer, "post_ln_pre_attn"), normed)
        added = self._attention(layer, options, normed)
        kept = normed if options.residual_from == "normed" else stream
        stream = [options.attention_residual * x + y for x, y in zip(kept, added, strict=True)]
        normed = self._norm(f"{layer}.norm2", options, options.eps2, stream)
        normed = self.keep(Point(layer, "pre_mlp"), normed)
        added = self._mlp(layer, options, normed)
        return [options.mlp_residual * x + y for x, y in zip(stream, added, strict=True)]

    def _norm(self, name: str, options: LayerOptions, eps: float, stream: Ranks) -> Ranks:
        normed = []
        for x, weights in zip(stream, self.ranks, strict=True):
            wide = x.to(self.wide)
            if options.norm == "layer":
                wide = wide - wide.mean(options.norm_dims, keepdim=True)
            power = (wide * wide).mean(options.norm_dims, keepdim=True)
            wide = wide / torch.sqrt(power + eps)
            if not options.norm_is_bare:
                wide = wide * (weights[f"{name}.w"].to(self.wide) + options.norm_gain)
            if f"{name}.b" in weights:
                wide = wide + weights[f"{name}.b"].to(self.wide)
            normed.append(wide.to(x.dtype))
        return normed

    def _attention(self, layer: int, options: LayerOptions, normed: Ranks) -> Ranks:
        size = self.shape.head_dim
        queries, keys, values = [], [], []
        for x, weights in zip(normed, self.ranks, strict=True):
            names = [f"{layer}.{role}" for role in "qkv"]
            fused = torch.einsum("sbc,oc->sbo", x, torch.cat([weights[f"{name}.w"] for name in names]))
            if f"{layer}.q.b" in weights:
                fused = fused + torch.cat([weights[f"{name}.b"] for name in names])
            heads = fused.unflatten(-1, (-1, size))
            own = weights[f"{layer}.k.w"].shape[0] // size
            query, key, value = heads.split((heads.shape[2] - 2 * own, own, own), dim=2)
            queries.append(query)
            keys.append(key)
            values.append(value)
        queries = self.keep(Point(layer, "query"), queries)
        keys = self.keep(Point(layer, "key"), keys)
        values = self.keep(Point(layer, "value"), values)
        if options.rotates_query:
            queries = [self._rotate(x, options, options.query_offset) for x in queries]
        if options.rotates_key:
            keys = [self._rotate(x, options, options.key_offset) for x in keys]
        queries = self.keep(Point(layer, "query_final"), queries)
        keys = self.keep(Point(layer, "key_final"), keys)
        values = self.keep(Point(layer, "value_final"), values)
        self.keep(Point(layer, "scaling"), [torch.tensor(options.scale) for _ in queries])
        self.keep(Point(layer, "sliding"), [torch.tensor(options.window or 0) for _ in queries])
        hidden = torch.zeros((), dtype=self.wide).masked_fill(~self._seen(options), -math.inf)
        mixed = [self._mix(q, k, v, hidden, options) for q, k, v in zip(queries, keys, values, strict=True)]
        mixed = self.keep(Point(layer, "post_attn"), mixed)
        merged = [x.flatten(2) for x in mixed]
        return self._row_parallel(
            Point(layer, "post_attn_pre_resid"), f"{layer}.o", merged, options.attention_reduces, options
        )

    def _mix(
        self, query: Tensor, key: Tensor, value: Tensor, hidden: Tensor, options: LayerOptions
    ) -> Tensor:
        """One rank: query `[seq, batch, heads, dim]`, key and value `[seq, batch, groups, dim]`."""
        groups = key.shape[2]
        if options.group_order == "repeat":
            grouped = query.unflatten(2, (groups, -1))
        else:
            grouped = query.unflatten(2, (-1, groups)).transpose(2, 3)
        scores = torch.einsum("sbgrd,tbgd->bgrst", grouped, key) * options.scale
        scores = scores.to(options.softmax_dtype or self.wide) + hidden.to(options.softmax_dtype or self.wide)
        weights = (scores - scores.amax(-1, keepdim=True)).exp()
        weights = (weights / weights.sum(-1, keepdim=True)).to(value.dtype)
        if options.attention_dropout:
            kept = torch.rand(weights.shape, generator=self.generator) >= options.attention_dropout
            weights = weights * kept / (1 - options.attention_dropout)
        out = torch.einsum("bgrst,tbgd->sbgrd", weights, value)
        if options.group_order != "repeat":
            out = out.transpose(2, 3)
        return out.flatten(2, 3)

    def _mlp(self, layer: int, options: LayerOptions, normed: Ranks) -> Ranks:
        up = self.keep(Point(layer, "up"), self._columns(f"{layer}.up", normed))
        if self.shape.is_gated:
            gate = self.keep(Point(layer, "gate"), self._columns(f"{layer}.gate", normed))
            if options.is_swapped:
                gate, up = up, gate
            inner = [
                _activation(options.activation, g.to(self.wide)).to(g.dtype) * u
                for g, u in zip(gate, up, strict=True)
            ]
        else:
            inner = [_activation(options.activation, u.to(self.wide)).to(u.dtype) for u in up]
        return self._row_parallel(
            Point(layer, "post_mlp"), f"{layer}.down", inner, options.mlp_reduces, options
        )

    def _columns(self, name: str, normed: Ranks) -> Ranks:
        outputs = []
        for x, weights in zip(normed, self.ranks, strict=True):
            y = torch.einsum("sbc,fc->sbf", x, weights[f"{name}.w"])
            outputs.append(y + weights[f"{name}.b"] if f"{name}.b" in weights else y)
        return outputs

    def _row_parallel(
        self, point: Point, name: str, inputs: Ranks, reduces: bool, options: LayerOptions
    ) -> Ranks:
        partial = [
            torch.einsum("sbi,oi->sbo", x, weights[f"{name}.w"])
            for x, weights in zip(inputs, self.ranks, strict=True)
        ]
        self.kept[Point(point.layer, f"{point.stage}_partial")] = partial
        if options.bias_on_every_rank and f"{name}.b" in self.ranks[0]:
            partial = [y + weights[f"{name}.b"] for y, weights in zip(partial, self.ranks, strict=True)]
        summed = partial
        if reduces:
            total = partial[0]
            for y in partial[1:]:
                total = total + y
            summed = [total for _ in partial]
        if f"{name}.b" in self.ranks[0] and not options.bias_on_every_rank:
            summed = [y + weights[f"{name}.b"] for y, weights in zip(summed, self.ranks, strict=True)]
        return self.keep(point, summed)

    def _rotate(self, heads: Tensor, options: LayerOptions, offset: int) -> Tensor:
        """Each pair of a head's dim as a complex number, turned by its angle."""
        half = heads.shape[-1] // 2
        speeds = torch.exp(torch.arange(half, dtype=self.wide) * (-math.log(options.rope_base) / half))
        low = options.rope_dtype or self.wide
        angles = (self._positions(options) + offset).to(low)[..., None] * speeds.to(low)
        angles = angles.to(self.wide)
        turn = torch.polar(torch.ones_like(angles), angles)[:, :, None, :]
        wide = heads.to(self.wide)
        if options.pairing == "half":
            turned = torch.complex(wide[..., :half], wide[..., half:]) * turn
            return torch.cat((turned.real, turned.imag), dim=-1).to(heads.dtype)
        turned = torch.view_as_complex(wide.unflatten(-1, (half, 2)).contiguous()) * turn
        return torch.view_as_real(turned).flatten(-2).to(heads.dtype)

    def _positions(self, options: LayerOptions) -> Tensor:
        """`[seq, batch]`"""
        index = torch.arange(self.shape.seq)[:, None]
        if not options.positions_skip_padding:
            return index.expand(-1, self.shape.batch)
        return (index - torch.tensor(self.shape.padding)).clamp(min=0)

    def _seen(self, options: LayerOptions) -> Tensor:
        """`[batch, 1, 1, query, key]`"""
        query = torch.arange(self.shape.seq)[:, None]
        key = torch.arange(self.shape.seq)
        seen = key <= query + options.future if options.is_causal else torch.ones_like(key - query).bool()
        if options.window is not None:
            seen = seen & (query - key < options.window)
        pads = torch.tensor(self.shape.padding)[:, None, None]
        if options.masks_padding:
            seen = (seen & (key >= pads)) | (query == key)
        else:
            seen = seen.expand(len(pads), -1, -1)
        return seen[:, None, None]


def _paired(options: LayerOptions, pairing: str) -> LayerOptions:
    return replace(options, pairing="half" if options.pairing == pairing else pairing)


def _activation(kind: str, x: Tensor) -> Tensor:
    if kind == "silu":
        return x / (1 + torch.exp(-x))
    if kind == "gelu":
        return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    if kind == "gelu_tanh":
        return x * 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    if kind == "relu":
        return x.clamp(min=0)
    return x / (1 + torch.exp(-1.702 * x))
