"""One linear layer, its gradient and its update, with rows written by hand: a problem whose best plan can be
worked out."""

import torch

from outgrow.placement import Partial, Replicate, Shard
from outgrow.shard.instructions import INPUT, Segment, Step, Template, TensorMeta
from outgrow.shard.planner.problem import Costs, Problem
from outgrow.shard.rules import Row

R, P, S0, S1 = Replicate(), Partial(), Shard(0), Shard(1)
SLOW_NETWORK = {
    "all_reduce": 8e-4,
    "all_gather": 4e-4,
    "reduce_scatter": 1e-3,
    "all_to_all": 2e-4,
    "broadcast": 4e-4,
}
MM = (Row((R, R), (R,)), Row((S0, R), (S0,)), Row((R, S1), (S1,)), Row((S1, S0), (P,)))
POINTWISE = (Row((R, R), (R,)), Row((S0, S0), (S0,)), Row((S1, S1), (S1,)))
TRANSPOSE = (Row((R,), (R,)), Row((S0,), (S1,)), Row((S1,), (S0,)))


def costs(world_size=2, **changes):
    """Figures like those of gloo on two cores."""
    given = {
        "world_size": world_size,
        "latency_seconds": SLOW_NETWORK,
        "bandwidth": dict.fromkeys(SLOW_NETWORK, 1.3e9),
        "flops": 6e10,
        "solo_flops": 1.1e11,
        "memory_bandwidth": 7e9,
        "solo_memory_bandwidth": 1e10,
    }
    return Costs(**given | changes)


def meta(*shape):
    """A dense float32 tensor's."""
    stride, step = [], 1
    for size in reversed(shape):
        stride.insert(0, step)
        step *= size
    return TensorMeta(shape, tuple(stride), torch.float32)


def linear_step(batch=4, features=40_000, outputs=127, **changes):
    """Inputs: data `[batch, features]`, weight `[features, outputs]`, target `[batch, outputs]`.

    Steps: product, difference, transposed data, gradient, new weight.
    """
    data, weight, target = meta(batch, features), meta(features, outputs), meta(batch, outputs)
    turned = meta(features, batch)
    both = (INPUT, INPUT)
    templates = (
        Template(op="aten.mm.default", args=both, inputs=(data, weight), outputs=(target,)),
        Template(op="aten.sub.Tensor", args=both, inputs=(target, target), outputs=(target,)),
        Template(op="aten.t.default", args=(INPUT,), inputs=(data,), outputs=(turned,)),
        Template(op="aten.mm.default", args=both, inputs=(turned, target), outputs=(weight,)),
        Template(op="aten.sub.Tensor", args=both, inputs=(weight, weight), outputs=(weight,)),
    )
    arguments = ((-1, -2), (0, -3), (-1,), (2, 1), (-2, 3))
    steps = tuple(Step(number, inputs, 1, 0) for number, inputs in enumerate(arguments))
    rows = tuple(
        _even(rows, template)
        for rows, template in zip((MM, POINTWISE, TRANSPOSE, MM, POINTWISE), templates, strict=True)
    )
    given = {
        "segment": Segment(templates=templates, steps=steps, inputs=(data, weight, target)),
        "rows": rows,
        "state": ((1, 4),),
        "kept": (0, 2),
        "uploads": (),
        "live": (4,),
        "costs": costs(),
    }
    return Problem(**given | changes)


def _even(rows, template):
    def fits(of, placement):
        return not isinstance(placement, Shard) or of.shape[placement.dim] % 2 == 0

    pairs = (template.inputs, template.outputs)
    return tuple(
        row
        for row in rows
        if all(all(map(fits, metas, held)) for metas, held in zip(pairs, row[:2], strict=True))
    )
