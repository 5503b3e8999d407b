import math

import pytest
import torch

from outgrow.evolve.measures.estimate import Abstention
from outgrow.evolve.measures.probe import fit_probe, held_out_losses
from outgrow.evolve.measures.relevance import label_entropy, measure_relevance


def noisy_labels(samples: int, flipped: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, float]:
    """A bit, sent through a channel that flips it; what gets through is known: ln 2 - h(flipped)."""
    generator = torch.Generator().manual_seed(seed)
    bit = torch.randint(2, (samples,), generator=generator)
    received = bit ^ (torch.rand(samples, generator=generator) < flipped).long()
    noise = torch.randn(samples, 4, generator=generator)
    h = -flipped * math.log(flipped) - (1 - flipped) * math.log(1 - flipped)
    return torch.cat([received[:, None] * 2.0 - 1, noise], 1), bit, math.log(2) - h


@pytest.mark.parametrize("flipped", [0.05, 0.2, 0.4])
def test_binary_channel_gives_its_information(flipped):
    activations, labels, truth = noisy_labels(2000, flipped)
    found = measure_relevance(activations, labels)
    # A bound from below, up to what the sample itself differs from the channel.
    assert truth - 0.03 < found.value < truth + 2.5 * found.standard_error
    assert 0 < found.standard_error < 0.02


def test_classes_apart_give_their_whole_entropy():
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(5, (600,), generator=generator)
    activations = torch.nn.functional.one_hot(labels, 5) + 0.01 * torch.randn(600, 5, generator=generator)
    found = measure_relevance(activations, labels)
    assert found.value == pytest.approx(label_entropy(labels), abs=0.01)


@pytest.mark.parametrize("dims", [3, 40, 400])
def test_noise_gives_nothing_however_many_dims(dims):
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(4, (400,), generator=generator)
    found = measure_relevance(torch.randn(400, dims, generator=generator), labels)
    assert found.value < 0.01


def test_exclusive_or_is_not_seen_until_it_is_a_channel():
    generator = torch.Generator().manual_seed(3)
    signs = torch.randint(2, (800, 2), generator=generator) * 2.0 - 1
    both = signs[:, :1] * signs[:, 1:]
    labels = (both[:, 0] > 0).long()
    assert measure_relevance(signs, labels).value < 0.01
    assert measure_relevance(torch.cat([signs, both], 1), labels).value > 0.6


def test_a_rotation_and_a_scale_change_nothing_much():
    activations, labels, _ = noisy_labels(1000, 0.1)
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(4)))[0]
    one, other = measure_relevance(activations, labels), measure_relevance(activations @ turn * 50, labels)
    assert one.value == pytest.approx(other.value, abs=0.01)


def test_abstains_where_nothing_can_be_said():
    labels = torch.arange(100) % 3
    activations = torch.randn(100, 4, generator=torch.Generator().manual_seed(5))
    assert "at least 32" in measure_relevance(activations[:20], labels[:20]).reason
    assert "the same" in measure_relevance(activations, torch.zeros(100, dtype=torch.int64)).reason
    activations[3, 1] = math.nan
    found = measure_relevance(activations, labels)
    assert isinstance(found, Abstention)
    assert found.reason == "1 of 100 samples hold NaN or Inf"


def test_constant_channels_count_as_nothing():
    activations, labels, _ = noisy_labels(500, 0.1)
    dead = torch.cat([activations, torch.full((500, 3), 7.0)], 1)
    assert measure_relevance(dead, labels).value == pytest.approx(
        measure_relevance(activations, labels).value, abs=1e-6
    )


def test_probe_is_the_optimum_and_does_not_move_global_state():
    generator = torch.Generator().manual_seed(6)
    features, labels = torch.randn(300, 5, generator=generator), torch.randint(3, (300,), generator=generator)
    before = torch.get_rng_state()
    with torch.no_grad():
        weight = fit_probe(features, labels, classes=3, penalty=0.1, rounds=200)
        assert not torch.is_grad_enabled()
    assert torch.equal(before, torch.get_rng_state())
    weight.requires_grad_()
    data = torch.cat([features, torch.ones(300, 1)], 1).double()
    loss = torch.nn.functional.cross_entropy(data @ weight, labels) + 0.05 * weight[:-1].square().sum()
    (gradient,) = torch.autograd.grad(loss, weight)
    assert gradient.abs().max() < 1e-5


def test_no_sample_is_judged_by_a_probe_that_has_seen_it():
    """With more dims than samples a probe that has seen a sample knows its label."""
    generator = torch.Generator().manual_seed(7)
    features, labels = torch.randn(64, 200, generator=generator), torch.arange(64) % 2
    assert held_out_losses(features, labels, classes=2).mean() > 0.6
