"""Ctrl-C at every place where Python looks for signals: the model is wholly in memory or wholly streamed."""

import copy
import os
import random
import threading

import pytest
import torch
from torch import nn

import outgrow.stream as ts
from outgrow.stream.attachment import stream_of
from tests.interrupting import CtrlC, needs_opcodes, outcome_of_child
from tests.stream.streaming import assert_plain, assert_same, least_budget, open_files, reading_threads

IDS = torch.arange(12).reshape(3, 4)
SAMPLES = 14
SECONDS = 60
"""A program that takes longer than that afterwards hangs."""


class Small(nn.Module):
    """A table tied to the head, a weight in tiles, one in a piece and some that are not worth streaming."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(50, 32)
        self.layers = nn.Sequential(nn.Linear(32, 640), nn.Tanh(), nn.Linear(640, 32), nn.LayerNorm(32))
        self.head = nn.Linear(32, 50, bias=False)
        self.head.weight = self.table.weight

    def forward(self, ids):
        return self.head(self.layers(self.table(ids)))


def run(model):
    with torch.no_grad():
        return model(IDS)


def offload(model, folder, budget):
    ts.offload(model, ts.Config(storage_path=folder, budget=budget, num_io_threads=1, debug_mode=True))


def offload_and_restore(model, folder, budget):
    offload(model, folder, budget)
    run(model)
    run(model)
    ts.restore(model)


def change(model, folder, budget):
    state = copy.deepcopy(model.state_dict())
    other = other_weights(model)
    offload(model, folder, budget)
    ts.set_budget(model, budget * 2)
    model(IDS).sum().item()
    model.load_state_dict(other)
    model.load_state_dict(state)
    copy.deepcopy(model.layers)
    model.layers[2].weight.sum()
    with ts.closing(copy.deepcopy(model)) as twin:
        run(twin)
    ts.restore(model)


def outcomes():
    """What the model gives with the weights that it begins with, and with those that `change` loads."""
    torch.manual_seed(0)
    model = Small()
    before = run(model)
    model.load_state_dict(other_weights(model))
    return before, run(model)


def other_weights(model):
    return {name: tensor + 1 for name, tensor in model.state_dict().items()}


def assert_whole(model, folder, budget):
    """Nothing is half done, and everything works afterwards."""
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert torch.is_autocast_cache_enabled()
    first = run(model)
    expected = next((outcome for outcome in outcomes() if torch.equal(outcome, first)), None)
    assert expected is not None, "neither what it was, nor what it was to be"
    assert_same(run(model), expected)
    if "_outgrow_stream" in model.__dict__:
        assert_streamed(model)
        ts.restore(model)
    assert_plain(model)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert_same(run(model), expected)
    assert reading_threads() == 0
    names = [path.name for path in folder.rglob("*")]
    assert not [name for name in names if name.endswith((".partial", ".lock"))], names
    offload(model, folder, budget)
    assert_same(run(model), expected)
    ts.restore(model)


def assert_streamed(model):
    stream, taken = stream_of(model), []

    def take():
        taken.append(stream.lock.acquire(blocking=False))
        if taken[0]:
            stream.lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    assert taken == [True], "another thread could never use the model again"
    problems = [problem for problem in ts.health(model).problems if "times as long" not in problem]
    assert not problems


def interrupted(scenario, at, folder, budget):
    """Run `scenario` with a Ctrl-C at place `at`, and look at what is left."""
    torch.set_num_threads(1)  # the others did not come along into this process
    torch.manual_seed(0)
    model = Small()
    files = open_files()
    ctrl_c = CtrlC(at)
    try:
        with ctrl_c:
            scenario(model, folder, budget)
    except KeyboardInterrupt:
        pass
    try:
        assert_whole(model, folder, budget)
        assert open_files() == files
    except Exception as error:
        error.add_note(f"Ctrl-C came at place {at}: {ctrl_c.where}")
        raise
    return ctrl_c.places


def places_of(scenario, folder, budget):
    model = Small()
    for _ in range(2):  # the second time nothing is loaded for the first time
        with CtrlC(None) as ctrl_c:
            scenario(model, folder, budget)
    return ctrl_c.places


@needs_opcodes
@pytest.mark.skipif(not hasattr(os, "fork"), reason="every Ctrl-C has a process of its own")
@pytest.mark.parametrize(
    "extent", ["some", pytest.param("all", marks=[pytest.mark.slow, pytest.mark.timeout(7200)])]
)
@pytest.mark.parametrize("scenario", [offload_and_restore, change])
def test_ctrl_c_leaves_nothing_half_done(scenario, extent, tmp_path):
    budget = least_budget(Small(), tmp_path / "least")
    count = places_of(scenario, tmp_path / "counted", budget)
    assert count > 2000, "the places of the program were not seen"
    chosen = range(1, count + 1)
    if extent == "some":
        # The end of it is the most delicate, where streaming ends; waiting for the disk moves it a little.
        chosen = [*random.Random(5).sample(chosen, SAMPLES), *range(count - 400, count + 150, 29)]
    failures = []
    for at in chosen:
        folder = tmp_path / str(at)
        failure = outcome_of_child(
            lambda at=at, folder=folder: interrupted(scenario, at, folder, budget), SECONDS
        )
        if failure is not None:
            failures.append(failure)
    assert not failures, f"{len(failures)} of {len(chosen)}:\n" + "\n".join(failures[:5])
