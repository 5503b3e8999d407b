"""Faults that are one wrong line of the layer's code."""

__all__ = ["OPTION_FAULTS"]

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from bench.planted.fault import Fault, Needs, Scene
from bench.planted.points import Point

Plant = Callable[[Scene], Fault]


def _changed(scene: Scene, stage: str, detail: str, *, everywhere: float = 0.25, **changes: Any) -> Fault:
    """In one layer, or in every layer from it on with probability `everywhere`."""
    layer = scene.layer()
    layers = range(layer, layer + 1)
    if scene.rng.random() < everywhere:
        layer, layers = 0, range(scene.shape.layers)
    return Fault(
        first=Point(layer, stage),
        detail=f"layers {layers.start}..{layers.stop - 1}: {detail}",
        layers=layers,
        changed=lambda options: replace(options, **changes),
    )


def _final(detail: str, **changes: Any) -> Fault:
    return Fault(
        first=Point(None, "final_norm"),
        detail=f"final norm: {detail}",
        is_final=True,
        changed=lambda options: replace(options, **changes),
    )


def norm_eps(scene: Scene) -> Fault:
    eps = scene.shape.eps * scene.rng.choice([10, 100, 1000])
    where = scene.rng.choice(["norm1", "norm2", "final"])
    if where == "final":
        return _final(f"eps {eps:g}", eps=eps)
    if where == "norm1":
        return _changed(scene, "post_ln_pre_attn", f"eps {eps:g}", eps=eps)
    return _changed(scene, "pre_mlp", f"eps {eps:g}", eps2=eps)


def norm_one_plus(scene: Scene) -> Fault:
    if scene.rng.random() < 0.2:
        return _final("1 + w for w", norm_gain=1.0)
    return _changed(scene, "post_ln_pre_attn", "1 + w for w", norm_gain=1.0)


def norm_weight_missing(scene: Scene) -> Fault:
    if scene.rng.random() < 0.2:
        return _final("weight not applied", norm_is_bare=True)
    return _changed(scene, "post_ln_pre_attn", "weight not applied", norm_is_bare=True)


def norm_mean(scene: Scene) -> Fault:
    other = "layer" if scene.shape.norm == "rms" else "rms"
    detail = "mean subtracted" if other == "layer" else "mean not subtracted"
    if scene.rng.random() < 0.2:
        return _final(detail, norm=other)
    return _changed(scene, "post_ln_pre_attn", detail, norm=other)


def norm_wrong_dims(scene: Scene) -> Fault:
    dims = scene.rng.choice([(0,), (0, 2), (1, 2)] if scene.shape.batch > 1 else [(0,), (0, 2)])
    return _changed(scene, "post_ln_pre_attn", f"over dims {dims}", norm_dims=dims)


def gelu_tanh(scene: Scene) -> Fault:
    return _changed(scene, "post_mlp", "tanh-GELU for GELU", everywhere=0.5, activation="gelu_tanh")


def wrong_activation(scene: Scene) -> Fault:
    other = scene.rng.choice(["gelu", "quick_gelu", "relu"] if scene.shape.is_gated else ["silu", "relu"])
    return _changed(scene, "post_mlp", f"{other} for {scene.shape.activation}", activation=other)


def scale_missing(scene: Scene) -> Fault:
    return _changed(scene, "scaling", "no 1/sqrt(d)", everywhere=0.5, scale=1.0)


def scale_by_d(scene: Scene) -> Fault:
    return _changed(scene, "scaling", "1/d for 1/sqrt(d)", scale=1 / scene.shape.head_dim)


def rope_base(scene: Scene) -> Fault:
    base = scene.shape.rope_base * scene.rng.choice([0.01, 0.1, 5, 10, 50, 100])
    return _changed(scene, "query_final", f"base {base:g}", everywhere=0.5, rope_base=base)


def rope_low(scene: Scene) -> Fault:
    low = scene.rng.choice([torch.bfloat16, torch.float16])
    return _changed(scene, "query_final", f"angles in {low}", everywhere=0.5, rope_dtype=low)


def rope_query_offset(scene: Scene) -> Fault:
    return _changed(scene, "query_final", "query off by one", query_offset=scene.rng.choice([-1, 1]))


def rope_key_offset(scene: Scene) -> Fault:
    return _changed(scene, "key_final", "key off by one", key_offset=scene.rng.choice([-1, 1]))


def rope_both_offset(scene: Scene) -> Fault:
    by = scene.rng.choice([-1, 1, 2])
    return _changed(scene, "query_final", f"both off by {by}", query_offset=by, key_offset=by)


def rope_interleaved(scene: Scene) -> Fault:
    return _changed(scene, "query_final", "pairs for halves", everywhere=0.5, pairing="interleaved")


def rope_missing_on_query(scene: Scene) -> Fault:
    return _changed(scene, "query_final", "query not rotated", rotates_query=False)


def rope_missing_on_key(scene: Scene) -> Fault:
    return _changed(scene, "key_final", "key not rotated", rotates_key=False)


def kv_groups_tiled(scene: Scene) -> Fault:
    return _changed(scene, "post_attn", "KV heads tiled, not repeated", group_order="tile")


def mask_sees_next(scene: Scene) -> Fault:
    return _changed(scene, "post_attn", "mask off by one: the next token is seen", future=1)


def mask_missing(scene: Scene) -> Fault:
    return _changed(scene, "post_attn", "no causal mask", is_causal=False)


def window_off_by_one(scene: Scene) -> Fault:
    window = (scene.shape.window or 0) + scene.rng.choice([-1, 1])
    return _changed(scene, "sliding", f"window {window}", everywhere=0.5, window=window)


def window_missing(scene: Scene) -> Fault:
    return _changed(scene, "sliding", "no window", window=None)


def padding_not_masked(scene: Scene) -> Fault:
    return _changed(scene, "post_attn", "padding is seen", everywhere=0.5, masks_padding=False)


def positions_count_padding(scene: Scene) -> Fault:
    return _changed(scene, "query_final", "positions from the padding on", positions_skip_padding=False)


def _after_layer(scene: Scene, layer: int) -> Point:
    last = layer == scene.shape.layers - 1
    return Point(None, "final_norm") if last else Point(layer + 1, "post_ln_pre_attn")


def _residual(scene: Scene, factor: float, detail: str) -> Fault:
    layer = scene.layer()
    if scene.rng.random() < 0.5:
        first, changes = Point(layer, "pre_mlp"), {"attention_residual": factor}
    else:
        first, changes = _after_layer(scene, layer), {"mlp_residual": factor}
    return Fault(
        first=first,
        detail=f"layer {layer}: residual {detail} ({next(iter(changes))})",
        layers=range(layer, layer + 1),
        changed=lambda options: replace(options, **changes),
    )


def residual_missing(scene: Scene) -> Fault:
    return _residual(scene, 0.0, "missing")


def residual_doubled(scene: Scene) -> Fault:
    return _residual(scene, 2.0, "doubled")


def residual_from_normed(scene: Scene) -> Fault:
    return _changed(scene, "pre_mlp", "residual taken after the norm", residual_from="normed")


def softmax_low(scene: Scene) -> Fault:
    # In a bf16 run only the softmax was in fp32, so that its going down is what is left to go wrong.
    low = (
        scene.rng.choice([torch.float16, torch.bfloat16]) if scene.dtype == torch.float32 else torch.bfloat16
    )
    return _changed(scene, "post_attn", f"softmax in {low}", everywhere=0.5, softmax_dtype=low)


def dropout_left_on(scene: Scene) -> Fault:
    rate = scene.rng.choice([0.05, 0.1, 0.2])
    return _changed(scene, "post_attn", f"dropout of {rate}", everywhere=0.5, attention_dropout=rate)


def gate_up_swapped(scene: Scene) -> Fault:
    return _changed(scene, "post_mlp", "gate and up swapped", everywhere=0.5, is_swapped=True)


def all_reduce_missing(scene: Scene) -> Fault:
    if scene.rng.random() < 0.5:
        return _changed(scene, "post_attn_pre_resid", "not reduced", attention_reduces=False)
    return _changed(scene, "post_mlp", "not reduced", mlp_reduces=False)


def bias_on_every_rank(scene: Scene) -> Fault:
    return _changed(scene, "post_attn_pre_resid", "bias added by every rank", bias_on_every_rank=True)


_PADDED = {"padding": True}
_MANY = (2, 4)

OPTION_FAULTS: dict[str, tuple[Plant, Needs]] = {
    "norm_eps": (norm_eps, Needs()),
    "norm_one_plus": (norm_one_plus, Needs()),
    "norm_weight_missing": (norm_weight_missing, Needs()),
    "norm_mean": (norm_mean, Needs()),
    "norm_wrong_dims": (norm_wrong_dims, Needs()),
    "gelu_tanh": (gelu_tanh, Needs(shape={"activation": "gelu"})),
    "wrong_activation": (wrong_activation, Needs()),
    "scale_missing": (scale_missing, Needs()),
    "scale_by_d": (scale_by_d, Needs()),
    "rope_base": (rope_base, Needs()),
    "rope_low": (rope_low, Needs()),
    "rope_query_offset": (rope_query_offset, Needs()),
    "rope_key_offset": (rope_key_offset, Needs()),
    "rope_both_offset": (rope_both_offset, Needs()),
    "rope_interleaved": (rope_interleaved, Needs()),
    "rope_missing_on_query": (rope_missing_on_query, Needs()),
    "rope_missing_on_key": (rope_missing_on_key, Needs()),
    "kv_groups_tiled": (kv_groups_tiled, Needs(shape={"gqa": True}, ranks=(1,))),
    "mask_sees_next": (mask_sees_next, Needs()),
    "mask_missing": (mask_missing, Needs()),
    "window_off_by_one": (window_off_by_one, Needs(shape={"window": True})),
    "window_missing": (window_missing, Needs(shape={"window": True})),
    "padding_not_masked": (padding_not_masked, Needs(shape=_PADDED)),
    "positions_count_padding": (positions_count_padding, Needs(shape=_PADDED)),
    "residual_missing": (residual_missing, Needs()),
    "residual_doubled": (residual_doubled, Needs()),
    "residual_from_normed": (residual_from_normed, Needs()),
    "softmax_low": (softmax_low, Needs()),
    "dropout_left_on": (dropout_left_on, Needs()),
    "gate_up_swapped": (gate_up_swapped, Needs(shape={"activation": "silu"})),
    "all_reduce_missing": (all_reduce_missing, Needs(ranks=_MANY)),
    "bias_on_every_rank": (bias_on_every_rank, Needs(shape={"bias": True}, ranks=_MANY)),
}
