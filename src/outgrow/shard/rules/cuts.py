"""Which dims are worth cutting, and rows that cut the same dim of several tensors."""

__all__ = ["cuts", "is_even", "is_float", "linear_rows", "pick", "uniform_rows"]

from collections.abc import Iterable, Mapping, Sequence

from outgrow.placement import Placement, Shard
from outgrow.shard.instructions import Template, TensorMeta
from outgrow.shard.rules.row import SUM, WHOLE, Row, RowKernel


def is_even(size: int, world_size: int) -> bool:
    """Every rank has as many entries, and some."""
    return size > 0 and size % world_size == 0


def cuts(size: int, world_size: int) -> bool:
    """Every rank has something to do; the last piece may be short.

    No piece is empty: torch refuses some ops on empty tensors, and some of its kernels end the process by a
    division by their size (batch norm without channels, torch 2.13).
    """
    return size > 1 and (world_size - 1) * -(-size // world_size) < size


def is_float(meta: TensorMeta) -> bool:
    """Sums of pieces are exact enough: floating or complex."""
    return meta.dtype.is_floating_point or meta.dtype.is_complex


def pick(count: int, chosen: Mapping[int, Placement]) -> tuple[Placement, ...]:
    """Placements of `count` tensors: the chosen ones by index, the others replicated."""
    return tuple(chosen.get(index, WHOLE) for index in range(count))


def uniform_rows(
    template: Template,
    dims: Iterable[int],
    world_size: int,
    *,
    inputs: Sequence[int] | None = None,
    kernels: Mapping[int, RowKernel] | None = None,
    evenly: bool = False,
) -> list[Row]:
    """For each of `dims` of the first cut input, a row that cuts it of these inputs (all by default) and
    of all outputs.
    """
    cut = range(len(template.inputs)) if inputs is None else inputs
    shape = template.inputs[cut[0]].shape
    found = []
    for dim in dims:
        metas = (*(template.inputs[index] for index in cut), *template.outputs)
        if any(meta.shape[dim] != shape[dim] for meta in metas):
            continue
        if not (is_even if evenly else cuts)(shape[dim], world_size):
            continue
        found.append(
            Row(
                pick(len(template.inputs), dict.fromkeys(cut, Shard(dim))),
                (Shard(dim),) * len(template.outputs),
                None if kernels is None else kernels.get(dim),
            )
        )
    return found


def linear_rows(template: Template, groups: Iterable[Sequence[int]]) -> list[Row]:
    """A row for each group of inputs in which the op is linear together: partial sums of these give
    partial sums.
    """
    if not all(is_float(meta) for meta in template.outputs):
        return []
    return [
        Row(pick(len(template.inputs), dict.fromkeys(group, SUM)), (SUM,) * len(template.outputs))
        for group in groups
        if all(index < len(template.inputs) and is_float(template.inputs[index]) for index in group)
    ]
