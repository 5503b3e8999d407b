"""Where no plan says otherwise: the row that takes the least time now, with something put by for later."""

__all__ = ["choose_row"]

from collections.abc import Sequence

from outgrow.placement import Owned, Partial, Placement, Replicate, Shard
from outgrow.shard.instructions import Template, TensorMeta
from outgrow.shard.rules import Row

# Microseconds and bytes a microsecond of gloo between two processes of one machine (the planner calibrates
# its own). Constants, not measurements: every rank must choose alike.
_GATHER, _REDUCE, _SCATTER, _EXCHANGE = (400.0, 1600.0), (800.0, 1300.0), (1000.0, 950.0), (200.0, 4000.0)
_MEMORY_BYTES, _FLOPS = 7000.0, 60_000.0

_PRODUCTS = ("aten.mm", "aten.addmm", "aten.bmm", "aten.baddbmm")
_CONVOLUTIONS = ("aten.convolution", "aten.convolution_backward")


def choose_row(
    rows: Sequence[Row],
    placements: Sequence[Placement],
    metas: Sequence[TensorMeta],
    world_size: int,
    *,
    template: Template | None = None,
) -> Row:
    """The cheapest row for inputs that are held so; the first of equals.

    What it costs: moving inputs, the work of one rank (known with the template), half of what it takes to
    make whole again what is left as partial sums, and a quarter for pieces: the next op may need the whole.
    """
    work = 0.0 if template is None else _work(template)
    outputs = () if template is None else template.outputs
    best, best_cost = rows[0], float("inf")
    for row in rows:
        cost = sum(map(_move_cost, metas, placements, row.inputs))
        is_shared = any(isinstance(placement, Shard) for placement in (*row.inputs, *row.outputs))
        cost += work / world_size if is_shared else work
        cost += sum(map(_rest_cost, outputs, row.outputs)) + _GATHER[0] * max(0, len(row.parts) - 1)
        # Of rows that cost the same, one that keeps pieces.
        cost += 0.0 if is_shared else 1e-6
        if cost < best_cost:
            best, best_cost = row, cost
    return best


def _taken(rate: tuple[float, float], nbytes: int) -> float:
    return rate[0] + nbytes / rate[1]


def _move_cost(meta: TensorMeta, old: Placement, new: Placement) -> float:
    if old == new:
        return 0.0
    if isinstance(old, Replicate):
        return meta.nbytes / _MEMORY_BYTES if isinstance(new, Partial) else 0.0
    if isinstance(old, Owned):
        return _taken(_REDUCE, meta.nbytes)
    if isinstance(old, Shard):
        return _taken(_EXCHANGE if isinstance(new, Shard) else _GATHER, meta.nbytes)
    if isinstance(new, Shard):
        return _taken(_SCATTER, meta.nbytes)
    if isinstance(new, Partial) and {old.reduction, new.reduction} == {"avg", "sum"}:
        return meta.nbytes / _MEMORY_BYTES
    return _taken(_REDUCE, meta.nbytes)


def _rest_cost(meta: TensorMeta, placement: Placement) -> float:
    if isinstance(placement, Partial):
        return 0.5 * _taken(_REDUCE, meta.nbytes)
    return 0.25 * _taken(_GATHER, meta.nbytes) if isinstance(placement, Shard) else 0.0


def _work(template: Template) -> float:
    """Microseconds that one rank takes for the whole op."""
    nbytes = sum(meta.nbytes for meta in (*template.inputs, *template.outputs))
    packet = template.op.rpartition(".")[0]
    flops = 0
    if packet in _PRODUCTS:
        flops = 2 * template.outputs[0].elements * template.inputs[-2].shape[-1]
    elif packet in _CONVOLUTIONS:
        weight = template.inputs[1 if packet == "aten.convolution" else 2]
        result = template.outputs[0] if packet == "aten.convolution" else template.inputs[0]
        flops = 2 * result.elements * weight.elements // max(result.shape[1], 1)
        flops *= 1 if packet == "aten.convolution" else 2
    return max(nbytes / _MEMORY_BYTES, flops / _FLOPS)
