"""The places in a model at which tensors are taken, in the order of execution."""

__all__ = ["FIRST", "HEADS", "LAST", "PARTS", "SCALARS", "STAGES", "Point", "in_order"]

from typing import NamedTuple

FIRST = ("embeddings",)
STAGES = (
    "post_ln_pre_attn",
    "query",
    "key",
    "value",
    "query_final",
    "key_final",
    "value_final",
    "scaling",
    "sliding",
    "post_attn",
    "post_attn_pre_resid",
    "pre_mlp",
    "gate",
    "up",
    "post_mlp",
)
LAST = ("final_norm", "logits")

QUERIES = ("query", "query_final")
HEADS = {"query", "key", "value", "query_final", "key_final", "value_final", "post_attn"}
"""Stages with a head and a head dim; the others have one dim of channels."""
SCALARS = {"scaling", "sliding"}
PARTS = {"gate", "up"}
"""Stages beyond the thirteen: only dumps by module names show them."""


class Point(NamedTuple):
    """A stage of a layer; `layer` is None for what is before and after the layers."""

    layer: int | None
    stage: str

    def __str__(self) -> str:
        return self.stage if self.layer is None else f"{self.layer}_{self.stage}"


def in_order(layers: int) -> list[Point]:
    """All points of a model."""
    inner = [Point(layer, stage) for layer in range(layers) for stage in STAGES]
    return [*(Point(None, stage) for stage in FIRST), *inner, *(Point(None, stage) for stage in LAST)]
