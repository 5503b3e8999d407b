"""Programs as the predecessor's pages write them run, and what they do is real."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import outgrow.evolve as neuroexapt
from outgrow.evolve.interface import ACTION_NAMES


@pytest.fixture
def loaders():
    torch.manual_seed(0)
    images = torch.randn(160, 1, 8, 8)
    labels = (images[:, 0, :4].mean((1, 2)) > images[:, 0, 4:].mean((1, 2))).long()
    data = TensorDataset(images, labels)
    return DataLoader(data, batch_size=16, shuffle=True), DataLoader(data, batch_size=32)


def small_cnn():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 2),
    )


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_quick_start(loaders):
    train_loader, val_loader = loaders
    ne = neuroexapt.NeuroExapt(task_type="classification", depth=18, entropy_weight=0.5)
    model = ne.wrap_model(small_cnn())
    trainer = neuroexapt.Trainer(model=model, entropy_threshold=0.3, evolution_frequency=1, seed=3)
    history = trainer.fit(train_loader, val_loader, epochs=3)
    assert len(history["loss"]) == 3
    assert history["loss"][-1] < history["loss"][0]
    assert len(trainer.evolution_events) == 2
    kept = sum(event["is_kept"] for event in trainer.evolution_events)
    assert trainer.dynarch.get_stats()["evolution_steps"] == kept
    assert trainer.wrapped_model is model


@pytest.mark.parametrize("action", range(6), ids=ACTION_NAMES)
def test_every_action_changes_the_model_or_says_why_not(action, loaders):
    model = small_cnn()
    dynarch = neuroexapt.DynamicArchitecture(
        base_model=model,
        evolution=neuroexapt.StructuralEvolution(expand_ratio=0.25),
        ib=neuroexapt.InformationBottleneck(),
        optimizer=torch.optim.Adam(model.parameters()),
        keep_above=-1e9,
    )
    metrics = dynarch.evaluate(loaders[1])
    before = count(model)
    success, info = dynarch.apply_tentative(action, dynarch.get_state(metrics), loaders[1])
    if success:
        assert count(model) != before or info["action_info"]["edit"].operator == "mutate"
        assert len(dynarch.history) == 1
    else:
        assert info["error_type"]
        assert info["traceback"]
        assert count(model) == before
    assert dynarch.base_model is model


def test_a_change_that_does_not_pay_is_taken_back_bit_for_bit(loaders):
    model = small_cnn()
    optimizer = torch.optim.Adam(model.parameters())
    dynarch = neuroexapt.DynamicArchitecture(
        model,
        neuroexapt.StructuralEvolution(),
        neuroexapt.InformationBottleneck(),
        optimizer=optimizer,
        keep_above=1e9,
    )
    weights = copy.deepcopy(model.state_dict())
    state = dynarch.get_state(dynarch.evaluate(loaders[1]))
    batches = list(loaders[1])  # making an iterator of a loader draws a random number
    random = torch.get_rng_state()
    success, info = dynarch.apply_tentative(1, state, batches)
    assert not success
    assert info["reason"] == "performance_degraded"
    assert torch.equal(random, torch.get_rng_state())
    assert not optimizer.state
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, weights[name]), name


def test_ctrl_c_passes_through_and_leaves_the_model_alone(loaders):
    model = small_cnn()

    def stop(output, target):
        raise KeyboardInterrupt

    dynarch = neuroexapt.DynamicArchitecture(
        model, neuroexapt.StructuralEvolution(), neuroexapt.InformationBottleneck(), objective=stop
    )
    weights = copy.deepcopy(model.state_dict())
    with pytest.raises(KeyboardInterrupt):
        dynarch.apply_tentative(1, torch.zeros(8), loaders[1])
    assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())


def test_a_loader_of_an_unknown_form_is_a_failure_with_its_type(loaders):
    dynarch = neuroexapt.DynamicArchitecture(
        small_cnn(), neuroexapt.StructuralEvolution(), neuroexapt.InformationBottleneck()
    )
    success, info = dynarch.apply_tentative(1, torch.zeros(8), ["nothing", "known"])
    assert not success
    assert info["error_type"] == "UnknownBatch"
    assert "accepted are" in info["error"]


def test_a_failure_while_it_trains_is_told_by_its_own_name(loaders):
    model = small_cnn()
    calls = []

    def fails(output, target):
        calls.append(1)
        if len(calls) > 8:
            raise ZeroDivisionError("of the user's own")
        return nn.functional.cross_entropy(output, target)

    dynarch = neuroexapt.DynamicArchitecture(
        model, neuroexapt.StructuralEvolution(), neuroexapt.InformationBottleneck(), objective=fails
    )
    weights = copy.deepcopy(model.state_dict())
    success, info = dynarch.apply_tentative(1, torch.zeros(8), list(loaders[1]))
    assert not success
    assert info["error_type"] == "ZeroDivisionError"
    assert "of the user's own" in info["traceback"]
    assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())


def test_the_state_has_eight_measured_figures(loaders):
    model = small_cnn()
    dynarch = neuroexapt.DynamicArchitecture(
        model, neuroexapt.StructuralEvolution(), neuroexapt.InformationBottleneck()
    )
    one, two = dynarch.evaluate(loaders[1]), dynarch.evaluate(loaders[1])
    assert one == two, "figures are measured, not drawn"
    state = dynarch.get_state(one)
    assert state.shape == (8,)
    assert state.dtype == torch.float32
    assert state.device == next(model.parameters()).device
    assert state[3] == pytest.approx(count(model) / 1e6)
    assert 0 <= dynarch.select_action(state, training=False) < 6


def test_the_policy_learns_from_its_buffer_and_its_target_follows(loaders):
    dynarch = neuroexapt.DynamicArchitecture(
        small_cnn(), neuroexapt.StructuralEvolution(), neuroexapt.InformationBottleneck(), batch_size=4
    )
    first = copy.deepcopy(dynarch.target_net.state_dict())
    for step in range(6):
        dynarch.experience_buffer.add(torch.randn(8), step, float(step), torch.randn(8), step == 5)
        dynarch._update_policy()
    assert dynarch.get_stats()["policy_updates"] == 3
    policy, target = dynarch.policy_net.state_dict(), dynarch.target_net.state_dict()
    moved = [name for name in first if not torch.equal(first[name], target[name])]
    assert moved
    assert any(not torch.equal(policy[name], target[name]) for name in moved), "it follows slowly"


def test_saved_state_comes_back_after_a_change_of_shape(loaders):
    model = small_cnn()
    dynarch = neuroexapt.DynamicArchitecture(
        model, neuroexapt.StructuralEvolution(), neuroexapt.InformationBottleneck(), keep_above=-1e9
    )
    weights = copy.deepcopy(model.state_dict())
    saved = dynarch._save_model_state()
    success, _info = dynarch.apply_tentative(1, torch.zeros(8), loaders[1])
    assert success
    assert count(model) != sum(one.numel() for name, one in weights.items() if "running" not in name) - 1
    dynarch._restore_model_state(saved)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, weights[name]), name


def test_analysis_and_single_operations(loaders):
    ne = neuroexapt.NeuroExapt()
    model = ne.wrap_model(small_cnn())
    found = ne.analyze_model(loaders[1])
    assert set(found["layer_importances"]) == {"0", "3"}
    before = count(model)
    assert ne.expand_layers(num_layers=1)
    grown = count(model)
    assert grown > before
    ne.analyze_model(loaders[1])
    assert ne.prune_layers("relevance<10")
    assert count(model) < grown
    changed, info = ne.evolve_structure({}, force_action="branch")
    assert changed, info


def test_a_checkpoint_is_taken_up_by_a_new_trainer(loaders, tmp_path):
    train_loader, val_loader = loaders
    trainer = neuroexapt.Trainer(small_cnn(), evolution_frequency=1, seed=5)
    trainer.dynarch.keep_above = -1e9
    trainer.fit(train_loader, val_loader, epochs=3, eval_metric="loss", save_path=tmp_path / "best.pt")
    expected = torch.load(tmp_path / "best.pt", weights_only=True)["model"]
    again = neuroexapt.Trainer(small_cnn())
    again.load_checkpoint(tmp_path / "best.pt")
    state = again.wrapped_model.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in state)


def test_dict_batches_train(loaders):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = small_cnn()

        def forward(self, pixel_values):
            return self.net(pixel_values)

    batches = [{"pixel_values": images, "labels": labels} for images, labels in loaders[1]]
    history = neuroexapt.Trainer(Named(), evolution_frequency=1).fit(batches, batches, epochs=2)
    assert len(history["val_accuracy"]) == 2
