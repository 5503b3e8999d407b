"""In which order a transformer computes, and what its parts are called here."""

__all__ = ["AFTER_LAYERS", "BEFORE_LAYERS", "IN_LAYER", "is_stage", "stage_place"]

from typing import Literal

BEFORE_LAYERS = ("embed", "embed.type", "embed.position", "norm.embed")
"""Stages before the first layer, as they are computed."""

IN_LAYER = (
    "layer.begin",
    "norm.attn", "post_ln_pre_attn",
    "attn.begin", "qkv", "qk", "query", "kv", "key", "value", "norm.query", "norm.key",
    "query_final", "key_final", "value_final", "scaling", "sliding",
    "attn.scores", "attn.probs", "attn.core", "post_attn", "attn.out", "attn", "post_attn_pre_resid",
    "norm.attn_out", "norm.after_attn",
    "norm.cross", "cross.begin", "cross.query", "cross.key", "cross.value", "cross.core", "cross.out",
    "cross", "norm.after_cross",
    "norm.mlp", "pre_mlp",
    "mlp.begin", "mlp.router", "mlp.in", "mlp.gate_up", "mlp.gate", "mlp.act", "mlp.up", "mlp.down",
    "expert.gate_up", "expert.gate", "expert.up", "expert.down", "expert",
    "shared_expert.gate", "shared_expert.up", "shared_expert.down", "shared_expert", "mlp", "post_mlp",
    "norm.mlp_out", "norm.after_mlp",
    "layer",
)  # fmt: skip
"""Stages of a layer, as they are computed. What a module gives comes after what its parts give; what it gets,
and its own parameters, at its `.begin`."""

AFTER_LAYERS = ("norm.final", "pooler", "head.dense", "norm.head", "head", "logits")
"""Stages after the last layer, as they are computed."""

Section = Literal[0, 1, 2]

_PLACES: dict[str, tuple[Section, int]] = {
    **{stage: (0, place) for place, stage in enumerate(BEFORE_LAYERS)},
    **{stage: (1, place) for place, stage in enumerate(IN_LAYER)},
    **{stage: (2, place) for place, stage in enumerate(AFTER_LAYERS)},
}


def is_stage(stage: str, *, in_layer: bool) -> bool:
    """Whether this is a stage of a layer, or of what lies around the layers."""
    place = _PLACES.get(stage)
    return place is not None and (place[0] == 1) == in_layer


def stage_place(stage: str, what: str) -> tuple[Section, int] | None:
    """Before (0), in (1) or after (2) the layers, and the place there; None for a stage that is not known.

    `what` is `outputs`, `inputs`, `parameters`, ...: a module gets its inputs before its parts work.
    """
    if what == "inputs" and f"{stage}.begin" in _PLACES:
        return _PLACES[f"{stage}.begin"]
    return _PLACES.get(stage)
