"""Tensors that one run holds as one and the other as several: QKV, gate and up."""

__all__ = ["FUSED_STAGES", "IN_STAGE", "fused_roles", "part_name"]

from collections.abc import Sequence

FUSED_STAGES: dict[str, tuple[str, ...]] = {
    "qkv": ("query", "key", "value"),
    "qk": ("query", "key"),
    "kv": ("key", "value"),
    "mlp.gate_up": ("mlp.gate", "mlp.up"),
    "expert.gate_up": ("expert.gate", "expert.up"),
}
"""The stages in a fused one, in the usual order."""

IN_STAGE = "mlp.in"
"""The first linear layer of an MLP, where its name does not tell whether it has a gate."""


def part_name(stage: str) -> str:
    """As `FusedPart.parts` calls it: `query`, `gate`."""
    return stage.rpartition(".")[2]


def fused_roles(stage: str | None, words: Sequence[str], *, is_all: bool) -> tuple[str, ...]:
    """The parts in a tensor of which a map names these. `is_all`: equal parts of that number make it up."""
    if stage == IN_STAGE:
        stage = "mlp.gate_up"
    if stage in FUSED_STAGES:
        return tuple(part_name(part) for part in FUSED_STAGES[stage])
    if set(words) <= {"gate", "up"}:
        return ("gate", "up")
    two = tuple(word for word in ("query", "key", "value") if word in words)
    return two if is_all and two in (("query", "key"), ("key", "value")) else ("query", "key", "value")
