import math

import pytest
import torch

from outgrow.evolve.policies.paired import paired_improvement, price_of


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("pairs", [2, 3, 4, 6, 11, 31, 101])
def test_bound_is_students(pairs, confidence):
    stats = pytest.importorskip("scipy.stats")
    before = torch.randn(pairs, generator=torch.Generator().manual_seed(pairs)).tolist()
    found = paired_improvement(before, before, [0.0] * pairs, confidence=confidence)
    error = torch.tensor(before).std().item() / math.sqrt(pairs)
    assert found.pairs == pairs
    assert found.mean == pytest.approx(sum(before) / pairs, abs=1e-6)
    expected = stats.t.ppf(confidence, pairs - 1)
    # The series is a little too small at three degrees of freedom and 99 %.
    assert (found.mean - found.lower) / error == pytest.approx(expected, rel=0.03 if pairs == 4 else 0.01)


def test_bound_holds_as_often_as_said():
    generator = torch.Generator().manual_seed(0)
    held = 0
    for _ in range(1000):
        gains = 0.3 + torch.randn(6, generator=generator)
        held += paired_improvement([0.0] * 6, gains.tolist(), [0.0] * 6).lower < 0.3
    assert 930 < held < 970


def test_pairs_share_what_is_hard_about_a_batch():
    hard = [1.0, 5.0, 2.0, 9.0]
    found = paired_improvement(hard, hard, [one - 0.1 for one in hard])
    assert found.lower == pytest.approx(0.1)


def test_what_diverged_is_never_better():
    found = paired_improvement([1.0] * 3, [1.0] * 3, [0.5, math.nan, 0.5])
    assert found.mean == found.lower == -math.inf


def test_one_pair_has_no_bound():
    found = paired_improvement([1.0], [1.0], [0.5])
    assert found.mean == 0.5
    assert found.lower == -math.inf


def test_what_the_flops_would_have_bought_is_taken_off():
    before, without, changed = [1.0, 2.0, 3.0], [0.8, 1.8, 2.8], [0.7, 1.7, 2.7]
    assert paired_improvement(before, without, changed).mean == pytest.approx(0.1)
    assert paired_improvement(before, without, changed, price=1.5).lower == pytest.approx(0)
    assert paired_improvement(before, without, changed, price=2).mean == pytest.approx(-0.1)
    assert paired_improvement(before, without, changed, price=0.5).mean == pytest.approx(0.2)


def test_training_that_makes_it_worse_buys_nothing():
    assert paired_improvement([1.0, 1.0], [1.2, 1.2], [1.1, 1.1], price=3).mean == pytest.approx(0.1)


def test_price_is_what_makes_two_logarithmic_curves_end_alike():
    steps, left, ratio = 200.0, 800.0, 1.6
    price = price_of(ratio, 0.2)
    without = math.log((steps + left) / steps)
    assert price * math.log((steps + left / ratio) / steps) == pytest.approx(without)
    assert 1 < price < ratio


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.5, 4.0])
def test_price_goes_from_nothing_to_the_whole_ratio_as_the_budget_ends(ratio):
    prices = [price_of(ratio, share) for share in (0.001, 0.01, 0.1, 0.5, 0.9, 0.999)]
    assert prices == sorted(prices, reverse=ratio < 1)
    assert prices[-1] == pytest.approx(ratio, rel=0.01)
    assert abs(prices[0] - 1) < 0.3
    assert price_of(ratio, 0.0) == price_of(ratio, 1.0) == ratio
