"""Products of matrices: rows, columns, the contracted dim and batches can be cut."""

__all__ = ["addmm_rows", "dot_rows", "matmul_rows"]

from outgrow.placement import Placement, Shard
from outgrow.shard.instructions import Template
from outgrow.shard.rules.cuts import cuts, is_float, linear_rows
from outgrow.shard.rules.row import SUM, WHOLE, Row


def matmul_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`mm`, `bmm`, `mv`: `[..., m, k] @ [..., k, n]`, or `[k]` on the right."""
    return _product(template, world_size, 0)


def addmm_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`addmm`, `baddbmm`, `addmv`: as the product; what is added is broadcast and is on rank 0 alone
    where sums are partial.
    """
    return _product(template, world_size, 1)


def _product(template: Template, world_size: int, at: int) -> tuple[Row, ...]:
    left, right, out = template.inputs[at].shape, template.inputs[at + 1].shape, template.outputs[0].shape
    dims = len(left)
    contracted = max(len(right) - 2, 0)

    def row(a: Placement, b: Placement, result: Placement) -> Row:
        return Row((*(_added(template, result),) * at, a, b), (result,))

    batches = [batch for batch in range(dims - 2) if cuts(left[batch], world_size)]
    found = [row(Shard(batch), Shard(batch), Shard(batch)) for batch in batches]
    if cuts(left[dims - 2], world_size):
        found.append(row(Shard(dims - 2), WHOLE, Shard(dims - 2)))
    if len(right) == dims and cuts(right[-1], world_size):
        found.append(row(WHOLE, Shard(dims - 1), Shard(len(out) - 1)))
    if cuts(left[-1], world_size) and is_float(template.outputs[0]):
        found.append(row(Shard(dims - 1), Shard(contracted), SUM))
    groups = ((0,), (1,)) if not at else ((0, 1), (0, 2))
    return (*found, *linear_rows(template, groups))


def _added(template: Template, result: Placement) -> Placement:
    """How the addend of shape `inputs[0]` is held where the product is held so."""
    if not isinstance(result, Shard):
        return result
    shape, out = template.inputs[0].shape, template.outputs[0].shape
    own = result.dim - (len(out) - len(shape))
    return Shard(own) if own >= 0 and shape[own] == out[result.dim] else WHOLE


def dot_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`dot`, `vdot`: of two vectors."""
    found = linear_rows(template, ((0,), (1,)))
    if cuts(template.inputs[0].shape[0], world_size) and is_float(template.outputs[0]):
        found.insert(0, Row((Shard(0), Shard(0)), (SUM,)))
    return tuple(found)
