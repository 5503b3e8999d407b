"""Seconds of a row and of a redistribution, from what was measured on this machine: pure."""

__all__ = ["BUCKET_BYTES", "SMALL_BYTES", "VIEWS", "CostModel", "collectives_between", "flops_of"]

import math
from collections.abc import Callable
from typing import Final

from outgrow.placement import Owned, Partial, Placement, Replicate, Shard
from outgrow.shard.instructions import Template, TensorMeta
from outgrow.shard.planner.problem import Costs
from outgrow.shard.rules import Row

SMALL_BYTES: Final = 256 * 1024
"""Deferred all-reduces of at most so many bytes share a message with others."""
BUCKET_BYTES: Final = 1024 * 1024
"""What one such message carries."""

NARROW: Final = 16
"""Entries of the smallest dim of a product that runs at `Costs.narrow_flops`."""
WIDE: Final = 256
"""Entries from which on it runs at `Costs.flops`."""

VIEWS: Final = frozenset(
    f"aten.{name}"
    for name in (
        "alias.default", "as_strided.default", "detach.default", "diagonal.default", "expand.default",
        "movedim.int", "narrow.default", "permute.default", "select.int", "slice.Tensor",
        "split.Tensor", "split_with_sizes.default", "squeeze.default", "squeeze.dim", "squeeze.dims",
        "swapaxes.default", "t.default", "transpose.int", "unbind.int", "unfold.default",
        "unsqueeze.default", "view.default", "_reshape_alias.default", "_unsafe_view.default",
        "unflatten.int", "view_as_real.default", "view_as_complex.default", "chunk.default",
    )
)  # fmt: skip
"""Ops that move nothing."""
OWN_VIEWS: Final = frozenset(("outgrow.read_view", "outgrow.place.default"))
"""Ours that move nothing."""

Counter = Callable[[Template], float]
_VIEW_SECONDS = 3e-7
_SLICE_SECONDS = 5e-7


class CostModel:
    """Predictions for one machine and one number of ranks."""

    def __init__(self, costs: Costs, *, is_reducing: bool = False, is_joining: bool = True) -> None:
        """`is_reducing`: other collectives than all-reduces cost a thousand times as much, so that a plan
        does without. `is_joining`: small deferred all-reduces share messages; without, each pays its own.
        """
        self.costs = costs
        self.is_reducing = is_reducing
        self.is_joining = is_joining
        self.world_size = costs.world_size
        self._moves: dict[tuple[Placement, Placement, int, bool], float] = {}

    def row(self, template: Template, row: Row) -> float:
        """Seconds in which the slowest rank computes an op by a row."""
        if template.op in VIEWS or template.op in OWN_VIEWS:
            return _VIEW_SECONDS
        if row.parts:
            return self._parts(row)
        costs = self.costs
        moved = sum(map(self.local_bytes, template.inputs, row.inputs))
        moved += sum(map(self.local_bytes, template.outputs, row.outputs))
        is_split = any(type(placement) is Shard for placement in (*row.inputs, *row.outputs))
        flops = flops_of(template) / (self.world_size if is_split else 1)
        if flops:
            dims = product_dims(template, row, self.world_size)
            flops /= _rate(dims, costs.flops, costs.narrow_flops)
        return costs.op_seconds + max(flops, moved / costs.memory_bandwidth)

    def _parts(self, row: Row) -> float:
        """Of the ops that a row is made of, and of the moves between them."""
        seconds, made = 0.0, list[Placement]()
        for part, own in row.parts:
            held = [row.inputs[ref] if ref >= 0 else made[-1 - ref] for ref in part.inputs]
            for meta, old, new in zip(part.template.inputs, held, own.inputs, strict=True):
                seconds += self.move(old, new, meta.nbytes, False)
            seconds += self.row(part.template, own)
            made += own.outputs
        return seconds

    def solo(self, template: Template) -> float:
        """Seconds in which one rank that has all cores computes an op."""
        if template.op in VIEWS or template.op in OWN_VIEWS:
            return _VIEW_SECONDS
        costs = self.costs
        moved = sum(meta.nbytes for meta in (*template.inputs, *template.outputs))
        seconds = flops_of(template)
        if seconds:
            seconds /= _rate(product_dims(template, None, 1), costs.solo_flops, costs.solo_narrow_flops)
        return costs.op_seconds + max(seconds, moved / costs.solo_memory_bandwidth)

    def local_bytes(self, meta: TensorMeta, placement: Placement) -> int:
        """What the fullest rank holds of a tensor."""
        if type(placement) is not Shard or not meta.elements:
            return meta.nbytes
        size = meta.shape[placement.dim]
        return meta.nbytes // size * -(-size // self.world_size)

    def move(self, old: Placement, new: Placement, nbytes: int, is_deferred: bool) -> float:
        """Seconds of turning a tensor of `nbytes` that is held as `old` into `new`.

        `is_deferred`: nothing but one parameter's update waits for it, so that small all-reduces share
        messages.
        """
        if old == new:
            return 0.0
        key = (old, new, nbytes, is_deferred)
        found = self._moves.get(key)
        if found is None:
            found = self._moves[key] = self._move(old, new, nbytes, is_deferred)
        return found

    def collective(self, name: str, nbytes: int, is_deferred: bool = False) -> float:
        """Seconds of one collective over a tensor of `nbytes` in the whole."""
        latency, bandwidth = self.costs.latency_seconds[name], self.costs.bandwidth[name]
        if self.is_reducing and name != "all_reduce":
            return 1e3 * (latency + nbytes / bandwidth)
        if is_deferred and self.is_joining and name == "all_reduce" and nbytes <= SMALL_BYTES:
            # Joined and cut again: two copies through memory and a share of the message's latency.
            joined = 8e-6 + 2 * nbytes / self.costs.memory_bandwidth
            return nbytes / bandwidth + joined + latency * nbytes / BUCKET_BYTES
        return latency + nbytes / bandwidth

    def is_joined(self, old: Placement, new: Placement, nbytes: int, is_deferred: bool) -> bool:
        """Whether a redistribution shares a message with others."""
        is_small = is_deferred and self.is_joining and nbytes <= SMALL_BYTES
        return is_small and collectives_between(old, new) == ("all_reduce",)

    def unfilled(self, joined_bytes: int) -> float:
        """Seconds of latency that `move` does not count, where so many bytes are joined: the last message is
        not full."""
        missing = -joined_bytes % BUCKET_BYTES
        return self.costs.latency_seconds["all_reduce"] * missing / BUCKET_BYTES

    def _move(self, old: Placement, new: Placement, nbytes: int, is_deferred: bool) -> float:
        memory = self.costs.memory_bandwidth
        seconds = sum(self.collective(name, nbytes, is_deferred) for name in collectives_between(old, new))
        if isinstance(new, Shard) and not isinstance(old, (Shard, Partial)):
            seconds += _SLICE_SECONDS + nbytes / self.world_size / memory
        elif isinstance(new, Partial) and new.reduction == "sum":
            seconds += 2 * _SLICE_SECONDS + nbytes / memory / 2
        elif isinstance(old, Partial) and isinstance(new, Partial):
            seconds += nbytes / memory
        return seconds


def collectives_between(old: Placement, new: Placement) -> tuple[str, ...]:
    """Which collectives `redistribute` runs; empty where each rank has all it needs."""
    if old == new or isinstance(old, Replicate):
        return ()
    if isinstance(old, Owned):
        return ("broadcast",)
    if isinstance(old, Shard):
        return ("all_to_all",) if isinstance(new, Shard) else ("all_gather",)
    if isinstance(new, Shard):
        return ("reduce_scatter",)
    if isinstance(new, Partial) and {old.reduction, new.reduction} == {"avg", "sum"}:
        return ()
    return ("all_reduce",)


def flops_of(template: Template) -> float:
    """Floating point operations of an op on whole tensors, where they can outweigh its bytes; else 0."""
    counter = _COUNTERS.get(template.op)
    return 0.0 if counter is None else float(counter(template))


def product_dims(template: Template, row: Row | None, world_size: int) -> tuple[int, ...]:
    """The sizes over which a matrix product on one rank runs; empty for what is none."""
    first = _PRODUCTS.get(template.op)
    if first is None:
        return ()
    sizes = []
    for number in (first, first + 1):
        shape = list(template.inputs[number].shape)
        placement = None if row is None else row.inputs[number]
        if isinstance(placement, Shard):
            shape[placement.dim] = -(-shape[placement.dim] // world_size)
        sizes += shape[-2:]
    return tuple(sizes)


def _rate(dims: tuple[int, ...], wide: float, narrow: float) -> float:
    """Floating point operations a second of a product: its smallest dim decides."""
    if not dims or not narrow:
        return wide
    least = max(1, min(dims))
    if least <= NARROW:
        # Whatever it is multiplied with must be read from memory, so that fewer rows take as long.
        return narrow * least / NARROW
    share = min(1.0, math.log2(least / NARROW) / math.log2(WIDE / NARROW))
    return narrow * math.pow(max(wide, narrow) / narrow, share)


def _mm(first: int) -> Counter:
    def count(template: Template) -> float:
        left, right = template.inputs[first].shape, template.inputs[first + 1].shape
        return 2.0 * math.prod(left) * right[-1]

    return count


def _convolution(template: Template) -> float:
    weight = template.inputs[1].shape
    # A transposed convolution does for each input element what the other does for each output element.
    spread = template.inputs[0] if _flag(template, 6) else template.outputs[0]
    return 2.0 * spread.elements * math.prod(weight) / max(1, weight[0])


def _convolution_backward(template: Template) -> float:
    gradient, given, weight = (meta for meta in template.inputs[:3])
    spread = given if _flag(template, 7) else gradient
    once = 2.0 * spread.elements * math.prod(weight.shape) / max(1, weight.shape[0])
    return once * sum(len(meta.shape) > 1 for meta in template.outputs)


def _flag(template: Template, position: int) -> bool:
    return len(template.args) > position and template.args[position] is True


def _attention(factor: float, query: int) -> Counter:
    def count(template: Template) -> float:
        shape, key = template.inputs[query].shape, template.inputs[query + 1].shape
        return factor * math.prod(shape) * key[-2]

    return count


_PRODUCTS: dict[str, int] = {
    "aten.mm.default": 0,
    "aten.bmm.default": 0,
    "aten.addmm.default": 1,
    "aten.baddbmm.default": 1,
}
"""Matrix products, and which input is the first factor."""
_COUNTERS: dict[str, Counter] = {
    **{name: _mm(first) for name, first in _PRODUCTS.items()},
    "aten.mv.default": lambda template: 2.0 * template.inputs[0].elements,
    "aten.addmv.default": lambda template: 2.0 * template.inputs[1].elements,
    "aten.dot.default": lambda template: 2.0 * template.inputs[0].elements,
    "aten.convolution.default": _convolution,
    "aten.convolution_backward.default": _convolution_backward,
    "aten._scaled_dot_product_flash_attention_for_cpu.default": _attention(4.0, 0),
    "aten._scaled_dot_product_efficient_attention.default": _attention(4.0, 0),
    "aten._scaled_dot_product_flash_attention.default": _attention(4.0, 0),
    "aten._scaled_dot_product_attention_math_for_mps.default": _attention(4.0, 0),
    "aten._scaled_dot_product_flash_attention_for_cpu_backward.default": _attention(10.0, 1),
    "aten._scaled_dot_product_efficient_attention_backward.default": _attention(10.0, 1),
    "aten._scaled_dot_product_flash_attention_backward.default": _attention(10.0, 1),
}
