import math

import pytest
import torch

from outgrow.evolve.policies.paired import paired_improvement


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("pairs", [2, 3, 4, 6, 11, 31, 101])
def test_bound_is_students(pairs, confidence):
    stats = pytest.importorskip("scipy.stats")
    before = torch.randn(pairs, generator=torch.Generator().manual_seed(pairs)).tolist()
    found = paired_improvement(before, [0.0] * pairs, confidence=confidence)
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
        held += paired_improvement(gains.tolist(), [0.0] * 6).lower < 0.3
    assert 930 < held < 970


def test_pairs_share_what_is_hard_about_a_batch():
    hard = [1.0, 5.0, 2.0, 9.0]
    found = paired_improvement(hard, [one - 0.1 for one in hard])
    assert found.lower == pytest.approx(0.1)


def test_what_diverged_is_never_better():
    found = paired_improvement([1.0, 1.0, 1.0], [0.5, math.nan, 0.5])
    assert found.mean == found.lower == -math.inf


def test_one_pair_has_no_bound():
    found = paired_improvement([1.0], [0.5])
    assert found.mean == 0.5
    assert found.lower == -math.inf
