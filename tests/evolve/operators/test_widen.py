import copy

import pytest
import torch
from torch import nn

from outgrow import evolve
from outgrow.errors import InputError
from outgrow.evolve.errors import SiteNotFound, SiteRefused
from outgrow.evolve.operators.width_arguments import METHODS
from tests.evolve.operators.nets import build, contents, perceptron, same, step

PLACES = {
    "split": ("convolutions", "first"),
    "zero_outgoing": ("convolutions", "first"),
    "duplicate": ("layer_norm", "embedding"),
    "pad": ("rms", "embedding"),
}
DTYPES = (torch.float64, torch.float32, torch.bfloat16)
CASES = [
    (method, dtype)
    for method in METHODS
    for dtype in DTYPES
    if (method, dtype) != ("pad", torch.bfloat16)  # sqrt(d / D) rounds too much
]


def site_of(model, inputs, name):
    return next(one for one in evolve.sites(model, inputs) if one.name == name)


@pytest.mark.parametrize(("method", "dtype"), CASES, ids=str)
def test_outputs_stay_and_the_width_is_honoured(method, dtype):
    kind, name = PLACES[method]
    model, inputs = build(kind, dtype)
    before = model.eval()(inputs).double()
    site = site_of(model, inputs, name)
    by = site.width if method == "duplicate" else 3
    edit = evolve.widen(model, site, by=by, method=method)
    apart = (model(inputs).double() - before).abs().max() / before.abs().max()
    assert apart <= {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2}[dtype]
    assert edit.promise == "exact"
    assert site_of(model, inputs, name).width == site.width + by
    assert {one.dtype for one in model.parameters()} == {dtype}


@pytest.mark.parametrize("kind", ["layer_norm_tied", "rms_tied"])
def test_tied_embeddings_stay_tied_and_exact(kind):
    model, inputs = build(kind, torch.float64)
    before = model(inputs)
    for site in evolve.sites(model, inputs):
        for method in site.methods:
            copied = copy.deepcopy(model)
            evolve.widen(copied, site, by=site.width, method=method)
            assert copied.head.weight is copied.embedding.weight
            assert torch.allclose(copied(inputs), before, rtol=1e-12, atol=1e-13)
    names = {site.name: site.methods for site in evolve.sites(model, inputs)}
    assert "duplicate" in names["embedding"]


def test_a_head_group_is_copied_whole():
    model, inputs = build("heads", torch.float64)
    before = model(inputs)
    evolve.widen(model, "queries", by=6, example_inputs=inputs)
    assert (model.keys.out_features, model.out.in_features) == (9, 18)
    assert torch.allclose(model(inputs), before, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_new_units_learn(method):
    """Within three steps every matrix gets gradients for new units, and no two units are alike."""
    kind, name = PLACES[method]
    model, inputs = build(kind)
    site = site_of(model, inputs, name)
    evolve.widen(model, site, by=site.width, method=method)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    has_gradient = {name: torch.zeros_like(one) for name, one in model.named_parameters()}
    for _ in range(3):
        step(model, inputs, optimizer)
        for name, parameter in model.named_parameters():
            has_gradient[name] += parameter.grad.abs()
    weights = dict(model.named_parameters())
    matrices = [one for one in site.coupled if one.weight in weights and weights[one.weight].dim() > 1]
    assert {one.role for one in matrices} == {"in", "out"}
    for one in matrices:
        new = has_gradient[one.weight].movedim(one.dim, 0).flatten(1)[-site.width :]
        # A ReLU may be shut for all inputs, for a copy as for its source.
        assert (new.sum(dim=1) > 0).float().mean() >= 0.5, one
        rows = weights[one.weight].movedim(one.dim, 0).flatten(1)
        alive = has_gradient[one.weight].movedim(one.dim, 0).flatten(1).sum(dim=1) > 0
        assert len({tuple(row.tolist()) for row in rows[alive]}) == int(alive.sum()), one


def test_copies_of_a_unit_without_outgoing_weights_part():
    model = perceptron()
    inputs = torch.randn(6, 3)
    nn.init.zeros_(model[4].weight)
    evolve.widen(model, "2", by=5, example_inputs=inputs)
    assert (model(inputs) - model[4].bias).abs().max() < 1e-6
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        step(model, inputs, optimizer)
    rows = model[2].weight
    assert len({tuple(row.tolist()) for row in rows}) == 10


def test_only_what_was_there_and_frozen_weights_stay_frozen():
    model = perceptron()
    model[2].requires_grad_(False)
    kept = [(name, id(one)) for name, one in model.named_parameters()]
    evolve.widen(model, "0", by=2, example_inputs=torch.randn(2, 3))
    assert [(name, id(one)) for name, one in model.named_parameters()] == kept
    assert [one.requires_grad for one in model.parameters()] == [True, True, False, False, True, True]


def test_sites_that_are_frozen_are_refused():
    model = perceptron().requires_grad_(False)
    with pytest.raises((SiteNotFound, SiteRefused), match="frozen"):
        evolve.widen(model, "0", by=2, example_inputs=torch.randn(2, 3))


def test_memory_format_is_kept():
    model, inputs = build("convolutions")
    model = model.to(memory_format=torch.channels_last)
    evolve.widen(model, "first", by=3, example_inputs=inputs)
    assert model.second.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_seed_gives_the_same_weights_and_touches_no_global_generator():
    models = [perceptron() for _ in range(3)]
    state = torch.get_rng_state()
    for model, seed in zip(models, (1, 1, 2), strict=True):
        evolve.widen(model, "0", by=2, example_inputs=torch.ones(2, 3), seed=seed)
    assert torch.equal(torch.get_rng_state(), state)
    assert same(models[1], contents(models[0]))
    assert not same(models[2], contents(models[0]))


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"by": 0}, InputError, "by=0"),
        ({"by": -3}, InputError, "by=-3"),
        ({"by": True}, InputError, "whole number"),
        ({"by": 2.0}, InputError, "whole number"),
        ({"by": "4"}, InputError, "whole number"),
        ({"by": 4, "site": "queries"}, InputError, "multiple of 6"),
        ({"by": 6, "method": "split_"}, InputError, "did you mean 'split'"),
        ({"by": 6, "method": "pad"}, SiteRefused, "cannot grow exactly by 'pad'"),
        ({"by": 6, "seed": -1}, InputError, "seed=-1"),
        ({"by": 6, "allow": "exactly"}, InputError, "did you mean 'exact'"),
        ({"by": 6, "bound": 0}, InputError, "bound=0"),
        ({"by": 6, "site": "query"}, SiteNotFound, "query"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_and_nothing_changes(arguments, error, says):
    model, inputs = build("heads")
    before = contents(model)
    with pytest.raises(error, match=says) as raised:
        evolve.widen(model, **{"site": "queries", "example_inputs": inputs, **arguments})
    assert raised.value.hint
    assert same(model, before)


def test_duplicate_wants_multiples_of_the_width():
    model, inputs = build("layer_norm")
    with pytest.raises(InputError, match="multiple of 6, the width"):
        evolve.widen(model, "embedding", by=3, example_inputs=inputs)
