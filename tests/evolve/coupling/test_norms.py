"""What a normalisation is, found out by trying it, and by which methods what it looks at can grow."""

import pytest
import torch
from torch import nn

from outgrow import evolve
from outgrow.evolve.coupling.norms import recognise_norm


class Rms(nn.Module):
    def __init__(self, width, shift):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width))
        self.shift, self.variance_epsilon = shift, 1e-3

    def forward(self, x):
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return x * (self.shift + self.weight)


@pytest.mark.parametrize(
    ("module", "ops", "kind", "eps"),
    [
        (Rms(6, 0), {"mean"}, "rms", "variance_epsilon"),
        (Rms(6, 1), {"mean"}, "rms_plus_one", "variance_epsilon"),
        (Rms(6, 2), {"mean"}, "mean", None),
        (nn.RMSNorm(6), {"_fused_rms_norm"}, "rms", "eps"),
        (nn.RMSNorm(6, eps=1e-4), {"mean"}, "rms", "eps"),
        (nn.LayerNorm(6), {"native_layer_norm"}, "mean", None),
        (nn.Softmax(-1), {"_softmax"}, "other", None),
        (nn.Sequential(nn.Linear(6, 6)), {"mean"}, "mean", None),
    ],
    ids=["rms", "one-plus", "two-plus", "torch", "torch-eps", "layer-norm", "softmax", "other-module"],
)
def test_norms_are_recognised_by_what_they_compute(module, ops, kind, eps):
    norm = recognise_norm("norm", module, ops)
    assert (norm.kind, norm.eps_attribute) == (kind, eps)
    assert (norm.weight == "norm.weight") == (kind.startswith("rms"))


class Given(Rms):
    """A norm that gives something else, or takes something else, or keeps another weight."""

    def __init__(self, change, weight=None):
        super().__init__(6, 0)
        self._change = change
        if weight is not None:
            self.weight = nn.Parameter(weight, requires_grad=weight.is_floating_point())

    def forward(self, x):
        return self._change(super().forward(x))


def refused(x):
    raise TypeError("on purpose")


@pytest.mark.parametrize(
    ("change", "weight"),
    [
        (lambda x: (x,), None),
        (lambda x: x[:, :3], None),
        (lambda x: x + 1e-4, None),
        (refused, None),
        (lambda x: x, torch.rand(1, 6)),
        (lambda x: x, torch.ones(6, dtype=torch.int64)),
        (lambda x: x, torch.empty(6, device="meta")),
    ],
    ids=["tuple", "shorter", "shifted", "raises", "two-dims", "integers", "meta"],
)
def test_what_is_almost_a_norm_is_none_of_those_that_can_be_padded(change, weight):
    assert recognise_norm("norm", Given(change, weight), {"mean"}).kind == "mean"


def test_a_norm_is_known_to_its_epsilon_and_by_its_own_name():
    norm = recognise_norm("", Rms(6, 0), {"mean"})
    assert (norm.module, norm.weight, norm.eps_attribute, norm.eps) == (
        "",
        "weight",
        "variance_epsilon",
        1e-3,
    )
    without = recognise_norm("a.b", nn.RMSNorm(6, eps=None), {"mean"})
    assert (without.module, without.weight, without.eps) == (
        "a.b",
        "a.b.weight",
        torch.finfo(torch.float32).eps,
    )
    assert recognise_norm("a", Rms(6, 0), {"mean", "sum"}).kind == "other"
    assert recognise_norm("a", Rms(6, 0), {"amax"}).kind == "mean"


def stream(norm):
    class Stream(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.norm, self.head = nn.Linear(3, 8), norm, nn.Linear(8, 2)
            self.up, self.down = nn.Linear(8, 5), nn.Linear(5, 8)

        def forward(self, x):
            x = self.embed(x)
            x = x + self.down(self.up(self.norm(x)).relu())
            return self.head(self.norm(x))

    torch.manual_seed(0)
    return Stream().double()


@pytest.mark.parametrize(
    ("norm", "methods", "step"),
    [
        (nn.LayerNorm(8), ("duplicate",), 8),
        (Rms(8, 0), ("pad", "duplicate"), 1),
        (Rms(8, 1), ("pad", "duplicate"), 1),
        (nn.GroupNorm(1, 8), ("duplicate",), 8),
        (nn.Identity(), ("split", "zero_outgoing"), 1),
    ],
    ids=["layer-norm", "rms", "gemma", "group-norm", "none"],
)
def test_a_residual_stream_grows_by_what_its_norms_permit(norm, methods, step):
    model, x = stream(norm), torch.randn(4, 3).double()
    site = {one.name: one for one in evolve.sites(model, x)}["embed"]
    assert (site.methods, site.step, site.units) == (methods, step, 8)
    for method in methods:
        before, width = model(x), model.head.in_features
        evolve.widen(model, "embed", by=width, method=method, example_inputs=x)
        assert torch.allclose(model(x), before, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("statistic", [torch.softmax, torch.cumsum, torch.nn.functional.normalize])
def test_what_another_statistic_looks_at_does_not_grow(statistic):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(3, 6), nn.Linear(6, 2)

        def forward(self, x):
            return self.last(statistic(self.first(x), dim=-1))

    assert evolve.sites(Model().double(), torch.randn(4, 3).double()) == []
