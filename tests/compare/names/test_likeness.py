"""Where layers could be paired in two ways, their contents decide, or nobody does."""

import pytest
import torch

from outgrow.compare import compare

STAGES = ("query", "value", "post_mlp")


def run(layers, *, seed=0, noise=0.0):
    """The tensors of a run whose first layer has the number `layers[0]`."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for layer in layers:
        for stage in STAGES:
            tensor = torch.randn(2, 12, 8, generator=generator)
            made[f"{layer}_{stage}"] = tensor + noise * torch.randn(2, 12, 8)
    return made


@pytest.mark.parametrize("offset", [1, 2, 3])
@pytest.mark.parametrize("noise", [0.0, 4e-3])
def test_the_same_layers_counted_from_another_number(offset, noise):
    with compare(expected=run(range(5)), actual=run(range(offset, 5 + offset), noise=noise)) as found:
        assert len(found.pairing.pairs) == 15
        assert {pair.how for pair in found.pairing.pairs} == {"shifted"}
        (note,) = found.pairing.notes
        assert f"{offset} apart" in note


def test_a_window_of_the_same_model():
    whole = run(range(7))
    expected = {name: value for name, value in whole.items() if int(name[0]) < 5}
    actual = {name: value for name, value in whole.items() if int(name[0]) >= 2}
    with compare(expected=expected, actual=actual) as found:
        assert {pair.expected.name == pair.actual[0].name for pair in found.pairing.pairs} == {True}
        assert len(found.pairing.pairs) == 9
        assert "by equal numbers" in found.pairing.notes[0]


def test_layouts_do_not_matter():
    actual = {name: value.transpose(0, 1).contiguous() for name, value in run(range(1, 6)).items()}
    with compare(expected=run(range(5)), actual=actual) as found:
        assert found.verdict == "match"


def test_a_run_that_goes_wrong_in_the_middle():
    actual = run(range(1, 6))
    for layer in (4, 5):
        for stage in STAGES:
            actual[f"{layer}_{stage}"] = torch.randn(2, 12, 8)
    with compare(expected=run(range(5)), actual=actual) as found:
        assert found.first_divergence.pair.expected.name == "3_query"


def test_heads_that_are_repeated_on_one_side_do_not_hide_the_shift():
    actual = {
        name: value.repeat_interleave(2, dim=0) if "value" in name else value
        for name, value in run(range(1, 6)).items()
    }
    with compare(expected=run(range(5)), actual=actual) as found:
        assert {pair.how for pair in found.pairing.pairs} == {"shifted"}


def test_unrelated_runs_stay_unpaired():
    with compare(expected=run(range(5)), actual=run(range(1, 6), seed=1)) as found:
        assert found.verdict == "insufficient"
        assert not found.pairing.pairs
        assert "A map can tell" in found.pairing.notes[0]


def test_all_layers_alike_stay_unpaired():
    expected, actual = (
        {f"{layer}_query": torch.ones(4, 8) for layer in layers} for layers in (range(5), range(1, 6))
    )
    with compare(expected=expected, actual=actual) as found:
        assert not found.pairing.pairs
