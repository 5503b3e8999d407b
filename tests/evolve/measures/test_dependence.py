import math

import pytest
import torch

from outgrow.evolve.measures.dependence import measure_dependence
from outgrow.evolve.measures.estimate import Abstention, Estimate


def correlated(
    samples: int, dims: int, correlation: float, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    one, noise = torch.randn(2, samples, dims, generator=generator, dtype=torch.float64)
    return one, correlation * one + math.sqrt(1 - correlation**2) * noise


def truth(dims: int, correlation: float) -> float:
    return -dims / 2 * math.log(1 - correlation**2)


@pytest.mark.parametrize(("dims", "correlation"), [(1, 0.3), (1, 0.9), (5, 0.7), (10, 0.5)])
def test_gaussians_give_their_information(dims, correlation):
    found = measure_dependence(*correlated(1000, dims, correlation))
    assert found.value == pytest.approx(truth(dims, correlation), abs=4 * found.standard_error)
    assert found.standard_error < 0.1
    assert found.p_value <= 0.01


def test_few_samples_do_not_bias_it():
    """Without the correction ten dims and 100 samples give more than half a nat too much."""
    found = [measure_dependence(*correlated(100, 10, 0.6, seed), permutations=19) for seed in range(12)]
    mean = sum(one.value for one in found) / len(found)
    assert mean == pytest.approx(truth(10, 0.6), rel=0.1)


@pytest.mark.parametrize(
    "shape",
    [
        torch.exp,
        lambda values: values**3,
        lambda values: values.sigmoid(),
        lambda values: 1 / (1 + values.exp()),
    ],
    ids=["exp", "cube", "sigmoid", "falling"],
)
def test_marginals_of_any_shape_change_nothing(shape):
    one, other = correlated(1000, 2, 0.7)
    plain = measure_dependence(one, other)
    assert measure_dependence(shape(one), other).value == pytest.approx(plain.value, abs=1e-9)


@pytest.mark.parametrize("dims", [1, 5, 30])
def test_independent_samples_make_it_abstain(dims):
    found = measure_dependence(*correlated(400, dims, 0.0, seed=3))
    assert isinstance(found, Abstention)
    assert found.p_value > 0.05
    assert "no dependence" in found.reason


def test_false_alarms_are_as_rare_as_said():
    found = [measure_dependence(*correlated(80, 2, 0.0, seed), permutations=19) for seed in range(100)]
    assert sum(isinstance(one, Estimate) for one in found) <= 11


def test_what_leaves_ranks_uncorrelated_is_missed_as_documented():
    generator = torch.Generator().manual_seed(4)
    one = torch.randn(500, 1, generator=generator, dtype=torch.float64)
    assert isinstance(measure_dependence(one, one**2), Abstention)
    signs = torch.randint(2, (500, 2), generator=generator) * 2.0 - 1
    assert isinstance(measure_dependence(signs, signs.prod(1, keepdim=True)), Abstention)


def test_more_dims_than_ten_lose_some_and_invent_none():
    found = measure_dependence(*correlated(1000, 20, 0.7))
    assert 0 < found.value < truth(20, 0.7)


def test_doubled_dims_count_once():
    one, other = correlated(800, 1, 0.7)
    once, twice = measure_dependence(one, other), measure_dependence(torch.cat([one, one * 2], 1), other)
    assert twice.value == pytest.approx(once.value, abs=0.01)


def test_a_function_of_the_other_side_makes_it_abstain():
    one, _ = correlated(200, 3, 0.0)
    assert "function" in measure_dependence(one, one * 2).reason


def test_labels_that_move_the_mean():
    """Two classes two standard deviations apart: 0.337 nats, by numerical integration."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.randint(2, (4000,), generator=generator)
    one = torch.randn(4000, 1, generator=generator) + 2.0 * labels[:, None]
    found = measure_dependence(one, labels, permutations=19)
    assert 0.29 < found.value < 0.337 + 2 * found.standard_error


def test_labels_never_give_more_than_their_entropy():
    labels = torch.arange(600) % 3
    generator = torch.Generator().manual_seed(6)
    one = torch.randn(600, 4, generator=generator) + 100.0 * labels[:, None]
    assert measure_dependence(one, labels, permutations=19).value <= math.log(3) + 1e-9


def test_abstains_with_rare_classes_few_samples_or_nan():
    one, other = correlated(100, 2, 0.5)
    labels = torch.zeros(100, dtype=torch.int64)
    assert measure_dependence(one, labels).reason == "one side is constant"
    labels[:3] = 1
    assert "only 3 samples" in measure_dependence(one, labels).reason
    assert "at least 64" in measure_dependence(one[:50], other[:50]).reason
    other[7] = math.nan
    assert "NaN" in measure_dependence(one, other).reason
