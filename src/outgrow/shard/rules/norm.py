"""Normalisations. Gradients of weights that every piece uses are partial sums."""

__all__ = [
    "batch_norm_rows",
    "group_norm_backward_rows",
    "group_norm_rows",
    "layer_norm_backward_rows",
    "layer_norm_rows",
]

from typing import Any

from outgrow.placement import Placement, Shard
from outgrow.shard.instructions import Template
from outgrow.shard.ranks.pieces import piece_bounds
from outgrow.shard.rules.arguments import Slot, bound, local_form, packet_of
from outgrow.shard.rules.cuts import cuts, is_even, linear_rows, pick
from outgrow.shard.rules.row import SUM, WHOLE, Row
from outgrow.shard.rules.staged import batch_norm_parts


def layer_norm_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`native_layer_norm`, `_fused_rms_norm`: any dim that is not normalised; weights are replicated."""
    return _leading_rows(template, world_size, 1, (Shard,) * len(template.outputs))


def layer_norm_backward_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """Their gradients; the ones of weight and bias are partial sums."""
    given = bound(template)
    kinds = [kind for kind, wanted in zip((Shard, SUM, SUM), given["output_mask"], strict=False) if wanted]
    return (*_leading_rows(template, world_size, 2, tuple(kinds)), *linear_rows(template, ((0,),)))


def _leading_rows(template: Template, world_size: int, full: int, kinds: tuple[Any, ...]) -> tuple[Row, ...]:
    """`full` first inputs have the whole shape; the statistics have as many dims; weights only the
    normalised ones.
    """
    shape = template.inputs[0].shape
    normalised = len(bound(template)["normalized_shape"])
    if len(kinds) != len(template.outputs) or normalised >= len(shape):
        return ()
    found = []
    for dim in range(len(shape) - normalised):
        if not cuts(shape[dim], world_size):
            continue
        chosen: dict[int, Placement] = {
            index: Shard(dim)
            for index, meta in enumerate(template.inputs)
            if index < full or len(meta.shape) == len(shape)
        }
        outputs = tuple(Shard(dim) if kind is Shard else SUM for kind in kinds)
        found.append(Row(pick(len(template.inputs), chosen), outputs))
    return tuple(found)


def group_norm_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`native_group_norm`: the batch, or whole groups of channels."""
    given = bound(template)
    batch, channels, groups = given["N"], given["C"], given["group"]
    found = []
    if cuts(batch, world_size):
        found.append(
            Row(
                pick(len(template.inputs), {given["input"].index: Shard(0)}),
                (Shard(0),) * 3,
                local_form(template, lambda rank, ranks: {"N": _share(batch, rank, ranks)}),
            )
        )
    if is_even(groups, world_size):
        chosen: dict[int, Placement] = {given["input"].index: Shard(1)}
        chosen |= {
            given[name].index: Shard(0) for name in ("weight", "bias") if isinstance(given[name], Slot)
        }
        found.append(
            Row(
                pick(len(template.inputs), chosen),
                (Shard(1),) * 3,
                local_form(template, lambda rank, ranks: {"C": channels // ranks, "group": groups // ranks}),
            )
        )
    return tuple(found)


def group_norm_backward_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """Its gradients; where the batch is cut the ones of weight and bias are partial sums."""
    given = bound(template)
    batch, channels, groups = given["N"], given["C"], given["group"]
    wanted = given["output_mask"]
    full = [given[name].index for name in ("grad_out", "input", "mean", "rstd")]
    found = []

    def outputs(first: Placement, other: Placement) -> tuple[Placement, ...]:
        return tuple(
            placement for placement, is_wanted in zip((first, other, other), wanted, strict=True) if is_wanted
        )

    if cuts(batch, world_size):
        found.append(
            Row(
                pick(len(template.inputs), dict.fromkeys(full, Shard(0))),
                outputs(Shard(0), SUM),
                local_form(template, lambda rank, ranks: {"N": _share(batch, rank, ranks)}),
            )
        )
    if is_even(groups, world_size):
        chosen: dict[int, Placement] = dict.fromkeys(full, Shard(1))
        if isinstance(given["weight"], Slot):
            chosen[given["weight"].index] = Shard(0)
        found.append(
            Row(
                pick(len(template.inputs), chosen),
                outputs(Shard(1), Shard(0)),
                local_form(template, lambda rank, ranks: {"C": channels // ranks, "group": groups // ranks}),
            )
        )
    return (*found, *linear_rows(template, ((full[0],),)))


def _share(size: int, rank: int, world_size: int) -> int:
    start, stop = piece_bounds(size, rank, world_size)
    return stop - start


def batch_norm_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """By channel: everything that has as many entries as there are channels is cut with them.

    Where the statistics are given (evaluation), by any other dim, too.
    """
    given = bound(template)
    name = "grad_out" if "grad_out" in given else "input"
    first = template.inputs[given[name].index]
    if len(first.shape) < 2:
        return ()
    channels = first.shape[1]
    is_backward = "grad_out" in given or "grad_output" in given
    metas = (*template.inputs, *template.outputs)
    if any(meta.shape not in (first.shape, (channels,), (0,)) for meta in metas):
        return ()

    def row(dim: int) -> Row:
        placements = tuple(
            Shard(dim)
            if meta.shape == first.shape
            else Shard(0)
            if dim == 1 and meta.shape == (channels,)
            else WHOLE
            for meta in metas
        )
        return Row(placements[: len(template.inputs)], placements[len(template.inputs) :])

    dims = [1]
    if not _is_training(template, given) and not is_backward and not template.mutates:
        dims += [dim for dim in range(len(first.shape)) if dim != 1]
    found = [row(dim) for dim in dims if cuts(first.shape[dim], world_size)]
    return (*found, *batch_norm_parts(template, world_size))


def _is_training(template: Template, given: dict[str, Any]) -> bool:
    never = ("aten._batch_norm_no_update", "aten._native_batch_norm_legit_no_training")
    return bool(given.get("train", given.get("training", packet_of(template.op) not in never)))
