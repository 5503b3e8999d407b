import pytest
import torch

from outgrow.errors import InputError
from outgrow.evolve.policies.attention_figures import LayerFigures
from outgrow.evolve.policies.attention_state import (
    LAYER_FIGURES,
    OPERATORS,
    RUN_FIGURES,
    RunFigures,
    encode,
    stack,
)

RUN = RunFigures(progress=0.2, samples_left=1e4, validation=1.0, previous=1.5, train=0.8)


def layer(name, **more):
    given = {
        "kind": "linear",
        "width": 8,
        "parameters": 80,
        "macs": 80.0,
        "gradient": 0.1,
        "redundancy": 0.5,
    }
    return LayerFigures(name=name, **{**given, **more})


def test_a_column_for_every_figure_and_an_action_for_every_operator_of_a_layer():
    state = encode([layer("a"), layer("b")], RUN, [("prune", "b")])
    assert state.run.shape == (len(RUN_FIGURES),)
    assert state.layers.shape == (2, len(LAYER_FIGURES))
    allowed = state.mask.nonzero().flatten().tolist()
    assert allowed == [0, 1 + len(OPERATORS) + OPERATORS.index("prune")]


def test_doing_nothing_is_always_allowed():
    assert encode([layer("a")], RUN, []).mask.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("more", "column"),
    [
        ({"kind": "attention"}, "attention"),
        ({"width": 16}, "width"),
        ({"gradient": 1.0}, "gradient"),
        ({"redundancy": 0.9}, "redundancy"),
        ({"macs": 800.0}, "mac_share"),
        ({"parameters": 800}, "parameter_share"),
        ({"is_frozen": True}, "is_frozen"),
    ],
)
def test_each_figure_has_its_column(more, column):
    before = encode([layer("a"), layer("b")], RUN, []).layers
    after = encode([layer("a", **more), layer("b")], RUN, []).layers
    assert after[0, LAYER_FIGURES.index(column)] > before[0, LAYER_FIGURES.index(column)]


@pytest.mark.parametrize("extreme", [0.0, float("inf"), 1e30])
def test_extreme_figures_stay_finite(extreme):
    run = RunFigures(progress=1.0, samples_left=extreme, validation=extreme, previous=extreme, train=0.0)
    state = encode([layer("a", gradient=extreme, macs=1e30)], run, [])
    if extreme != float("inf"):
        assert bool(torch.isfinite(state.run).all())
    assert bool(torch.isfinite(state.layers).all())
    assert float(state.layers.abs().max()) <= 4


@pytest.mark.parametrize("pair", [("split", "a"), ("widen", "c")], ids=["operator", "layer"])
def test_unknown_pair_is_refused(pair):
    with pytest.raises(InputError, match="no action"):
        encode([layer("a")], RUN, [pair])


def test_no_layer_is_refused():
    with pytest.raises(InputError, match="no layer"):
        encode([], RUN, [])


def test_stacked_states_keep_their_rows():
    short = encode([layer("a")], RUN, [("widen", "a")])
    long = encode([layer("a"), layer("b"), layer("c")], RUN, [("prune", "c")])
    batch = stack([short, long])
    assert batch.present.tolist() == [[True, False, False], [True, True, True]]
    assert batch.mask[0].nonzero().flatten().tolist() == [0, 1]
    assert torch.equal(batch.mask[1], long.mask)
    assert torch.equal(batch.layers[0, :1], short.layers)
    assert float(batch.layers[0, 1:].abs().sum()) == 0
