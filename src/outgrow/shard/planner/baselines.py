"""Plans that need no search, to compare the found one with: all ranks alike, a batch cut among them, one rank
alone."""

__all__ = ["batch_sizes", "data_parallel", "data_parallel_demand", "replicated_choices", "solo_seconds"]

from outgrow.placement import Placement, Replicate, Shard
from outgrow.shard.planner.cost import CostModel
from outgrow.shard.planner.graph import Graph
from outgrow.shard.planner.search import Search, Solution


def data_parallel(graph: Graph) -> tuple[Solution, int] | None:
    """The cheapest plan that cuts the batch, holds all state whole and only adds up, and its batch size.

    None where nothing can be cut.
    """
    found = None
    search = Search(graph.priced(CostModel(graph.problem.costs, is_reducing=True)))
    for size in batch_sizes(graph):
        demand = data_parallel_demand(graph, size)
        if demand is None:
            continue
        solution = search.solve(allowed=demand)
        if found is None or solution.seconds < found[0].seconds:
            found = (solution, size)
    return found


def batch_sizes(graph: Graph) -> tuple[int, ...]:
    """Sizes of dim 0 of what is no state, those of the most bytes first; three at most."""
    problem, total = graph.problem, dict[int, int]()
    for number in (*problem.uploads, *problem.kept):
        meta = problem.segment.inputs[number]
        if meta.shape and meta.shape[0] > 1:
            total[meta.shape[0]] = total.get(meta.shape[0], 0) + meta.nbytes
    return tuple(sorted(total, key=lambda size: (-total[size], size))[:3])


def data_parallel_demand(graph: Graph, batch_size: int) -> dict[int, frozenset[Placement]] | None:
    """Where data parallelism holds inputs; None where no input of that batch can be cut."""
    problem, demand, is_cut = graph.problem, dict[int, frozenset[Placement]](), False
    for number, meta in enumerate(problem.segment.inputs):
        if number in problem.pinned:
            continue
        offered = {row.outputs[0] for row in graph.variables[number].options}
        cut = number in problem.uploads or number in problem.kept
        if cut and meta.shape and meta.shape[0] == batch_size and Shard(0) in offered:
            demand[number] = frozenset((Shard(0),))
            is_cut = True
        else:
            demand[number] = frozenset((Replicate(),))
    return demand if is_cut else None


def replicated_choices(graph: Graph) -> tuple[int, ...]:
    """Every rank does everything; where something is pinned, the first option that fits."""
    return (0,) * len(graph.variables)


def solo_seconds(graph: Graph) -> float:
    """The predicted time of a step that one rank runs with all cores."""
    segment = graph.problem.segment
    per_template = [graph.cost.solo(template) for template in segment.templates]
    sent = sum(segment.inputs[number].nbytes for number in graph.problem.uploads)
    compute = sum(per_template[step.template] for step in segment.steps)
    return compute + sent / graph.problem.costs.solo_memory_bandwidth
