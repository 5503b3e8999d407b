"""What ranks hold between two steps: pure."""

__all__ = ["at_rest"]

from outgrow.shard.planner.cost import OWN_VIEWS, VIEWS
from outgrow.shard.planner.problem import Problem


def at_rest(problem: Problem) -> tuple[int, ...]:
    """Values whose memory is held between two steps, inputs first, then local numbers behind them, each
    memory once.

    A parameter's new contents take the place of the old ones. What was sent for a step is counted: the next
    is sent before it is dropped.
    """
    segment, inputs = problem.segment, len(problem.segment.inputs)
    found = dict.fromkeys(sorted({given for given, _ in problem.state} | {*problem.kept, *problem.uploads}))
    roots, metas = _roots(problem), segment.values()
    updated = {local for _, local in problem.state}
    largest: dict[int, int] = {}
    for local in problem.live:
        root = roots[local]
        if local in updated or root in found:
            continue
        known = largest.get(root)
        if known is None or metas[local].nbytes > metas[known].nbytes:
            largest[root] = local
    return (*found, *(local + inputs for local in sorted(largest.values())))


def _roots(problem: Problem) -> list[int]:
    """For each local number, the value whose memory it uses, numbered as in the result of `at_rest`."""
    inputs = len(problem.segment.inputs)
    roots: list[int] = []
    for step in problem.segment.steps:
        template = problem.segment.templates[step.template]
        is_view = template.op in VIEWS or template.op in OWN_VIEWS
        for output in range(step.outputs):
            if output < len(template.mutates):
                source = step.inputs[template.mutates[output]]
            elif is_view and step.inputs:
                source = step.inputs[0]
            else:
                roots.append(len(roots) + inputs)
                continue
            roots.append(roots[source] if source >= 0 else -1 - source)
    return roots
