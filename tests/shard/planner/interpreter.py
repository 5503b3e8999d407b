"""Runs a plan on simulated ranks, step by step: nothing but rows, kernels and redistributions."""

from torch import Tensor

from bench.planning_capture import Capture
from outgrow.placement import Replicate
from outgrow.shard.planner.plan import Plan
from outgrow.shard.ranks.kernels import template_kernel
from outgrow.shard.ranks.redistribute import redistribute
from outgrow.shard.ranks.simulated_fabric import SimulatedFabric


def run_plan(capture: Capture, plan: Plan) -> dict[int, Tensor]:
    """What the state became, whole, by local number; the plan is one for several ranks."""
    problem = capture.problem
    fabric = SimulatedFabric(problem.costs.world_size)
    ranks = fabric.lanes
    held = {}
    for number, (whole, placement) in enumerate(zip(capture.inputs, plan.inputs, strict=True)):
        meta = problem.segment.inputs[number]
        pieces = redistribute([whole] * len(ranks), meta, Replicate(), placement, fabric)
        held[-1 - number] = (meta, placement, pieces)
    made, at_float = 0, 0
    for step, rows, choice in zip(problem.segment.steps, problem.rows, plan.rows, strict=True):
        template, row = problem.segment.templates[step.template], rows[choice]
        floats = capture.floats[at_float : at_float + step.floats]
        at_float += step.floats
        inputs = [
            redistribute(held[ref][2], held[ref][0], held[ref][1], wanted, fabric)
            for ref, wanted in zip(step.inputs, row.inputs, strict=True)
        ]
        results = _run_row(template, row, inputs, floats, fabric)
        for meta, placement, pieces in zip(template.outputs, row.outputs, results, strict=True):
            held[made] = (meta, placement, pieces)
            made += 1
    found = {}
    for _, local in problem.state:
        meta, placement, pieces = held[local]
        pieces = redistribute(pieces, meta, placement, plan.outputs[local], fabric)
        found[local] = redistribute(pieces, meta, plan.outputs[local], Replicate(), fabric)[0]
    return found


def _run_row(template, row, inputs, floats, fabric):
    """For each output, what the ranks hold of it; `inputs` are held as the row wants them."""
    if row.parts:
        return _run_parts(template, row, inputs, floats, fabric)
    results = []
    for rank in fabric.lanes:
        own = [pieces[rank] for pieces in inputs]
        for written in template.mutates:
            own[written] = own[written].clone()
        if row.kernel is None:
            kernel = template_kernel(template, fabric.device)
        else:
            kernel = row.kernel(rank, fabric.world_size, fabric.device)
        results.append(kernel(own, floats))
    return [[result[number] for result in results] for number in range(len(template.outputs))]


def _run_parts(template, row, inputs, floats, fabric):
    """Several ops for one, with moves between them."""
    made, outputs = [], [None] * len(template.outputs)
    for part, own in row.parts:
        given = []
        for ref, meta, wanted in zip(part.inputs, part.template.inputs, own.inputs, strict=True):
            placement, pieces = (row.inputs[ref], inputs[ref]) if ref >= 0 else made[-1 - ref]
            given.append(redistribute(pieces, meta, placement, wanted, fabric))
        results = _run_row(part.template, own, given, [floats[at] for at in part.floats], fabric)
        for number, pieces, placement in zip(part.outputs, results, own.outputs, strict=True):
            made.append((placement, pieces))
            if number >= 0:
                outputs[number] = pieces
    return outputs
