"""Ctrl-C at any line of a change leaves model, optimizer and average bit for bit as they were."""

import copy
import random
import sys
from pathlib import Path

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

import outgrow.evolve
from outgrow import evolve
from tests.evolve.operators.nets import contents, perceptron, same, step

INPUTS = torch.randn(6, 3, generator=torch.Generator().manual_seed(3))
ROOM = Path(outgrow.evolve.__file__).parent
FILES = {
    str(ROOM / name)
    for name in (
        "operation.py",
        "inverse.py",
        "width.py",
        "reindex.py",
        "promise.py",
        "surgery.py",
        "followers.py",
        "layer_attributes.py",
        "edit.py",
        "operators/widen.py",
        "operators/prune.py",
        "carry/optimizers.py",
        "carry/averages.py",
    )
}


class Interrupting:
    """Counts the lines that run in `FILES` and raises KeyboardInterrupt before one of them."""

    def __init__(self, at: int | None) -> None:
        self.at, self.lines = at, 0

    def _trace(self, frame, event, _argument):
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.at:
                raise KeyboardInterrupt
        return self._trace

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_error):
        sys.settrace(self.before)


def trained():
    model = perceptron()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    ema = AveragedModel(model)
    step(model, INPUTS, optimizer)
    return model, optimizer, ema


def moments(optimizer):
    return {
        (place, key): value.clone()
        for place, state in enumerate(optimizer.state.values())
        for key, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def grow(model, optimizer, ema):
    return evolve.widen(model, "0", by=2, optimizer=optimizer, ema=ema, example_inputs=INPUTS)


def shrink(model, optimizer, ema):
    return evolve.prune(model, "0", indices=[1], optimizer=optimizer, ema=ema, example_inputs=INPUTS)


def back(model, optimizer, ema):
    model.edit.undo(model, optimizer=optimizer, ema=ema)


@pytest.mark.parametrize("change", [grow, shrink, back], ids=["widen", "prune", "undo"])
def test_ctrl_c_before_any_line_changes_nothing(change):
    model, optimizer, ema = trained()
    edit = grow(model, optimizer, ema) if change is back else None
    model.edit = edit
    with Interrupting(None) as counted:
        change(*copy.deepcopy((model, optimizer, ema)))
    # Some lines of all, others in each run of the tests: each one would take minutes.
    chosen = sorted({*random.Random(0).sample(range(1, counted.lines + 1), 12), counted.lines})
    before, averaged, held = contents(model), contents(ema), moments(optimizer)
    gradients = [one.grad.clone() for one in model.parameters()]
    for line in chosen:
        with pytest.raises(KeyboardInterrupt), Interrupting(line):
            change(model, optimizer, ema)
        assert same(model, before), line
        assert same(ema, averaged), line
        now = moments(optimizer)
        assert now.keys() == held.keys(), line
        assert all(torch.equal(now[key], value) for key, value in held.items()), line
        assert all(
            torch.equal(one.grad, two) for one, two in zip(model.parameters(), gradients, strict=True)
        ), line
    step(model, INPUTS, optimizer)
