"""Runs a plan on simulated ranks, step by step: nothing but rows, kernels and redistributions."""

from torch import Tensor

from outgrow.placement import Replicate
from outgrow.shard.planner.plan import Plan
from outgrow.shard.ranks.kernels import template_kernel
from outgrow.shard.ranks.redistribute import redistribute
from outgrow.shard.ranks.simulated_fabric import SimulatedFabric
from tests.shard.planner.captured import Capture


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
        results = []
        for rank in ranks:
            own = [pieces[rank] for pieces in inputs]
            for written in template.mutates:
                own[written] = own[written].clone()
            if row.kernel is None:
                kernel = template_kernel(template, fabric.device)
            else:
                kernel = row.kernel(rank, fabric.world_size, fabric.device)
            results.append(kernel(own, floats))
        for number, (meta, placement) in enumerate(zip(template.outputs, row.outputs, strict=True)):
            held[made] = (meta, placement, [result[number] for result in results])
            made += 1
    found = {}
    for _, local in problem.state:
        meta, placement, pieces = held[local]
        pieces = redistribute(pieces, meta, placement, plan.outputs[local], fabric)
        found[local] = redistribute(pieces, meta, plan.outputs[local], Replicate(), fabric)[0]
    return found
