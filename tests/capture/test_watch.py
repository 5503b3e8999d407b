"""Watching sees every call of a model's modules, and leaves no trace."""

import pytest
import torch
from torch import nn

from outgrow.capture import Call, watch


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(4, 8)
        self.down = nn.Linear(8, 4)

    def forward(self, x, *rest, scale=1.0, **more):
        return self.down(self.up(x)) * scale + sum(rest) + sum(more.values())


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block()
        self.second = Block()
        self.again = self.first

    def forward(self, x):
        return self.again(self.second(self.first(x), scale=2.0), 1.0, extra=2.0)


def hooks(model):
    return [
        {name: len(value) for name, value in module.__dict__.items() if name.endswith("hooks")}
        | {name: len(value) for name, value in module.__dict__.items() if name.startswith("_forward")}
        for module in model.modules()
    ]


def test_calls_come_in_order_outer_ones_first():
    model, seen = Model(), []
    with watch(
        model,
        enter=lambda call: seen.append(("enter", call.name)),
        leave=lambda call, output, error: seen.append(("leave", call.name)),
    ):
        model(torch.ones(1, 4))

    def block(name):
        inner = [(what, f"{name}.{part}") for part in ("up", "down") for what in ("enter", "leave")]
        return [("enter", name), *inner, ("leave", name)]

    # A module under two names has the first of them.
    assert seen == [("enter", ""), *block("first"), *block("second"), *block("first"), ("leave", "")]


def test_arguments_by_name():
    model, calls = Model(), []
    with watch(model, enter=calls.append, only="first"):
        model(torch.ones(1, 4))
    first, again = (call.arguments() for call in calls)
    assert list(first) == ["x"]
    assert torch.equal(first["x"], torch.ones(1, 4))
    assert list(again) == ["x", "rest[0]", "extra"]
    assert (again["rest[0]"], again["extra"]) == (1.0, 2.0)
    assert calls[0].module is model.first
    with pytest.raises(TypeError):
        Call(module=model, name="", args=(1, 2, 3), kwargs={}).arguments()


def test_leave_gets_the_output():
    model, outputs = Model(), {}
    with watch(model, leave=lambda call, output, error: outputs.update({call.name: (output, error)})):
        result = model(torch.ones(1, 4))
    assert outputs[""][0] is result
    assert all(error is None for _, error in outputs.values())


def test_leave_gets_the_exception():
    model, seen = Model(), []

    def fail(module, args):
        raise ValueError("on purpose")

    handle = model.second.down.register_forward_pre_hook(fail)
    before = hooks(model)
    with (
        pytest.raises(ValueError, match="on purpose"),
        watch(model, leave=lambda call, output, error: seen.append((call.name, type(error)))),
    ):
        model(torch.ones(1, 4))
    assert ("second", ValueError) in seen
    assert seen[-1] == ("", ValueError)
    assert ("first", type(None)) in seen
    assert hooks(model) == before
    handle.remove()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_however_the_block_ends(error):
    model = Model()
    model.first.register_forward_hook(lambda *_: None)
    before = hooks(model)

    def fail():
        assert hooks(model) != before
        raise error

    with pytest.raises(error), watch(model, enter=lambda call: None, leave=lambda *_: None):
        fail()
    assert hooks(model) == before
    model(torch.ones(1, 4))


def test_what_callbacks_raise_reaches_the_caller():
    model = Model()
    before = hooks(model)

    def enter(call):
        if call.name == "second.up":
            raise LookupError(call.name)

    with pytest.raises(LookupError, match=r"second\.up"), watch(model, enter=enter):
        model(torch.ones(1, 4))
    assert hooks(model) == before


@pytest.mark.parametrize(
    ("only", "names"),
    [
        ("*.up", ["first.up", "second.up", "first.up"]),
        ("second*", ["second", "second.up", "second.down"]),
        ("", [""]),
        ("nothing", []),
    ],
    ids=["suffix", "prefix", "the model", "none"],
)
def test_only_names_what_is_watched(only, names):
    model, seen = Model(), []
    with watch(model, enter=lambda call: seen.append(call.name), only=only):
        model(torch.ones(1, 4))
    assert seen == names


def test_watchers_within_each_other():
    model, outer, inner = Model(), [], []
    before = hooks(model)
    with watch(model, enter=lambda call: outer.append(call.name)):
        with watch(model, enter=lambda call: inner.append(call.name)):
            model(torch.ones(1, 4))
        model(torch.ones(1, 4))
    assert outer == inner * 2
    assert hooks(model) == before


def test_results_do_not_change():
    model = Model()
    expected = model(torch.ones(1, 4))
    with watch(model, enter=lambda call: "not none", leave=lambda *_: "not none"):
        assert torch.equal(model(torch.ones(1, 4)), expected)
