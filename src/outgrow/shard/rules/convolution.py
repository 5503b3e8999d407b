"""Convolutions: by batch, by output channel, by input channel, by group."""

__all__ = ["convolution_backward_rows", "convolution_rows"]

from typing import Any

from outgrow.placement import Placement, Shard
from outgrow.shard.instructions import Template
from outgrow.shard.rules.arguments import Slot, bound, local_form
from outgrow.shard.rules.cuts import cuts, is_even, linear_rows, pick
from outgrow.shard.rules.row import SUM, WHOLE, Row, RowKernel


def convolution_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`convolution(input [n, in, ...], weight, bias, ...)`; the weight is `[out, in / groups, ...]`,
    transposed `[in, out / groups, ...]`.
    """
    given = bound(template)
    data, weight = template.inputs[0].shape, template.inputs[1].shape
    groups, is_transposed = given["groups"], given["transposed"]
    has_bias = isinstance(given["bias"], Slot)
    found = []

    def row(
        x: Placement, w: Placement, b: Placement, result: Placement, kernel: RowKernel | None = None
    ) -> None:
        found.append(Row((x, w, b) if has_bias else (x, w), (result,), kernel))

    if cuts(data[0], world_size):
        row(Shard(0), WHOLE, WHOLE, Shard(0))
    if groups == 1:
        if is_even(weight[1 if is_transposed else 0], world_size):
            row(WHOLE, Shard(1 if is_transposed else 0), Shard(0), Shard(1))
        if is_even(data[1], world_size):
            row(Shard(1), Shard(0 if is_transposed else 1), SUM, SUM)
    elif is_even(groups, world_size):
        local = local_form(template, lambda rank, ranks: {"groups": groups // ranks})
        row(Shard(1), Shard(0), Shard(0), Shard(1), local)
    partial = ((0, 2), (1, 2)) if has_bias else ((0,), (1,))
    return (*found, *linear_rows(template, partial))


def convolution_backward_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """Its gradients: the weight's and the bias's are partial sums where the batch is cut, the input's
    where outputs are.
    """
    given = bound(template)
    data, weight = template.inputs[1].shape, template.inputs[2].shape
    groups, is_transposed, wanted = given["groups"], given["transposed"], given["output_mask"]
    out_dim, in_dim = (1, 0) if is_transposed else (0, 1)
    found = []

    def row(
        inputs: tuple[Placement, ...], outputs: tuple[Placement, ...], kernel: RowKernel | None = None
    ) -> None:
        kept = tuple(one for one, is_wanted in zip(outputs, wanted, strict=True) if is_wanted)
        found.append(Row(pick(len(template.inputs), dict(enumerate(inputs))), kept, kernel))

    if cuts(data[0], world_size):
        row((Shard(0), Shard(0), WHOLE), (Shard(0), SUM, SUM))
    if groups == 1:
        if is_even(weight[out_dim], world_size):
            row(
                (Shard(1), WHOLE, Shard(out_dim)),
                (SUM, Shard(out_dim), Shard(0)),
                local_form(template, lambda rank, ranks: _biases(given, ranks)),
            )
        if is_even(data[1], world_size):
            row((WHOLE, Shard(1), Shard(in_dim)), (Shard(1), Shard(in_dim), WHOLE))
    elif is_even(groups, world_size):
        row(
            (Shard(1), Shard(1), Shard(0)),
            (Shard(1), Shard(0), Shard(0)),
            local_form(template, lambda rank, ranks: {"groups": groups // ranks, **_biases(given, ranks)}),
        )
    return (*found, *linear_rows(template, ((0,),)))


def _biases(given: dict[str, Any], world_size: int) -> dict[str, Any]:
    sizes = given["bias_sizes"]
    return {} if sizes is None else {"bias_sizes": tuple(size // world_size for size in sizes)}
