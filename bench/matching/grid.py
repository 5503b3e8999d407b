"""The layouts of the grid: how two runs hold the same numbers `[batch, tokens, heads, size]`."""

__all__ = ["LAYOUTS", "Held", "Sizes"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from outgrow.compare.pair import FusedPart


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Of the numbers `[batch, tokens, heads, size]`."""

    batch: int
    tokens: int
    heads: int
    size: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """In that order."""
        return self.batch, self.tokens, self.heads, self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How the expected run holds the numbers, and how each rank of the actual one does."""

    expected: Callable[[Tensor], Tensor]
    actual: Callable[[Tensor, int], Sequence[Tensor]]
    """From the numbers and the count of ranks."""
    fused: FusedPart | None = None
    stage: str = "query"
    holds: int = 1
    """How many times as many numbers the larger side holds."""
    batch: int = 1
    ranks: tuple[int, ...] = (1,)


def _qkv(index: int, side: str) -> FusedPart:
    return FusedPart(side=side, parts=("query", "key", "value"), index=index, group="qkv")  # type: ignore[arg-type]


def _bhsd(x: Tensor) -> Tensor:
    return x.transpose(1, 2).contiguous()


def _bsc(x: Tensor) -> Tensor:
    return x.flatten(2).contiguous()


def _by_heads(x: Tensor, ranks: int) -> list[Tensor]:
    return list(x.chunk(ranks, dim=2))


def _each(lay: Callable[[Tensor], Tensor]) -> Callable[[Tensor, int], Sequence[Tensor]]:
    """Heads over ranks, each rank's laid out like that."""
    return lambda x, ranks: [lay(part).contiguous() for part in _by_heads(x, ranks)]


def _others(x: Tensor, count: int) -> list[Tensor]:
    """Other parts of a fused tensor; the same ones whatever noise or fault is in `x`."""
    generator = torch.Generator().manual_seed(x.numel() + count)
    shape = list(x.shape)
    return [torch.randn(shape, generator=generator, dtype=x.dtype) for _ in range(count)]


def _concatenated(index: int) -> Callable[[Tensor, int], Sequence[Tensor]]:
    """`[q; k; v]` along the channels, on each rank its own heads of all three."""

    def lay(x: Tensor, ranks: int) -> list[Tensor]:
        parts = _others(x, 2)
        parts.insert(index, x)
        pieces = zip(*(_by_heads(part, ranks) for part in parts), strict=True)
        return [torch.cat([_bsc(part) for part in piece], dim=2) for piece in pieces]

    return lay


def _per_head(x: Tensor, ranks: int) -> list[Tensor]:
    """Query, key and value of a head beside each other; `x` is the key."""
    query, value = _others(x, 2)
    return [_bsc(part.flatten(3)) for part in torch.stack([query, x, value], dim=3).chunk(ranks, dim=2)]


def _per_group(x: Tensor, ranks: int) -> list[Tensor]:
    """The queries of a key-value head, then its key and value; `x` is the query, four heads a group."""
    batch, tokens, heads, size = x.shape
    key, value = (part[:, :, : heads // 4, None] for part in _others(x, 2))
    groups = torch.cat([x.reshape(batch, tokens, heads // 4, 4, size), key, value], dim=3)
    return [_bsc(part.flatten(3)) for part in groups.chunk(ranks, dim=2)]


def _fused_expected(x: Tensor) -> Tensor:
    return torch.cat([_bsc(part) for part in (_others(x, 1)[0], x, _others(x, 2)[1])], dim=2)


def _gate_up(x: Tensor, ranks: int) -> list[Tensor]:
    gates = _by_heads(_others(x, 1)[0], ranks)
    parts = zip(gates, _by_heads(x, ranks), strict=True)
    return [torch.cat([_bsc(gate), _bsc(up)], dim=2) for gate, up in parts]


def _sums(x: Tensor, ranks: int) -> list[Tensor]:
    """Summands of `x`, one for each rank."""
    parts = [part / 2 for part in _others(x, ranks - 1)]
    last = x - sum(parts[1:], start=parts[0])
    return [_bsc(part) for part in (*parts, last)]


def _sections(x: Tensor, ranks: int) -> list[Tensor]:
    """Both runs hold `[gate; up]`, the actual one on each rank half of both."""
    halves = x.chunk(2, dim=2)
    pieces = zip(*(_by_heads(half, ranks) for half in halves), strict=True)
    return [torch.cat([_bsc(part) for part in piece], dim=2) for piece in pieces]


LAYOUTS: dict[str, Held] = {
    "heads first": Held(expected=_bhsd, actual=_each(lambda x: x[0]), ranks=(1, 2, 4)),
    "heads merged": Held(expected=_bhsd, actual=_each(lambda x: _bsc(x)[0]), ranks=(1, 2, 4)),
    "heads split": Held(expected=_bsc, actual=_each(_bhsd), ranks=(1, 2, 4)),
    "sizes first": Held(
        expected=_bhsd, actual=_each(lambda x: x[0].transpose(1, 2).flatten(1)), ranks=(1, 2, 4)
    ),
    "tokens first": Held(
        expected=_bsc, actual=_each(lambda x: _bsc(x).transpose(0, 1)), batch=2, ranks=(1, 2, 4)
    ),
    "batch and tokens merged": Held(
        expected=_bsc, actual=_each(lambda x: _bsc(x).flatten(0, 1)), batch=3, ranks=(1, 2, 4)
    ),
    "batch and heads merged": Held(
        expected=lambda x: x.contiguous(), actual=_each(lambda x: _bhsd(x).flatten(0, 1)), batch=3, ranks=(1,)
    ),
    "weight transposed": Held(
        expected=lambda x: _bsc(x)[0], actual=_each(lambda x: _bsc(x)[0].T), ranks=(1, 2, 4)
    ),
    "dims exchanged": Held(
        expected=_bhsd, actual=_each(lambda x: x.permute(3, 1, 0, 2)), batch=2, ranks=(1, 2, 4)
    ),
    "channels over ranks": Held(expected=_bsc, actual=_each(_bsc), batch=2, ranks=(1, 2, 4)),
    "tokens over ranks": Held(
        expected=_bsc, actual=lambda x, ranks: _bsc(x).chunk(ranks, dim=1), batch=2, ranks=(2, 4)
    ),
    "tokens over ranks, heads first": Held(
        expected=_bhsd, actual=lambda x, ranks: [part[0] for part in x.chunk(ranks, dim=1)], ranks=(2, 4)
    ),
    "replicated": Held(
        holds=4, expected=_bhsd, actual=lambda x, ranks: [x.contiguous()] * ranks, batch=2, ranks=(2, 4)
    ),
    "partial sums": Held(holds=4, expected=_bsc, actual=_sums, batch=2, ranks=(2, 4)),
    "sections over ranks": Held(expected=_bsc, actual=_sections, stage="mlp.gate_up", ranks=(2, 4)),
    "query of concatenated": Held(
        holds=3, expected=_bhsd, actual=_concatenated(0), fused=_qkv(0, "actual"), ranks=(1, 2, 4)
    ),
    "value of concatenated": Held(
        holds=3, expected=_bsc, actual=_concatenated(2), fused=_qkv(2, "actual"), batch=2, ranks=(1, 2, 4)
    ),
    "key of each head": Held(
        holds=3, expected=_bhsd, actual=_per_head, fused=_qkv(1, "actual"), ranks=(1, 2, 4)
    ),
    "query of each group": Held(
        holds=2, expected=_bhsd, actual=_per_group, fused=_qkv(0, "actual"), ranks=(1, 2)
    ),
    "key against fused": Held(
        holds=3,
        expected=_fused_expected,
        actual=_each(lambda x: x[0]),
        fused=_qkv(1, "expected"),
        ranks=(1, 2, 4),
    ),
    "up of gate and up": Held(
        holds=2,
        expected=_bsc,
        actual=_gate_up,
        fused=FusedPart(side="actual", parts=("gate", "up"), index=1, group="mlp"),
        ranks=(1, 2, 4),
    ),
    "heads repeated in actual": Held(
        holds=4, expected=_bhsd, actual=lambda x, _: [_bsc(x.repeat_interleave(4, dim=2))[0]], ranks=(1,)
    ),
    "heads repeated in expected": Held(
        holds=4,
        expected=lambda x: _bhsd(x.repeat_interleave(4, dim=2)),
        actual=_each(lambda x: x[0]),
        ranks=(1, 2),
    ),
    "copies of shards": Held(
        holds=2, expected=_bsc, actual=lambda x, ranks: _each(_bsc)(x, ranks // 2) * 2, batch=2, ranks=(4,)
    ),
}
