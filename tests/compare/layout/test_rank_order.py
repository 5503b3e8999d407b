"""Ranks in another order: told where the numbers are clear, and not where they are not."""

import numpy as np
import pytest
import torch

from outgrow.compare.layout import Concatenate, PartialSum, Replicated
from outgrow.compare.layout.evidence import agreement
from outgrow.compare.layout.rank_order import find_order
from outgrow.compare.layout.sides import Option, Sides


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def ordered(tensors, expected, layout=None):
    layout = layout or Concatenate(dim=0, shapes=tuple(tuple(tensor.shape) for tensor in tensors))
    return find_order(Sides(expected, tensors), Option(layout=layout, digits=()))


def swapped(noise, size=1024, seed=1):
    """Two ranks in the wrong order, with so much noise that they agree as much as wanted."""
    one, other = numbers(size), numbers(size, seed=9)
    near = [part + noise * numbers(size, seed=seed + place) for place, part in enumerate((other, one))]
    return near, torch.cat([one, other])


@pytest.mark.parametrize(
    ("noise", "is_told"), [(0.0, True), (0.9, True), (1.0, True), (1.3, False), (9.0, False)]
)
def test_each_rank_has_to_fit_clearly_elsewhere(noise, is_told):
    found = ordered(*swapped(noise))
    assert (found is not None) == is_told
    if is_told:
        assert found.order == (1, 0)
        assert found.after == pytest.approx(1 / np.hypot(1, noise), abs=0.05)
        assert found.all_after == pytest.approx(found.after)
        assert found.before == pytest.approx(0.0, abs=0.1)


def test_few_numbers_are_not_clear():
    # Eight standard deviations at an agreement of 1 take 5 numbers of each rank; at 0.7 they take 90.
    assert ordered(*swapped(0.9, size=60)) is None
    assert ordered(*swapped(0.9, size=400)) is not None
    assert ordered(*swapped(0.0, size=8)) is not None
    assert ordered(*swapped(0.0, size=3)) is None


@pytest.mark.parametrize(("share", "is_told"), [(0.0, True), (0.3, True), (0.7, False), (1.0, False)])
def test_a_rank_that_fits_its_own_place_half_is_not_moved(share, is_told):
    """Where all ranks are alike nobody knows which is which."""
    common = numbers(1024, seed=5)
    one, other = (numbers(1024, seed=seed) * (1 - share**2) ** 0.5 + share * common for seed in (0, 9))
    found = ordered([other, one], torch.cat([one, other]))
    assert (found is not None) == is_told


def test_only_places_that_move_count():
    parts = [numbers(256, seed=seed) for seed in range(4)]
    found = ordered([parts[0], parts[2], parts[1], parts[3] + numbers(256, seed=7)], torch.cat(parts))
    assert found.order == (0, 2, 1, 3)
    assert found.after == pytest.approx(1.0)
    assert found.all_after == pytest.approx(
        (3 + agreement(*both(parts[3], numbers(256, seed=7)))) / 4, abs=0.02
    )


def both(part, noise):
    return part.double().numpy(), (part + noise).double().numpy()


def test_there_is_no_order_where_ranks_cannot_be_exchanged():
    x = numbers(600)
    assert ordered([x[:200], x[200:]], x) is None
    assert ordered([x[200:], x[:200]], x) is None
    assert ordered([x], x, Replicated(ranks=1, local=(600,))) is None
    assert ordered([x, x.flip(0)], x, Replicated(ranks=2, local=(600,))) is None
    assert ordered([x, x.flip(0)], x, PartialSum(ranks=2, local=(600,))) is None
    # Two places want the same rank.
    assert ordered([x[:300], numbers(300, seed=4)], torch.cat([x[:300], x[:300]])) is None
