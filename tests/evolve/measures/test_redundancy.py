import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.evolve.measures.redundancy import channel_redundancy, debiased_cka, measure_redundancy


def normal(samples: int, channels: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(samples, channels, generator=torch.Generator().manual_seed(seed))


def test_doubled_channels_are_redundant_and_others_are_not():
    values = normal(500, 8)
    found = channel_redundancy(torch.cat([values, values[:, :2] * -3 + 5], 1))
    assert found[[0, 1, 8, 9]].min() > 0.98
    assert found[2:8].max() < 0.05


@pytest.mark.parametrize(("samples", "channels"), [(100, 80), (100, 99), (64, 200), (1000, 10)])
def test_noise_is_not_redundant_however_many_channels(samples, channels):
    """In the sample, `channels - 1` regressors explain all of it."""
    assert measure_redundancy(normal(samples, channels)).value < 0.02


@pytest.mark.parametrize("correlation", [0.3, 0.6, 0.9])
def test_two_correlated_channels_have_their_squared_correlation(correlation):
    one, other = normal(4000, 2).unbind(1)
    mixed = correlation * one + math.sqrt(1 - correlation**2) * other
    found = channel_redundancy(torch.stack([one, mixed], 1))
    assert found == pytest.approx([correlation**2] * 2, abs=0.03)


@given(st.integers(0, 2**16), st.floats(0.01, 100), st.floats(-50, 50))
def test_units_and_offsets_of_channels_do_not_matter(seed, scale, offset):
    values = normal(120, 5, seed).double()
    values[:, 4] = values[:, :2].sum(1) + 0.3 * values[:, 4]
    one, other = channel_redundancy(values), channel_redundancy(values * scale + offset)
    assert torch.allclose(one, other, atol=1e-6)


def test_constant_channels_are_redundant_and_disturb_nobody():
    values = normal(200, 4)
    found = channel_redundancy(torch.cat([values, torch.full((200, 1), 3.0)], 1))
    assert found[4] == 1
    assert found[:4].max() < 0.05
    assert channel_redundancy(torch.zeros(100, 3)).tolist() == [1, 1, 1]
    assert channel_redundancy(normal(100, 1)).tolist() == [0]


def test_abstains_with_few_samples_or_nan():
    assert "at least 32" in measure_redundancy(normal(10, 3)).reason
    values = normal(100, 3)
    values[5, 2] = math.inf
    assert "1 of 100 samples" in measure_redundancy(values).reason


def test_rotated_and_scaled_activations_are_alike():
    values = normal(300, 12)
    turn = torch.linalg.qr(normal(12, 12, 1))[0]
    assert debiased_cka(values, values @ turn * 7 + 3).value == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("channels", [5, 300, 2000])
def test_independent_activations_are_not_alike_however_many_channels(channels):
    """Plain CKA of 2,000 channels and 200 samples of noise is 0.9."""
    found = debiased_cka(normal(200, channels), normal(200, channels, 1))
    assert abs(found.value) < max(0.02, 4 * found.standard_error)


def test_half_shared_activations_are_in_between():
    shared, one, other = normal(2000, 10), normal(2000, 10, 1), normal(2000, 10, 2)
    found = debiased_cka(torch.cat([shared, one], 1), torch.cat([shared, other], 1))
    # HSIC counts squared covariances: 10 shared of 20 in each.
    assert found.value == pytest.approx(0.5, abs=0.03)


def test_constant_side_has_no_likeness():
    assert debiased_cka(normal(100, 3), torch.ones(100, 2)).reason == "one side is constant"


def test_likeness_abstains_with_few_samples():
    found = debiased_cka(normal(31, 3), normal(31, 3, 1))
    assert found.reason == "31 samples, and at least 32 are needed"
    assert found.samples == 31


def test_what_only_a_tenth_of_the_samples_says_is_left_out_of_the_spread_without_it():
    """All that varies is in every tenth sample: a block less, and one side is constant."""
    one = torch.zeros(100, 2)
    one[::10] = normal(10, 2)
    found = debiased_cka(one, one)
    assert found.value == pytest.approx(1)
    assert found.standard_error == pytest.approx(0, abs=1e-6)
