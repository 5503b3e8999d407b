"""Faults in how weights are loaded: another layer's, transposed, missing, another rank's."""

__all__ = ["WEIGHT_FAULTS"]

from collections.abc import Callable

import torch

from bench.planted.fault import Fault, Needs, Scene
from bench.planted.points import Point
from bench.planted.weights import Weights

Plant = Callable[[Scene], Fault]

_FIRST = {
    "norm1": "post_ln_pre_attn",
    "q": "query",
    "k": "key",
    "v": "value",
    "o": "post_attn_pre_resid",
    "norm2": "pre_mlp",
    "gate": "gate",
    "up": "up",
    "down": "post_mlp",
}
"""The first tensor that each weight of a layer touches."""


def _roles(scene: Scene, *roles: str) -> str:
    return scene.rng.choice([role for role in roles if role != "gate" or scene.shape.is_gated])


def layer_of_another(scene: Scene) -> Fault:
    role = _roles(scene, *_FIRST)
    layer = scene.layer()
    other = scene.rng.choice([n for n in range(scene.shape.layers) if n != layer])

    def load(weights: Weights) -> None:
        for kind in "wb":
            if f"{layer}.{role}.{kind}" in weights:
                weights[f"{layer}.{role}.{kind}"] = weights[f"{other}.{role}.{kind}"]

    return Fault(first=Point(layer, _FIRST[role]), detail=f"{layer}.{role} is of layer {other}", weights=load)


def weight_transposed(scene: Scene) -> Fault:
    role, layer = scene.rng.choice(["q", "o"]), scene.layer()

    def load(weights: Weights) -> None:
        weights[f"{layer}.{role}.w"] = weights[f"{layer}.{role}.w"].T.contiguous()

    return Fault(first=Point(layer, _FIRST[role]), detail=f"{layer}.{role} transposed", weights=load)


def bias_missing(scene: Scene) -> Fault:
    role, layer = _roles(scene, "q", "k", "v", "o", "gate", "up", "down"), scene.layer()

    def load(weights: Weights) -> None:
        weights[f"{layer}.{role}.b"] = torch.zeros_like(weights[f"{layer}.{role}.b"])

    return Fault(first=Point(layer, _FIRST[role]), detail=f"{layer}.{role} without bias", weights=load)


def value_from_key(scene: Scene) -> Fault:
    layer = scene.layer()

    def load(weights: Weights) -> None:
        weights[f"{layer}.v.w"] = weights[f"{layer}.k.w"]

    return Fault(first=Point(layer, "value"), detail=f"{layer}.v is {layer}.k", weights=load)


def gate_up_loaded_swapped(scene: Scene) -> Fault:
    layer = scene.layer()

    def load(weights: Weights) -> None:
        for kind in "wb":
            if f"{layer}.up.{kind}" in weights:
                gate, up = f"{layer}.gate.{kind}", f"{layer}.up.{kind}"
                weights[gate], weights[up] = weights[up], weights[gate]

    return Fault(
        first=Point(layer, "gate"), detail=f"{layer}: gate and up loaded as each other", weights=load
    )


def final_norm_of_layer(scene: Scene) -> Fault:
    def load(weights: Weights) -> None:
        for kind in "wb":
            if f"norm.{kind}" in weights:
                weights[f"norm.{kind}"] = weights[f"{scene.shape.layers - 1}.norm2.{kind}"]

    return Fault(first=Point(None, "final_norm"), detail="final norm has a layer's weight", weights=load)


def head_of_embedding(scene: Scene) -> Fault:
    def load(weights: Weights) -> None:
        head = weights["head.w"]
        weights["head.w"] = head.roll(1, dims=0) if scene.shape.is_tied else weights["embed.w"]

    detail = "head off by one row" if scene.shape.is_tied else "head tied by mistake"
    return Fault(first=Point(None, "logits"), detail=detail, weights=load)


def rank_order(scene: Scene) -> Fault:
    role, layer = _roles(scene, "q", "o", "gate", "up", "down"), scene.layer()

    def load(ranks: list[Weights]) -> None:
        names = [name for name in (f"{layer}.{role}.w", f"{layer}.{role}.b") if name in ranks[0]]
        for name in names:
            for rank, weight in zip(ranks, [rank[name] for rank in reversed(ranks)], strict=True):
                rank[name] = weight

    return Fault(
        first=Point(layer, _FIRST[role]), detail=f"{layer}.{role}: shards in reverse order", shards=load
    )


def rank_order_healed(scene: Scene) -> Fault:
    layer = scene.layer()

    def load(ranks: list[Weights]) -> None:
        for name in [n for n in ranks[0] if n.rpartition(".")[0] in [f"{layer}.{role}" for role in "qkvo"]]:
            if name != f"{layer}.o.b":
                for rank, weight in zip(ranks, [rank[name] for rank in reversed(ranks)], strict=True):
                    rank[name] = weight

    return Fault(first=Point(layer, "query"), detail=f"{layer}: attention on the reversed ranks", shards=load)


def rank_has_neighbours_weight(scene: Scene) -> Fault:
    role, layer = _roles(scene, "q", "o", "gate", "up", "down"), scene.layer()
    rank = scene.rng.randrange(scene.tp)

    def load(ranks: list[Weights]) -> None:
        name = f"{layer}.{role}.w"
        ranks[rank][name] = ranks[(rank + 1) % len(ranks)][name]

    return Fault(
        first=Point(layer, _FIRST[role]),
        detail=f"{layer}.{role}: rank {rank} has the next one's",
        shards=load,
    )


_MANY = (2, 4)

WEIGHT_FAULTS: dict[str, tuple[Plant, Needs]] = {
    "layer_of_another": (layer_of_another, Needs()),
    "weight_transposed": (weight_transposed, Needs(shape={"square": True})),
    "bias_missing": (bias_missing, Needs(shape={"bias": True})),
    "value_from_key": (value_from_key, Needs()),
    "gate_up_loaded_swapped": (gate_up_loaded_swapped, Needs(shape={"activation": "silu"})),
    "final_norm_of_layer": (final_norm_of_layer, Needs()),
    "head_of_embedding": (head_of_embedding, Needs()),
    "rank_order": (rank_order, Needs(ranks=_MANY)),
    "rank_order_healed": (rank_order_healed, Needs(ranks=_MANY)),
    "rank_has_neighbours_weight": (rank_has_neighbours_weight, Needs(ranks=_MANY)),
}
