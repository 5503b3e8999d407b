"""What a run leaves: its tensors under somebody's names and in somebody's layout, for each rank."""

__all__ = [
    "Dump",
    "Style",
    "dump_batch_first",
    "dump_sequence_first",
    "is_sharded",
    "named_parameters",
    "whole",
]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.planted.points import HEADS, SCALARS, Point, in_order
from bench.planted.sequence_first import Ranks
from bench.planted.shape import Shape
from bench.planted.vocabulary import VOCABULARIES

_KV = {"key", "value", "key_final", "value_final"}
_SHARDED = {"gate", "up", "logits"}
_FUSED = {"qkv": ("query", "key", "value"), "gate_up": ("gate", "up")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How a run is dumped."""

    vocabulary: str
    first_layer: int = 0
    hidden: str = "b s c"
    """Order of dims; those in brackets are one, a dim that is not named has size 1 and is left out."""
    heads: str = "b h s d"
    fused: tuple[str, ...] = ()
    """`qkv`, `gate_up`: lines that are one tensor."""
    fused_order: str = "parts"
    """Of QKV: `parts` (all queries, all keys, all values) or `groups` (queries, key and value of one KV head
    after the other; with as many KV heads as heads that is one head after the other)."""
    has_scalars: bool = True
    repeats_kv: bool = False
    """Whether keys and values are shown once for each query head."""
    gathers_logits: bool = False
    is_partial: bool = False
    """Whether row-parallel lines are shown before the all-reduce."""
    has_parameters: bool = False
    """Whether weights are shown, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dump:
    """Tensors by name for each rank, in the order of execution, and which points each name holds."""

    ranks: tuple[Mapping[str, Tensor], ...]
    holds: Mapping[str, tuple[Point, ...]]
    are_modules: bool
    parameters: Mapping[str, Tensor] = field(default_factory=dict)
    """By qualified name; only recordings show them."""

    @property
    def points(self) -> set[Point]:
        """All that are shown."""
        return {point for points in self.holds.values() for point in points}


def dump_batch_first(kept: Mapping[Point, Tensor], shape: Shape, style: Style) -> Dump:
    """Of the first implementation."""
    axes = {point: [tensor] for point, tensor in kept.items()}
    return _dump(axes, shape, style, "b s c", "b h s d")


def dump_sequence_first(kept: Mapping[Point, Ranks], shape: Shape, style: Style) -> Dump:
    """Of the second one."""
    chosen = dict(kept)
    for point, ranks in kept.items():
        if style.is_partial and Point(point.layer, f"{point.stage}_partial") in kept:
            chosen[point] = kept[Point(point.layer, f"{point.stage}_partial")]
        if point.stage == "logits" and style.gathers_logits:
            chosen[point] = [torch.cat(ranks, dim=-1)] * len(ranks)
    return _dump(chosen, shape, style, "s b c", "s b h d")


def named_parameters(weights: Mapping[str, Tensor], style: Style) -> dict[str, Tensor]:
    """Weights by the names of a style's vocabulary, biases included; none where it does not show them."""
    if not style.has_parameters:
        return {}
    modules, kinds = VOCABULARIES[style.vocabulary].weights, {"w": "weight", "b": "bias"}
    named = {}
    for name, weight in weights.items():
        *layer, role, kind = name.split(".")
        named[f"{modules[role].format(n=''.join(layer))}.{kinds[kind]}"] = weight.clone()
    return named


def is_sharded(point: Point) -> bool:
    """Whether each rank of the second implementation has another part of it."""
    return point.stage in HEADS | _SHARDED


def whole(point: Point, ranks: Ranks, shape: Shape) -> Tensor:
    """The tensor of all ranks of the second implementation in the dims of the first one."""
    if point.stage in SCALARS:
        return ranks[0]
    if point.stage in HEADS:
        if point.stage in _KV:
            ranks = ranks[:: max(1, len(ranks) // shape.kv_heads)]
        return torch.cat(ranks, dim=2).permute(1, 2, 0, 3)
    return (torch.cat(ranks, dim=-1) if point.stage in _SHARDED else ranks[0]).transpose(0, 1)


def _dump(kept: Mapping[Point, Ranks], shape: Shape, style: Style, hidden: str, heads: str) -> Dump:
    vocabulary = VOCABULARIES[style.vocabulary]
    ranks: list[dict[str, Tensor]] = [{} for _ in next(iter(kept.values()))]
    holds: dict[str, tuple[Point, ...]] = {}
    fused = {part: line for line in style.fused for part in _FUSED[line]}
    for point in in_order(shape.layers):
        if point not in kept or (point.stage in SCALARS and not style.has_scalars):
            continue
        line = fused.get(point.stage)
        if line is not None:
            parts = tuple(Point(point.layer, stage) for stage in _FUSED[line])
            name = vocabulary.name(Point(point.layer, line), style.first_layer)
            if name is not None and point == parts[0] and all(part in kept for part in parts):
                holds[name] = parts
                for rank, tensors in enumerate(ranks):
                    tensors[name] = _fuse(
                        line, [kept[part][rank] for part in parts], shape, style, heads, hidden
                    )
            continue
        name = vocabulary.name(point, style.first_layer)
        if name is None:
            continue
        holds[name] = (point,)
        for rank, tensors in enumerate(ranks):
            tensors[name] = _shown(point, kept[point][rank], shape, style, hidden, heads)
    return Dump(ranks=tuple(ranks), holds=holds, are_modules=vocabulary.are_modules)


def _shown(point: Point, tensor: Tensor, shape: Shape, style: Style, hidden: str, heads: str) -> Tensor:
    if point.stage in SCALARS:
        return tensor.clone()
    if point.stage not in HEADS:
        return _laid_out(tensor, hidden, style.hidden)
    if style.repeats_kv and point.stage in ("key_final", "value_final"):
        axis = heads.split().index("h")
        tensor = tensor.repeat_interleave(shape.heads // shape.kv_heads, dim=axis)
    return _laid_out(tensor, heads, style.heads)


def _fuse(line: str, parts: list[Tensor], shape: Shape, style: Style, heads: str, hidden: str) -> Tensor:
    """One tensor of `style.hidden`, whose channels are those of all parts."""
    if line == "gate_up":
        return _laid_out(torch.cat(parts, dim=-1), hidden, style.hidden)
    query, key, value = (_laid_out(part, heads, "b s h d") for part in parts)
    if style.fused_order == "parts":
        joined = torch.cat([query, key, value], dim=2)
    else:
        grouped = query.unflatten(2, (key.shape[2], -1))
        joined = torch.cat([grouped, key[:, :, :, None], value[:, :, :, None]], dim=3).flatten(2, 3)
    return _laid_out(joined.flatten(2), "b s c", style.hidden)


def _laid_out(tensor: Tensor, given: str, wanted: str) -> Tensor:
    """`_laid_out(x, "b s c", "s (b c)")`: permuted, merged and written anew."""
    axes = given.split()
    groups: list[list[str]] = []
    is_open = False
    for word in wanted.replace("(", "( ").replace(")", " )").split():
        if word == "(":
            groups.append([])
            is_open = True
        elif word == ")":
            is_open = False
        elif is_open:
            groups[-1].append(word)
        else:
            groups.append([word])
    sizes = dict(zip(axes, tensor.shape, strict=True))
    named = [axis for group in groups for axis in group]
    left_out = [axis for axis in axes if axis not in named]
    if any(sizes[axis] != 1 for axis in left_out):
        raise ValueError(f"{wanted!r} leaves out {left_out} of {sizes}")
    permuted = tensor.permute([axes.index(axis) for axis in (*left_out, *named)])
    merged = permuted.reshape([_product(sizes[axis] for axis in group) for group in groups])
    return merged.clone(memory_format=torch.contiguous_format)


def _product(sizes: Iterable[int]) -> int:
    total = 1
    for size in sizes:
        total *= size
    return total
