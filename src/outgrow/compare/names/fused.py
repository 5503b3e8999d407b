"""Tensors that one run holds as one and the other as several: QKV, gate and up."""

__all__ = ["FUSED_STAGES", "IN_STAGE", "part_name"]

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
