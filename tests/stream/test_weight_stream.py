"""What happens to a stream in the middle of something: a pass, an error, another plan."""

import copy
import itertools
import os
import threading
import time

import pytest
import torch
from torch import nn

import outgrow.stream as ts
from outgrow.errors import InputError, StoreError
from outgrow.store.checkpoint import StoreChanged
from outgrow.stream.attachment import stream_of
from outgrow.stream.live_weight import LiveWeight
from tests.stream.streaming import assert_plain, assert_same, streamed

WIDTH = 160


class Transposing(nn.Module):
    """Takes a view of its own weight, calls others, and computes with the view only then."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH))
        self.layers = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(6)))
        self.meanwhile = []

    def forward(self, x):
        view = self.weight.t()
        x = self.layers(x)
        for action in self.meanwhile:
            action()
        return x @ view


@pytest.fixture
def pair(tmp_path):
    """A transposing module within a model, and the same one streamed."""
    resident = nn.Sequential(Transposing(), nn.Linear(WIDTH, WIDTH))
    model = streamed(copy.deepcopy(resident), tmp_path, 500_000)
    return resident, model, torch.randn(3, WIDTH)


def assert_runs_the_same(pair):
    resident, model, x = pair
    with torch.no_grad():
        for _ in range(2):
            assert_same(model(x), resident(x))
    assert not stream_of(model).problems()


CHANGES = {
    "budget": lambda model: ts.set_budget(model, 600_000),
    "restore": ts.restore,
    "dtype": lambda model: model.half(),
    "state": lambda model: model.load_state_dict({k: v * 2 for k, v in model.state_dict().items()}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_nothing_changes_in_the_middle_of_a_pass(change, pair):
    _, model, x = pair
    assert_runs_the_same(pair)
    model[0].meanwhile.append(lambda: change(model))
    with pytest.raises(InputError, match="in the middle of a forward pass") as error:
        model(x)
    assert "between passes" in error.value.hint
    del error  # its frames keep views of weights
    model[0].meanwhile.clear()
    assert_runs_the_same(pair)


def test_closing_in_the_middle_of_a_module_takes_no_bytes_from_it(pair):
    resident, model, x = pair
    assert_runs_the_same(pair)
    assert stream_of(model).weights[0].is_streamed
    model[0].meanwhile.append(lambda: stream_of(model).close())
    with torch.no_grad():
        assert_same(model[0](x), resident[0](x))


def test_another_plan_while_a_module_runs_by_itself(pair):
    resident, model, x = pair
    assert_runs_the_same(pair)
    model[0].meanwhile.append(lambda: ts.set_budget(model, 600_000))
    with torch.no_grad():
        assert_same(model[0](x), resident[0](x))
    model[0].meanwhile.clear()
    assert_runs_the_same(pair)
    assert all(weight.uses == 0 for weight in stream_of(model).weights)


def test_what_was_changed_in_memory_stays_in_every_plan_that_nobody_asked_for(tmp_path):
    resident = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(8)))
    model = streamed(copy.deepcopy(resident), tmp_path, 600_000)
    stream = stream_of(model)
    pair = resident, model, torch.randn(3, WIDTH)
    assert_runs_the_same(pair)
    before = [weight.name for weight in stream.weights if not weight.is_streamed]
    for one in (model, resident):
        one[0].weight.data.mul_(3)
    assert "0.weight" in before
    with pytest.raises(StoreError, match=r"'0\.weight' was changed in memory"):
        stream.replan(window_bytes=300_000)
    stream._installed._wanted_window = 300_000  # as if stalls asked for it
    assert_runs_the_same(pair)
    stream._installed.needs_plan = True  # as after Ctrl-C
    assert_runs_the_same(pair)
    assert not stream.weights[0].is_streamed
    assert stream.account.peak_bytes <= stream.budget_bytes


def test_a_file_that_is_written_to_in_the_last_pass(pair):
    _, model, x = pair
    assert_runs_the_same(pair)
    (file,) = stream_of(model).files.identities
    model[0].meanwhile.append(lambda: os.utime(file, ns=(1, 1)))
    with pytest.raises(StoreChanged, match="was written to"):
        model(x)


def test_stacks_of_layers_called_by_themselves_while_the_plan_changes(tmp_path):
    """As encoders are by `generate`: several threads, and none sees a weight go."""

    class Stack(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(6))

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    resident = nn.Sequential(Stack(), nn.Linear(WIDTH, WIDTH))
    model = streamed(copy.deepcopy(resident), tmp_path, 500_000)
    x = torch.randn(3, WIDTH)
    with torch.no_grad():
        expected = resident[0](x)
    end, wrong = time.monotonic() + 3, []

    def call():
        with torch.no_grad():
            while time.monotonic() < end:
                try:
                    if not torch.equal(model[0](x), expected):
                        wrong.append("another result")
                except Exception as err:
                    wrong.append(repr(err))

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for budget in itertools.cycle((500_000, 350_000, 1_000_000, 400_000)):
        if time.monotonic() > end:
            break
        ts.set_budget(model, budget)
    for thread in threads:
        thread.join()
    assert not wrong
    ts.restore(model)
    assert_plain(model)


def test_ctrl_c_while_weights_leave_memory(tmp_path, monkeypatch):
    model = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(6)))
    expected = copy.deepcopy(model.state_dict())
    original, left = LiveWeight.take_original, []

    def take(weight):
        if len(left) == 3:
            raise KeyboardInterrupt
        left.append(weight)
        original(weight)

    with monkeypatch.context() as patch:
        patch.setattr(LiveWeight, "take_original", take)
        with pytest.raises(KeyboardInterrupt):
            ts.offload(model, ts.Config(storage_path=tmp_path, budget=300_000))
    assert_plain(model)
    assert_same(model.state_dict(), expected)
