import copy

import pytest
import torch
from torch import nn

from outgrow import evolve
from outgrow.errors import InputError
from outgrow.evolve.errors import NotExact, SiteRefused
from outgrow.evolve.operators.scores import SCORES
from tests.evolve.operators.nets import build, contents, perceptron, same, step

INPUTS = torch.randn(6, 3, generator=torch.Generator().manual_seed(3))


def test_units_by_number_go_and_the_others_stay():
    model = perceptron()
    first, second = model[0].weight.clone(), model[2].weight.clone()
    edit = evolve.prune(model, "0", indices=[2, 0], example_inputs=INPUTS)
    assert torch.equal(model[0].weight, first[[1, 3]])
    assert torch.equal(model[2].weight, second[:, [1, 3]])
    assert (model[0].out_features, model[2].in_features) == (2, 2)
    assert (edit.promise, edit.arguments) == ("lossy", {"indices": [0, 2]})
    assert edit.change > 1e-3


def test_units_that_weigh_nothing_go_exactly():
    model = perceptron()
    with torch.no_grad():
        model[2].weight[:, 1] = 0
    before = model(INPUTS)
    edit = evolve.prune(model, "0", indices=[1], example_inputs=INPUTS, allow="exact")
    assert edit.promise == "exact"
    assert torch.allclose(model(INPUTS), before, atol=1e-6)


def test_units_that_repeat_others_are_merged_exactly():
    model = perceptron()
    with torch.no_grad():
        model[0].weight[3], model[0].bias[3] = model[0].weight[1], model[0].bias[1]
    outgoing = model[2].weight.clone()
    before = model(INPUTS)
    edit = evolve.prune(model, "0", indices=[3], example_inputs=INPUTS, allow="exact")
    assert edit.promise == "exact"
    assert torch.allclose(model[2].weight[:, 1], outgoing[:, 1] + outgoing[:, 3])
    assert torch.allclose(model(INPUTS), before, atol=1e-6)


def test_units_with_another_bias_are_no_twins():
    model = perceptron()
    with torch.no_grad():
        model[0].weight[3], model[0].bias[3] = model[0].weight[1], model[0].bias[1] + 1
    assert evolve.prune(model, "0", indices=[3], example_inputs=INPUTS).promise == "lossy"


@pytest.mark.parametrize("method", ["split", "zero_outgoing"])
def test_what_was_just_added_goes_exactly_and_bit_for_bit(method):
    model, inputs = build("convolutions")
    before = contents(model)
    evolve.widen(model, "first", by=3, method=method, example_inputs=inputs)
    edit = evolve.prune(model, "first", indices=range(4, 7), example_inputs=inputs, allow="exact")
    assert edit.promise == "exact"
    assert same(model, before)


def test_the_least_units_go():
    model = perceptron()
    with torch.no_grad():
        model[0].weight[2] *= 1e-3
        model[0].bias[2] *= 1e-3
    assert evolve.prune(copy.deepcopy(model), "0", amount=1, example_inputs=INPUTS).arguments["indices"] == [
        2
    ]
    for by in (torch.tensor([3.0, 1, 4, 2]), [3, 1, 4, 2], lambda _model, site: range(site.units, 0, -1)):
        edit = evolve.prune(copy.deepcopy(model), "0", amount=0.5, by=by, example_inputs=INPUTS)
        assert edit.arguments["indices"] == ([2, 3] if callable(by) else [1, 3])


def test_taylor_takes_gradients():
    model = perceptron()
    with pytest.raises(InputError, match="needs gradients"):
        evolve.prune(model, "0", amount=1, by="taylor", example_inputs=INPUTS)
    step(model, INPUTS, torch.optim.SGD(model.parameters(), lr=0.0))
    weight = model[2].weight
    expected = int((weight * weight.grad).sum(0).abs().argmin())
    edit = evolve.prune(model, "0", amount=1, by="taylor", example_inputs=INPUTS)
    assert edit.arguments["indices"] == [expected]


@pytest.mark.parametrize("by", [name for name in SCORES if name != "taylor"])
def test_scores_give_the_same_again(by):
    chosen = [
        evolve.prune(perceptron(), "0", amount=2, by=by, seed=5, example_inputs=INPUTS).arguments
        for _ in "ab"
    ]
    assert chosen[0] == chosen[1]


def test_allow_decides_what_may_be_lost():
    model = perceptron()
    before = contents(model)
    with pytest.raises(SiteRefused, match="no copies"):
        evolve.prune(model, "0", indices=[0], example_inputs=INPUTS, allow="exact")
    with pytest.raises(NotExact, match="the bound"):
        evolve.prune(model, "0", indices=[0], example_inputs=INPUTS, allow="bounded", bound=1e-6)
    assert same(model, before)
    edit = evolve.prune(model, "0", indices=[0], example_inputs=INPUTS, allow="bounded", bound=50)
    assert edit.promise == "bounded"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "either by indices or by an amount"),
        ({"indices": [0], "amount": 1}, "either by indices or by an amount"),
        ({"indices": []}, "empty"),
        ({"indices": [4]}, "no unit 4"),
        ({"indices": [-1]}, "no unit -1"),
        ({"indices": [1, 1]}, "twice"),
        ({"indices": [True]}, "whole number"),
        ({"indices": "12"}, "whole number"),
        ({"indices": [0, 1, 2, 3]}, "all 4 units"),
        ({"amount": 4}, "all 4 units"),
        ({"amount": 99}, "all 4 units"),
        ({"amount": 0}, "whole units"),
        ({"amount": 0.01}, "no share"),
        ({"amount": 1.5}, "no share"),
        ({"amount": float("nan")}, "no share"),
        ({"amount": True}, "whole number"),
        ({"amount": 1, "by": "magnitud"}, "did you mean 'magnitude'"),
        ({"amount": 1, "by": [1, 2, 3]}, "has 4 units"),
        ({"amount": 1, "by": [1, 2, 3, float("nan")]}, "NaN"),
        ({"amount": 1, "by": ["a"]}, "one number"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_and_nothing_changes(arguments, says):
    model = perceptron()
    before = contents(model)
    with pytest.raises(InputError, match=says) as raised:
        evolve.prune(model, "0", example_inputs=INPUTS, **arguments)
    assert raised.value.hint
    assert same(model, before)


def test_hybrid_exchanges_units_in_one_change():
    model = perceptron()
    before = contents(model)
    edit = evolve.hybrid(model, "0", 2, indices=[1, 3], example_inputs=INPUTS)
    assert model[0].out_features == 4
    assert torch.equal(model[0].weight[:2], before["0.weight"][[0, 2]])
    assert {tuple(row) for row in model[0].weight[2:].tolist()} == {
        tuple(row) for row in before["0.weight"][[0, 2]].tolist()
    }
    kept = before["2.weight"][:, [0, 2]].sum(1)
    assert torch.allclose(model[2].weight.sum(1), kept, atol=1e-6)
    assert edit.promise == "lossy"
    edit.undo(model)
    assert same(model, before)


def test_hybrid_is_exact_where_what_goes_weighs_nothing():
    model = perceptron(dtype=torch.float64)
    with torch.no_grad():
        model[2].weight[:, 1] = 0
    inputs = INPUTS.double()
    before = model(inputs)
    edit = evolve.hybrid(model, "0", by=3, amount=1, example_inputs=inputs, allow="exact")
    assert (edit.promise, edit.arguments["indices"]) == ("exact", [1])
    assert torch.allclose(model(inputs), before, rtol=1e-12)
    assert model[0].out_features == 6


def test_hybrid_refuses_streams_that_need_all_their_units():
    model, inputs = build("layer_norm")
    with pytest.raises(SiteRefused, match="duplicate"):
        evolve.hybrid(model, "embedding", 6, amount=1, example_inputs=inputs)
    with pytest.raises(SiteRefused, match="all 4 units"):
        evolve.hybrid(nn.Sequential(*perceptron()), "0", 1, amount=4, example_inputs=INPUTS)
