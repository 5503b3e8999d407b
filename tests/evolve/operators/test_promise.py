import itertools
import random

import pytest
import torch
from torch import nn

from outgrow import evolve
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.edits.operation import perform
from outgrow.evolve.edits.outputs import relative_change
from outgrow.evolve.edits.promise import outputs_before
from outgrow.evolve.errors import CannotCheck, NotExact
from outgrow.evolve.example_inputs import call_form
from tests.evolve.operators.nets import build, contents, perceptron, same

INPUTS = torch.randn(6, 3, generator=torch.Generator().manual_seed(3))


class Giving(nn.Module):
    """Whatever a function makes of the outputs of a perceptron."""

    def __init__(self, make):
        super().__init__()
        self.inner = perceptron()
        self.make = make

    def forward(self, inputs):
        return self.make(self.inner(inputs), self.training)


def add_to(model, amount):
    def change(surgery):
        weight = surgery.model[4].bias
        surgery.replace(weight, weight.data + amount)

    return change


def test_the_change_is_relative_to_the_largest_output():
    ones = {"output": torch.tensor([1.0, -4.0])}
    assert relative_change({"output": torch.tensor([1.0, -3.0])}, ones) == 0.25
    assert relative_change({"output": torch.tensor([1.0])}, ones) == float("inf")
    assert relative_change({}, ones) == float("inf")
    assert relative_change({"output": torch.tensor([1.0, float("nan")])}, ones) == float("inf")
    zeros = {"output": torch.zeros(2)}
    assert relative_change({"output": torch.tensor([0.0, 1e-9])}, zeros) == pytest.approx(1e-9)
    numbers = {"output": torch.tensor([1, 2, 3, 4])}
    assert relative_change({"output": torch.tensor([1, 2, 3, 5])}, numbers) == 0.25
    masked = {"output": torch.tensor([2.0, -float("inf")])}
    assert relative_change({"output": torch.tensor([1.0, -float("inf")])}, masked) == 0.5


@pytest.mark.parametrize("never", [-1e4, -1e9, torch.finfo(torch.float32).min])
def test_what_masks_fill_in_does_not_hide_a_change(never):
    before = {"output": torch.tensor([2.0, never, -1.0, never])}
    assert relative_change({"output": torch.tensor([1.0, never, -1.0, never])}, before) == 0.5
    moved = {"output": torch.tensor([2.0, never, -1.0, never / 2])}
    assert relative_change(moved, before) == pytest.approx(0.5)
    # Large numbers without a gap are outputs like any other.
    wide = {"output": torch.logspace(0, 6, 50)}
    assert relative_change({"output": wide["output"] + 1}, wide) == pytest.approx(1e-6)


def test_a_change_beside_a_mask_is_not_exact():
    model = Giving(lambda output, _: output.masked_fill(torch.arange(output.shape[-1]) == 0, -1e9))
    with pytest.raises(NotExact):
        perform(
            model,
            call_form(INPUTS),
            lambda surgery: surgery.replace(model.inner[4].bias, model.inner[4].bias.data + 0.1),
            promise="exact",
            followers=Followers(),
        )


def test_a_buffer_that_each_call_exchanges_stays():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = perceptron()
            self.register_buffer("mean", torch.zeros(()))

        def forward(self, inputs):
            output = self.inner(inputs)
            if self.training:
                self.mean = 0.9 * self.mean + 0.1 * output.detach().mean()
            return output

    model = Counting().train()
    mean = model.mean
    evolve.widen(model, "inner.0", by=evolve.sites(model, INPUTS)[0].step, example_inputs=INPUTS)
    assert model.mean is mean
    assert float(mean) == 0.0


@pytest.mark.parametrize(
    ("amount", "promise", "held"),
    [
        (0.0, "exact", "exact"),
        (1e-8, "exact", "exact"),
        (1e-2, "bounded", "bounded"),
        (3.0, "lossy", "lossy"),
    ],
)
def test_the_strictest_promise_that_holds_is_given(amount, promise, held):
    model = perceptron()
    outcome = perform(model, call_form(INPUTS), add_to(model, amount), promise=promise, followers=Followers())
    assert outcome.promise == held


@pytest.mark.parametrize(("amount", "promise"), [(1e-2, "exact"), (3.0, "bounded"), (float("nan"), "lossy")])
def test_a_broken_promise_is_taken_back(amount, promise):
    model = perceptron()
    before = contents(model)
    with pytest.raises(NotExact) as raised:
        perform(model, call_form(INPUTS), add_to(model, amount), promise=promise, followers=Followers())
    assert raised.value.hint
    assert same(model, before)


def test_eval_and_train_are_both_compared_where_nothing_is_random():
    model, inputs = build("convolutions")
    assert evolve.widen(model, "first", by=1, example_inputs=inputs).checked == ("eval", "train")
    assert model.training
    assert evolve.widen(model.eval(), "first", by=1, example_inputs=inputs).checked == ("eval",)
    assert not model.training
    dropping = nn.Sequential(*perceptron(), nn.Dropout(0.5))
    assert evolve.widen(dropping, "0", by=1, example_inputs=INPUTS).checked == ("eval",)


def test_train_mode_that_is_not_the_same_is_noticed():
    """What batch statistics would make of a change is not hidden by eval mode."""
    model = Giving(lambda given, training: given * (2 if training else 1))
    before = outputs_before(model, call_form(INPUTS))
    assert torch.equal(before["train"]["output"], before["eval"]["output"] * 2)


def test_checks_leave_nothing_behind():
    model, inputs = build("convolutions")
    model.norm.eval()
    before, modes = contents(model), [module.training for module in model.modules()]
    states = torch.get_rng_state(), random.getstate()
    outputs_before(model, call_form(inputs))
    assert same(model, before)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda given, _: given * float("nan"), "NaN or Inf"),
        (lambda given, _: given / 0.0, "NaN or Inf"),
        (lambda given, _: {"loss": given, "other": given.log()}, "NaN or Inf"),
        (lambda given, _: None, "nothing can be compared"),
        (lambda given, _: given[:0], "nothing can be compared"),
        (lambda given, _: given + torch.rand_like(given), "random numbers in eval mode"),
        (lambda given, _: given + random.random(), "random numbers in eval mode"),
    ],
    ids=["nan", "inf", "second", "none", "empty", "torch", "python"],
)
def test_outputs_that_cannot_be_compared_are_refused(make, says):
    model = Giving(make)
    before = contents(model)
    with pytest.raises(CannotCheck, match=says) as raised:
        outputs_before(model, call_form(INPUTS))
    assert raised.value.hint
    assert same(model, before)


def test_several_outputs_of_any_kind_are_compared():
    model = Giving(lambda given, _: {"logits": given, "all": (given.argmax(1), [given > 0])})
    found = outputs_before(model, call_form(INPUTS))["eval"]
    assert {one.dtype for one in found.values()} == {torch.float32, torch.int64, torch.bool}
    assert len(found) == 3
    assert evolve.widen(model, "inner.0", by=2, example_inputs=INPUTS).promise == "exact"


def test_random_numbers_that_change_nothing_are_no_reason_to_refuse():
    model = Giving(lambda given, _: given + 0 * torch.rand_like(given))
    assert list(outputs_before(model, call_form(INPUTS))) == ["eval"]


def test_a_model_that_is_never_the_same_is_told_from_a_change_that_moves_outputs():
    calls = itertools.count(1)
    model = Giving(lambda given, _: given + next(calls))
    before = contents(model)
    with pytest.raises(CannotCheck, match="each time"):
        perform(model, call_form(INPUTS), lambda _: None, promise="exact", followers=Followers())
    assert same(model, before)
