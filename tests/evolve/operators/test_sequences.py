"""Whatever sequence of changes: outputs stay where that was promised, and the way back is bit for bit."""

import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outgrow import evolve
from outgrow.evolve.edits.outputs import output_tensors, relative_change
from tests.evolve.operators.nets import build, contents, same

STEPS = st.lists(
    st.tuples(st.sampled_from(["widen", "prune", "hybrid", "undo"]), st.integers(0, 5), st.integers(0, 99)),
    min_size=1,
    max_size=4,
)
ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-5}


def outputs(model, inputs):
    with torch.no_grad():
        return output_tensors(copy.deepcopy(model).eval()(inputs))


@pytest.mark.parametrize("kind", ["perceptron", "convolutions", "layer_norm_tied", "rms", "heads"])
@given(steps=STEPS, dtype=st.sampled_from(list(ROUNDING)))
@settings(max_examples=2, suppress_health_check=list(HealthCheck))
def test_any_sequence_keeps_its_promises_and_goes_back(kind, steps, dtype):
    model, inputs = build(kind, dtype)
    begun, printed = contents(model), str(model)
    untouched = copy.deepcopy(model)
    edits, states = [], [contents(model)]
    for operator, which, seed in steps:
        if operator == "undo":
            if edits:
                evolve.Edit.from_json(edits[-1].to_json(), tensors=edits[-1].tensors()).undo(model)
                edits.pop()
                states.pop()
                assert same(model, states[-1])
            continue
        found = evolve.sites(model, inputs, "prune" if operator == "prune" else "widen")
        if not found:
            continue
        site = found[which % len(found)]
        before = outputs(model, inputs)
        if operator == "widen":
            by = site.width if site.methods[0] == "duplicate" else site.step
            edit = evolve.widen(model, site, by=by, seed=seed)
            assert edit.promise == "exact"
        elif site.width // site.step < 3 or (operator == "hybrid" and "split" not in site.methods):
            continue
        elif operator == "prune":
            edit = evolve.prune(model, site, amount=site.step, by="random", seed=seed)
        else:
            edit = evolve.hybrid(model, site, site.step, amount=site.step, seed=seed)
        if edit.promise == "exact":
            assert relative_change(outputs(model, inputs), before) <= ROUNDING[dtype]
        edits.append(edit)
        states.append(contents(model))
    for edit in edits:
        evolve.apply(untouched, evolve.Edit.from_json(edit.to_json()), inputs)
    assert same(untouched, contents(model))
    for edit in reversed(edits):
        edit.undo(model)
    assert same(model, begun)
    assert str(model) == printed
