"""Faults in a tensor between two lines: what a kernel, a copy or a cast does wrong."""

__all__ = ["TENSOR_FAULTS"]

from collections.abc import Callable

import torch
from torch import Tensor

from bench.planted.fault import Fault, Needs, Scene, each
from bench.planted.points import HEADS, STAGES, Point
from bench.planted.sequence_first import Ranks

Plant = Callable[[Scene], Fault]

_ANY = ("post_ln_pre_attn", "query", "key", "value", "query_final", "key_final", "value_final", "post_attn")
_ANY += ("post_attn_pre_resid", "pre_mlp", "post_mlp")


def _rewritten(
    scene: Scene, stages: tuple[str, ...], detail: str, rewrite: Callable[[Ranks], Ranks]
) -> Fault:
    stage = scene.rng.choice([stage for stage in STAGES if stage in stages])
    point = Point(scene.layer(), stage)
    return Fault(first=point, detail=f"{point}: {detail}", point=point, rewrite=rewrite)


def heads_permuted(scene: Scene) -> Fault:
    def swap(ranks: Ranks) -> Ranks:
        heads = ranks[0].shape[2]
        order = list(range(heads))
        order[0], order[1 if heads == 2 else heads - 2] = order[1 if heads == 2 else heads - 2], order[0]
        return [tensor[:, :, order] for tensor in ranks] if kind == "two" else [t.flip(2) for t in ranks]

    kind = scene.rng.choice(["two", "all"])
    stages = ("query", "query_final", "post_attn")
    if scene.shape.kv_heads // scene.tp > 1:
        stages += ("key", "value", "key_final", "value_final")
    return _rewritten(scene, stages, f"heads permuted ({kind})", swap)


def halves_swapped(scene: Scene) -> Fault:
    def swap(heads: Tensor) -> Tensor:
        left, right = heads.chunk(2, dim=-1)
        return torch.cat((right, left), dim=-1)

    return _rewritten(scene, tuple(HEADS), "halves of every head swapped", each(swap))


def token_shift(scene: Scene) -> Fault:
    by = scene.rng.choice([-1, 1])
    return _rewritten(scene, _ANY, f"shifted by {by} tokens", each(lambda x: x.roll(by, dims=0)))


def bad_element(scene: Scene) -> Fault:
    place, bit = scene.rng.random(), scene.rng.choice([1, 2, 3])

    def flip(ranks: Ranks) -> Ranks:
        rank = int(place * 997) % len(ranks)
        return [_flipped(x, place, bit) if _same(ranks) or i == rank else x for i, x in enumerate(ranks)]

    return _rewritten(scene, _ANY, f"one element with a flipped bit {bit} of its exponent", flip)


def _flipped(tensor: Tensor, place: float, bit: int) -> Tensor:
    """One element times or by a power of two, as a flipped bit of its exponent makes it."""
    flat = tensor.flatten().clone()
    index = int(place * flat.numel())
    while flat[index] == 0:
        index = (index + 1) % flat.numel()
    _, exponent = torch.frexp(flat[index].double())
    biased = int(exponent) + 126
    power = 2 ** (bit + 1)
    flat[index] *= 2.0**-power if biased & power else 2.0**power
    return flat.view_as(tensor)


def _same(ranks: Ranks) -> bool:
    return all(torch.equal(x, ranks[0]) for x in ranks[1:])


def _born(scene: Scene, value: float) -> Fault:
    place = scene.rng.random()
    rows = scene.rng.choice([1, 1, 3])

    def put(tensor: Tensor) -> Tensor:
        flat = tensor.flatten().clone()
        index = int(place * flat.numel())
        flat[index : index + rows] = value
        return flat.view_as(tensor)

    return _rewritten(scene, _ANY, f"{value} born in up to {rows} elements", each(put))


def nan_born(scene: Scene) -> Fault:
    return _born(scene, float("nan"))


def inf_born(scene: Scene) -> Fault:
    return _born(scene, scene.rng.choice([float("inf"), float("-inf")]))


def dtype_downgrade(scene: Scene) -> Fault:
    low = torch.float8_e4m3fn
    if scene.dtype == torch.float32:
        low = scene.rng.choice([torch.float16, torch.bfloat16, torch.float8_e4m3fn])
    return _rewritten(scene, _ANY, f"rounded to {low}", each(lambda x: x.to(low).to(x.dtype)))


def channel_zeroed(scene: Scene) -> Fault:
    place = scene.rng.random()

    def zero(tensor: Tensor) -> Tensor:
        changed = tensor.clone()
        changed[..., int(place * tensor.shape[-1])] = 0
        return changed

    return _rewritten(scene, _ANY, "one channel is zero", each(zero))


def last_token_lost(scene: Scene) -> Fault:
    def lose(tensor: Tensor) -> Tensor:
        changed = tensor.clone()
        changed[-1] = 0
        return changed

    return _rewritten(scene, _ANY, "the last token is zero, as in a tile that is not written", each(lose))


def constant_factor(scene: Scene) -> Fault:
    factor = scene.rng.choice([0.5, 2.0, 1.1, -1.0, 0.125])
    return _rewritten(scene, _ANY, f"times {factor}", each(lambda x: x * factor))


def batch_mixed(scene: Scene) -> Fault:
    return _rewritten(scene, _ANY, "sequences of the batch rotated", each(lambda x: x.roll(1, dims=1)))


def one_rank_astray(scene: Scene) -> Fault:
    rank, factor = scene.rng.randrange(scene.tp), scene.rng.choice([1.1, 0.9, 2.0])

    def lead_astray(ranks: Ranks) -> Ranks:
        return [x * factor if i == rank else x for i, x in enumerate(ranks)]

    stages = ("post_ln_pre_attn", "post_attn_pre_resid", "pre_mlp", "post_mlp")
    return _rewritten(
        scene, stages, f"rank {rank} alone has {factor} times what all should have", lead_astray
    )


def embedding_scaled(scene: Scene) -> Fault:
    factor = scene.shape.hidden**0.5
    point = Point(None, "embeddings")
    return Fault(
        first=point,
        detail=f"embeddings times {factor:.3g}",
        point=point,
        rewrite=each(lambda x: x * factor),
    )


def embedding_shifted(scene: Scene) -> Fault:
    point = Point(None, "embeddings")
    return Fault(
        first=point, detail="token ids shifted", point=point, rewrite=each(lambda x: x.roll(1, dims=0))
    )


TENSOR_FAULTS: dict[str, tuple[Plant, Needs]] = {
    "heads_permuted": (heads_permuted, Needs()),
    "halves_swapped": (halves_swapped, Needs()),
    "token_shift": (token_shift, Needs()),
    "bad_element": (bad_element, Needs()),
    "nan_born": (nan_born, Needs()),
    "inf_born": (inf_born, Needs()),
    "dtype_downgrade": (dtype_downgrade, Needs()),
    "channel_zeroed": (channel_zeroed, Needs()),
    "last_token_lost": (last_token_lost, Needs()),
    "constant_factor": (constant_factor, Needs()),
    "batch_mixed": (batch_mixed, Needs()),
    "one_rank_astray": (one_rank_astray, Needs(ranks=(2, 4))),
    "embedding_scaled": (embedding_scaled, Needs()),
    "embedding_shifted": (embedding_shifted, Needs()),
}
