"""The predecessor's structural steps by their names: figures, mutations and the file of what happened."""

import json

import pytest
import torch
from torch import nn

from outgrow.errors import StoreError
from outgrow.evolve.interface.evolution_step import EvolutionStep
from outgrow.evolve.interface.structural_evolution import StructuralEvolution


def step(**changed):
    figures = {
        "epoch": 0, "action": "expand", "target_layers": ["0"], "metrics_before": {"accuracy": 0.5},
        "metrics_after": {}, "info_gain": 0.2, "parameters_before": 100, "parameters_after": 110,
    }  # fmt: skip
    return EvolutionStep(**(figures | changed))


def test_a_layer_that_tells_much_should_grow_more_and_all_should_near_the_target():
    evolution = StructuralEvolution(alpha=0.5, beta=0.2)
    gradient = evolution.calculate_entropy_gradient(0.4, 0.9, {"a": 1.0, "b": 0.0})
    assert gradient == pytest.approx({"a": -0.5 + 0.1, "b": 0.1})


@pytest.mark.parametrize(("after", "gain"), [(110, 2.0), (90, 2.0), (100, 0.0)])
def test_efficiency_is_the_reward_for_each_part_of_the_parameters(after, gain):
    assert step(parameters_after=after).efficiency_gain() == pytest.approx(gain)


def test_a_mutation_keeps_the_outputs():
    torch.manual_seed(0)
    model, images = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU()), torch.randn(2, 1, 8, 8)
    before, kernel = model(images), model[0].kernel_size
    changed = StructuralEvolution().mutate_discrete_parameters(model, example_inputs=images)
    assert changed is model
    assert model[0].kernel_size != kernel
    assert torch.equal(model(images), before) or torch.allclose(model(images), before, atol=1e-6)


def test_what_happened_is_written_whole_and_what_json_cannot_hold_is_left_out(tmp_path):
    evolution = StructuralEvolution()
    evolution.evolution_history += [
        step(metrics_before={"accuracy": 0.5, "weights": torch.ones(2)}), step(epoch=1)
    ]  # fmt: skip
    evolution.save_evolution_history(tmp_path / "history.json")
    first, second = json.loads((tmp_path / "history.json").read_text())
    assert (first["epoch"], second["epoch"]) == (0, 1)
    assert first["metrics_before"] == {"accuracy": 0.5}
    assert list(tmp_path.iterdir()) == [tmp_path / "history.json"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError):
        evolution.save_evolution_history(tmp_path / "folder")
