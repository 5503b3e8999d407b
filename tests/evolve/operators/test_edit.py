import copy
import json

import pytest
import torch
from safetensors.torch import load, save
from torch.optim.swa_utils import AveragedModel

from outgrow import evolve
from outgrow.errors import InputError
from outgrow.evolve.edits.edit import EDIT_VERSION
from outgrow.evolve.errors import CannotUndo, EditUnreadable, SiteRefused
from outgrow.evolve.operators import OPERATORS
from tests.evolve.operators.nets import build, contents, perceptron, same, step

INPUTS = torch.randn(6, 3, generator=torch.Generator().manual_seed(3))
CHANGES = {
    "widen": {"site": "0", "by": 2},
    "prune": {"site": "0", "amount": 0.5},
    "hybrid": {"site": "0", "by": 3, "amount": 1},
}


def change(model, operator, **more):
    arguments = {**CHANGES[operator], **more}
    return OPERATORS[operator](model, arguments.pop("site"), example_inputs=INPUTS, **arguments)


def read_again(edit):
    return evolve.Edit.from_json(edit.to_json(), tensors=load(save(edit.tensors())))


@pytest.mark.parametrize("operator", CHANGES)
def test_an_edit_survives_json_and_undoes_and_replays_bit_for_bit(operator):
    model = perceptron()
    before, printed = contents(model), str(model)
    untouched = copy.deepcopy(model)
    edit = read_again(change(model, operator))
    assert edit == evolve.Edit.from_json(edit.to_json())
    again = evolve.apply(untouched, edit, INPUTS)
    assert same(untouched, contents(model))
    assert (again.promise, again.arguments) == (edit.promise, edit.arguments)
    edit.undo(model)
    assert same(model, before)
    assert str(model) == printed


@pytest.mark.parametrize("kind", ["layer_norm_tied", "rms", "heads", "convolutions"])
def test_edits_of_every_kind_of_site_are_undone_in_reverse(kind):
    model, inputs = build(kind)
    before, printed = contents(model), str(model)
    attributes = [dict(vars(module)) for module in model.modules()]
    edits = []
    for name in [site.name for site in evolve.sites(model, inputs)][:3]:
        site = next((one for one in evolve.sites(model, inputs) if one.name == name), None)
        if site is not None:
            by = site.width if site.methods[0] == "duplicate" else site.step
            edits.append(evolve.widen(model, site, by=by))
    assert not same(model, before)
    for edit in reversed(edits):
        read_again(edit).undo(model)
    assert same(model, before)
    assert str(model) == printed
    for module, kept in zip(model.modules(), attributes, strict=True):
        plain = {key: value for key, value in kept.items() if isinstance(value, int | float | tuple)}
        assert {key: vars(module)[key] for key in plain} == plain


def test_undo_holds_only_what_cannot_be_found_in_the_model():
    model = perceptron()
    edit = change(model, "widen", method="zero_outgoing")
    assert not [name for name in edit.tensors() if "slices" in name]
    edit = change(model, "widen", site="2", by=1)
    (slices,) = [one for name, one in edit.tensors().items() if "slices" in name]
    assert slices.shape == (2, 1)


def test_what_was_exact_has_to_be_exact_on_other_weights_unless_less_is_allowed():
    idle, busy = perceptron(), perceptron()
    first, second, *_ = (module for module in idle if isinstance(module, torch.nn.Linear))
    with torch.no_grad():
        first.weight[:2], first.bias[:2], second.weight[:, :2] = 0, 0, 0
    edit = evolve.prune(idle, "0", amount=2, example_inputs=INPUTS)
    assert edit.promise == "exact"
    before = contents(busy)
    with pytest.raises(SiteRefused, match="the outputs would move"):
        evolve.apply(busy, edit, INPUTS)
    assert same(busy, before)
    again = evolve.apply(busy, edit, INPUTS, allow="lossy")
    assert (again.promise, again.arguments) == ("lossy", edit.arguments)


def test_undo_takes_the_optimizer_along():
    model = perceptron()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    step(model, INPUTS, optimizer)
    copied, inner = copy.deepcopy((model, optimizer))
    edit = change(model, "widen", optimizer=optimizer)
    edit.undo(model, optimizer=optimizer)
    for _ in range(3):
        step(model, INPUTS, optimizer)
        step(copied, INPUTS, inner)
    assert same(model, contents(copied))


def test_undo_takes_the_average_along():
    model = perceptron()
    ema = AveragedModel(model)
    step(model, INPUTS, torch.optim.SGD(model.parameters(), lr=0.1))
    ema.update_parameters(model)
    before, averaged = contents(model), contents(ema)
    edit = change(model, "widen", ema=ema)
    assert ema.module[0].out_features == 6
    read_again(edit).undo(model, ema=ema)
    assert same(model, before)
    assert same(ema, averaged)
    plain = change(model, "widen")
    with pytest.raises(CannotUndo, match="without ema"):
        plain.undo(model, ema=ema)


@pytest.mark.parametrize("operator", CHANGES)
def test_what_was_trained_since_is_not_undone(operator):
    model = perceptron()
    edit = change(model, operator)
    step(model, INPUTS, torch.optim.SGD(model.parameters(), lr=0.1))
    trained = contents(model)
    with pytest.raises(CannotUndo, match="no longer as the edit left it") as raised:
        edit.undo(model)
    assert "transaction" in raised.value.hint
    assert same(model, trained)


def test_edits_are_undone_in_order():
    model = perceptron()
    edits = [change(model, "widen"), change(model, "widen")]
    with pytest.raises(CannotUndo):
        edits[0].undo(model)
    edits[1].undo(model)
    edits[0].undo(model)
    with pytest.raises(CannotUndo):
        edits[0].undo(model)


def test_without_tensors_an_edit_is_only_replayed():
    model = perceptron()
    edit = evolve.Edit.from_json(change(model, "widen").to_json())
    with pytest.raises(CannotUndo, match="without its tensors"):
        edit.undo(model)


def test_damaged_tensors_are_noticed():
    model = perceptron()
    edit = change(model, "prune")
    tensors = {name: one + 1 if "slices" in name else one for name, one in edit.tensors().items()}
    changed = contents(model)
    with pytest.raises(CannotUndo, match="does not lead back"):
        evolve.Edit.from_json(edit.to_json(), tensors=tensors).undo(model)
    with pytest.raises(EditUnreadable, match="cannot be used"):
        evolve.Edit.from_json(edit.to_json(), tensors={})
    assert same(model, changed)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda given: "{", "no JSON"),
        (lambda given: "[]", "no edit"),
        (lambda given: json.dumps({**given, "version": EDIT_VERSION + 1}), "reads up to"),
        (lambda given: json.dumps({**given, "version": "1"}), "version '1'"),
        (lambda given: json.dumps({**given, "colour": 1}), "unknown in this edit: colour"),
        (lambda given: json.dumps({**given, "change": None}), "cannot be used"),
        (lambda given: json.dumps({**given, "arguments": 3}), "cannot be used"),
        (lambda given: json.dumps({key: one for key, one in given.items() if key != "site"}), "site"),
    ],
    ids=["text", "list", "newer", "version", "key", "change", "arguments", "missing"],
)
def test_unreadable_edits_are_refused(damage, says):
    text = change(perceptron(), "widen").to_json()
    with pytest.raises(EditUnreadable, match=says) as raised:
        evolve.Edit.from_json(damage(json.loads(text)))
    assert raised.value.hint


def test_unknown_operators_and_arguments_are_refused():
    edit = evolve.Edit(operator="widden", site="0", arguments={"by": 1}, promise="exact", change=0.0)
    with pytest.raises(InputError, match="widden") as raised:
        evolve.apply(perceptron(), edit, INPUTS)
    assert "'widen'" in raised.value.hint
    edit = evolve.Edit(operator="widen", site="0", arguments={"buy": 1}, promise="exact", change=0.0)
    with pytest.raises(EditUnreadable, match="buy"):
        evolve.apply(perceptron(), edit, INPUTS)
    edit = evolve.Edit(operator="widen", site="0", arguments={}, promise="exact", change=0.0)
    with pytest.raises(EditUnreadable, match="does not say by"):
        evolve.apply(perceptron(), edit, INPUTS)
    with pytest.raises(InputError, match="JSON"):
        evolve.Edit(operator="widen", site="0", arguments={"by": {1}}, promise="exact", change=0.0)
