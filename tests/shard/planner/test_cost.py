"""Predicted seconds of moves and products, worked out by hand."""

import pytest
import torch

from outgrow.placement import Owned, Partial
from outgrow.shard.instructions import INPUT, Template
from outgrow.shard.planner.cost import NARROW, WIDE, CostModel, collectives_between
from tests.shard.planner.linear_step import S0, S1, P, R, costs, meta

BYTES = 7_000_000
THROUGH_MEMORY, SENT = 1e-3, BYTES / 1.3e9
AVERAGE, MOST, OWNED = Partial("avg"), Partial("max"), Owned(0)


@pytest.mark.parametrize(
    ("old", "new", "collective", "seconds"),
    [
        (R, R, (), 0.0),
        (P, P, (), 0.0),
        (R, S0, (), 5e-7 + THROUGH_MEMORY / 2),
        (R, P, (), 1e-6 + THROUGH_MEMORY / 2),
        (S0, R, ("all_gather",), 4e-4 + SENT),
        (S0, S1, ("all_to_all",), 2e-4 + SENT),
        (P, R, ("all_reduce",), 8e-4 + SENT),
        (MOST, R, ("all_reduce",), 8e-4 + SENT),
        (P, S0, ("reduce_scatter",), 1e-3 + SENT),
        (AVERAGE, P, (), 1e-6 + THROUGH_MEMORY / 2),
        (P, AVERAGE, (), THROUGH_MEMORY),
        (MOST, P, ("all_reduce",), 8e-4 + SENT + 1e-6 + THROUGH_MEMORY / 2),
        (OWNED, R, ("broadcast",), 4e-4 + SENT),
        (OWNED, S0, ("broadcast",), 4e-4 + SENT + 5e-7 + THROUGH_MEMORY / 2),
    ],
    ids=str,
)
def test_a_move_costs_its_collective_and_its_copies(old, new, collective, seconds):
    assert collectives_between(old, new) == collective
    assert CostModel(costs()).move(old, new, BYTES, False) == pytest.approx(seconds, rel=1e-9)


def test_where_only_sums_are_wanted_every_other_collective_is_dear():
    model = CostModel(costs(), is_reducing=True)
    assert model.move(P, R, BYTES, False) == pytest.approx(8e-4 + SENT)
    assert model.move(S0, R, BYTES, False) == pytest.approx(1e3 * (4e-4 + SENT))


def _product_seconds(rows, **changes):
    """Of `[rows, 4096] @ [4096, 4096]`, the memory left out."""
    one, two, out = meta(rows, 4096), meta(4096, 4096), meta(rows, 4096)
    product = Template(op="aten.mm.default", args=(INPUT, INPUT), inputs=(one, two), outputs=(out,))
    given = costs(solo_memory_bandwidth=1e18, **changes)
    return CostModel(given).solo(product) - given.op_seconds


def test_a_narrow_product_takes_as_long_as_one_of_sixteen_rows():
    flops = 2 * NARROW * 4096 * 4096
    for rows in (1, NARROW // 2, NARROW):
        assert _product_seconds(rows, solo_narrow_flops=2e10) == pytest.approx(flops / 2e10, rel=1e-6)


def test_a_wide_product_runs_at_the_full_rate_and_one_between_in_between():
    def rate(rows):
        return 2 * rows * 4096 * 4096 / _product_seconds(rows, solo_narrow_flops=2e10)

    assert rate(WIDE) == pytest.approx(1.1e11, rel=1e-6)
    assert rate(4 * WIDE) == pytest.approx(1.1e11, rel=1e-6)
    middle = round((NARROW * WIDE) ** 0.5)
    assert rate(middle) == pytest.approx((2e10 * 1.1e11) ** 0.5, rel=0.05)


def test_without_a_figure_for_narrow_ones_all_products_run_at_one_rate():
    for rows in (1, NARROW, WIDE):
        assert _product_seconds(rows) == pytest.approx(2 * rows * 4096 * 4096 / 1.1e11, rel=1e-6)


def test_a_tensor_of_nothing_takes_no_bytes_on_any_rank():
    model = CostModel(costs())
    assert model.local_bytes(meta(0, 4), S0) == 0
    assert model.local_bytes(meta(5, 4), S0) == 3 * 4 * torch.float32.itemsize
