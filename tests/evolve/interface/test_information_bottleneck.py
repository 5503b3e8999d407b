"""The predecessor's measures by their names, on tensors of which the answers are known."""

import math

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from outgrow.errors import InputError
from outgrow.evolve import InformationBottleneck


def halves(count=400):
    torch.manual_seed(0)
    labels = torch.arange(count) % 2
    return labels, labels[:, None] * 4.0 + torch.randn(count, 3) * 0.3, torch.randn(count, 3)


def test_entropy_over_bins_lies_between_one_value_and_an_even_spread():
    measure = InformationBottleneck(n_bins=16)
    assert measure.calculate_entropy(torch.ones(1000)) == 0.0
    assert measure.calculate_entropy(torch.linspace(0, 1, 1600)) == pytest.approx(1.0, abs=1e-3)
    nats = InformationBottleneck(n_bins=16, normalize=False)
    assert nats.calculate_entropy(torch.linspace(0, 1, 1600)) == pytest.approx(math.log(16), abs=1e-2)


def test_entropy_along_a_dim_is_that_of_the_distributions_whose_logits_lie_there():
    nats = InformationBottleneck(normalize=False)
    assert nats.calculate_entropy(torch.zeros(5, 8), dim=1) == pytest.approx(math.log(8))
    sure = torch.full((5, 8), -100.0).fill_diagonal_(100.0)
    assert nats.calculate_entropy(sure, dim=1) == pytest.approx(0.0, abs=1e-9)
    assert InformationBottleneck().calculate_entropy(torch.zeros(5, 8), dim=1) == pytest.approx(1.0)


@pytest.mark.parametrize("wrong", [torch.empty(0), torch.tensor([1.0, float("nan")])])
def test_what_has_no_entropy_is_refused(wrong):
    with pytest.raises(InputError, match="empty or not finite"):
        InformationBottleneck().calculate_entropy(wrong)


def test_layers_that_tell_of_the_labels_are_important_and_others_are_not():
    labels, telling, silent = halves()
    measure = InformationBottleneck()
    told = measure.calculate_layer_importance(telling, labels, "generation")
    assert told == pytest.approx(0.8, abs=0.1)
    assert measure.calculate_layer_importance(silent, labels) < 0.2
    assert measure.calculate_layer_importance(telling, labels) == pytest.approx(told * 1.2 / 0.8)
    maps = telling[:, :, None, None].expand(-1, -1, 2, 2)
    assert measure.calculate_layer_importance(maps, labels, "generation") == pytest.approx(told)
    with pytest.raises(InputError, match="task_type is 'guessing'"):
        measure.calculate_layer_importance(telling, labels, "guessing")


def test_redundancy_is_what_importances_leave_of_the_outputs_entropy():
    redundancy = InformationBottleneck().calculate_redundancy
    assert redundancy([0.2, 0.3], 1.0, depth=0) == pytest.approx(0.5)
    assert redundancy([0.2, 0.3], 1.0, depth=10) == pytest.approx(1 - 0.5 / math.exp(-0.3))
    assert redundancy([0.8, 0.8], 1.0, depth=0) == 0.0
    assert redundancy([], 1.0, depth=0) == 1.0
    assert redundancy([0.5], 0.0, depth=3) == 0.0


def test_the_whole_network_is_measured_site_by_site():
    labels, telling, _ = halves(128)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
    found = InformationBottleneck().analyze_network(model, DataLoader(TensorDataset(telling, labels), 32))
    assert set(found["layer_importances"]) == set(found["layer_redundancies"]) == {"0", "2"}
    assert found["network_complexity"] == sum(one.numel() for one in model.parameters()) / 1e6
    redundancies = found["layer_redundancies"].values()
    assert found["redundancy"] == pytest.approx(sum(redundancies) / 2)
    with pytest.raises(InputError, match="task_type is 'guessing'"):
        InformationBottleneck().analyze_network(model, [], "guessing")
