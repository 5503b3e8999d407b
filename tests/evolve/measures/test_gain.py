import copy
import math

import pytest
import torch
from torch import nn

from outgrow import evolve
from outgrow.evolve.batches import own_loss, read_batch
from outgrow.evolve.example_inputs import call_form
from outgrow.evolve.measures.estimate import Abstention
from outgrow.evolve.measures.gain import measure_fresh_gain, measure_gains


def perceptron(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)
        ).double()  # fmt: skip


def batches(count: int, size: int = 64, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    teacher = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    found = []
    for _ in range(count):
        values = torch.randn(size, 5, generator=generator, dtype=torch.float64)
        found.append(read_batch((values, (values @ teacher).argmax(1))))
    return found


def gains(model, given, **more):
    example = torch.randn(2, 5, dtype=torch.float64)
    return measure_gains(model, evolve.sites(model, example), given, inputs=call_form(example), **more)


def test_outgoing_gain_is_what_a_small_step_on_copies_lowers_the_loss_by():
    """All units copied with zero outgoing weights, one step on those: the loss falls by `rate * gain`."""
    model, given = perceptron(), batches(1, size=256) * 2
    found = gains(model, given)
    for site, (layer, reader) in {"0": (0, 2), "2": (2, 4)}.items():
        wider = copy.deepcopy(model)
        for parameter in ("weight", "bias"):
            old = getattr(wider[layer], parameter)
            setattr(wider[layer], parameter, nn.Parameter(torch.cat([old.data, old.data])))
        old = wider[reader].weight.data
        fresh = torch.zeros_like(old)
        wider[reader].weight = nn.Parameter(torch.cat([old, fresh], 1))
        before = own_loss(wider, given[0])
        (gradient,) = torch.autograd.grad(before, wider[reader].weight)
        rate = 1e-4
        with torch.no_grad():
            wider[reader].weight[:, old.shape[1] :] -= rate * gradient[:, old.shape[1] :]
        fell = (before - own_loss(wider, given[0])).item() / rate
        units = old.shape[1]
        assert found[site].outgoing.value * units == pytest.approx(fell, rel=1e-3)


def test_noise_of_batches_is_taken_out():
    """The mean over many pairs of small batches is the gain of their union; the squared norms are larger."""
    model = perceptron()
    many = batches(200, size=16)
    whole = read_batch(
        (
            torch.cat([one.inputs.args[0] for one in many]),
            torch.cat([one.target for one in many]),
        )
    )
    truth = gains(model, [whole, whole])["0"].outgoing.value
    found = gains(model, many)["0"].outgoing
    assert found.value == pytest.approx(truth, abs=3 * found.standard_error)
    assert found.standard_error < 0.2 * truth
    single = sum(gains(model, [one, one])["0"].outgoing.value for one in many[:20]) / 20
    assert single > 1.3 * truth


def test_a_trained_model_promises_less():
    model, given = perceptron(), batches(8)
    before = gains(model, given)["0"].value
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for one in batches(300, seed=0):
        optimizer.zero_grad()
        own_loss(model, one).backward()
        optimizer.step()
    assert gains(model, given)["0"].value < 0.2 * before


def test_adaptive_gains_do_not_depend_on_how_large_the_loss_counts():
    model, given = perceptron(), batches(6)
    one = gains(model, given, adaptive=True)
    other = gains(model, given, adaptive=True, objective=lambda model, batch: 100 * own_loss(model, batch))
    # Adam's step does not grow with the gradient: the decrease grows with the loss, not with its square.
    assert other["0"].outgoing.value == pytest.approx(100 * one["0"].outgoing.value, rel=1e-6)
    plain = gains(model, given, objective=lambda model, batch: 100 * own_loss(model, batch))
    assert plain["0"].outgoing.value == pytest.approx(1e4 * gains(model, given)["0"].outgoing.value)


def test_fresh_weights_are_those_that_are_named():
    model, given = perceptron(), batches(1, size=256) * 2
    found = measure_fresh_gain(model, ["2.weight", "2.bias"], given)
    loss = own_loss(model, given[0])
    gradients = torch.autograd.grad(loss, [model[2].weight, model[2].bias])
    assert found.value == pytest.approx(sum(one.square().sum().item() for one in gradients))


def test_gradients_and_modes_are_left_as_they_were():
    model, given = perceptron(), batches(2)
    own_loss(model, given[0]).backward()
    before = [one.grad for one in model.parameters()]
    contents = [one.clone() for one in before]
    gains(model, given)
    assert all(one.grad is gradient for one, gradient in zip(model.parameters(), before, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(before, contents, strict=True))
    assert model.training


def test_abstains_where_nothing_can_be_said():
    model, given = perceptron(), batches(3)
    assert "at least 2" in gains(model, given[:1])["0"].reason
    model[2].requires_grad_(False)
    assert "none of the weights that read it" in gains(model, given)["0"].reason
    assert measure_fresh_gain(model, ["2.weight"], given).reason == "none of these parameters is trained"
    broken = gains(perceptron(), given, objective=lambda model, batch: own_loss(model, batch) * math.nan)
    assert isinstance(broken["0"], Abstention)
    assert "NaN" in broken["0"].reason


def test_fresh_weights_abstain_where_nothing_can_be_said():
    model, given = perceptron(), batches(3)
    few = measure_fresh_gain(model, ["2.weight"], given[:1])
    assert few.reason == "1 batches, and at least 2 are needed to tell a gradient from its noise"
    assert few.samples == 1
    broken = measure_fresh_gain(
        model, ["2.weight"], given, objective=lambda model, batch: own_loss(model, batch) * math.nan
    )
    assert broken == Abstention(reason="the gradients hold NaN or Inf", samples=3)
