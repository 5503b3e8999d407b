"""What a run notes of weights, whoever uses them and however."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from outgrow.evolve.coupling.trace import Trace
from tests.evolve.coupling.seen import Formula, see, seen


class Reader(nn.Module):
    """A layer that reads a weight of another one."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(6, 4))

    def forward(self, queries):
        return F.linear(queries, self.weight)


class Model(nn.Module):
    def __init__(self, formula, **parts):
        super().__init__()
        self._formula = formula
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args, **kwargs):
        return self._formula(self, *args, **kwargs)


def run(model, *args, **kwargs):
    trace = Trace(model)
    result = trace.run(model, args, kwargs)
    return trace, seen(trace, [result])


def test_of_two_weights_the_layer_that_runs_reads_the_other_one():
    model = Model(
        lambda self: self.reader(self.queries), queries=nn.Parameter(torch.rand(3, 4)), reader=Reader()
    )
    trace, text = run(model)
    assert text == (
        "queries: a3 b4 | reader.weight: c6 b4 | -> a3 c6 | uses: queries[1] out, reader.weight[1] in, "
        "queries[0] out, reader.weight[0] out"
    )
    assert {use.module for use in trace.uses} == {"reader"}


def test_two_weights_of_which_none_or_both_are_of_the_layer_that_runs_are_fixed():
    def forward(self):
        return self.one.weight @ self.two.weight.t()

    _, text = run(Model(forward, one=Reader(), two=Reader()))
    why = "the model multiplies two weights over it"
    assert text == (
        f"one.weight: a6 b4({why}) | two.weight: c6 b4({why}) | -> a6 c6 | uses: one.weight[1] out, "
        "two.weight[1] out, one.weight[0] out, two.weight[0] out"
    )


def test_the_model_itself_has_no_name_and_is_called_so():
    model = Formula(lambda m: torch.linalg.inv(m.a), {"a": (2, 2)})
    trace, text = run(model)
    why = "the model calls aten::linalg_inv_ex, of which nothing is known"
    assert text == f"a: a2({why}) b2({why}) | -> 2({why}) 2({why}) | reached: a"
    assert trace.module == ""


@pytest.mark.parametrize(
    ("formula", "shapes", "text"),
    [
        (
            lambda m: m.a.view(12) * 1,
            {"a": (3, 4)},
            (
                "a: a3({0}) b4({0}) | -> a3({0})*b4({0}) | uses: a[None: a3({0})*b4({0})] out".format(
                    "m looks at m.a in a way nobody can undo"
                )
            ),
        ),
        (
            lambda m: (m.a * 1).unsqueeze_(0),
            {"a": (3,)},
            "a: a3(m changes its shape in place) | -> 1(m calls aten::unsqueeze_, of which nothing is known) "
            "3(m calls aten::unsqueeze_, of which nothing is known) | uses: a[0] out",
        ),
        (lambda m: m.a.data * 1, {"a": (3,)}, "a: a3 | -> a3 | uses: a[0] out"),
        (
            lambda m, x: (m.a + x["given"][0]) * torch.ones(1),
            {"a": (1, 4)},
            "a: a1(has one index only) b4(comes from the inputs) | -> 3(comes from the inputs) "
            "b4(comes from the inputs) | uses: a[0, 1] out",
        ),
    ],
    ids=["mixed-dims", "new-dim-in-place", "data", "nested-inputs"],
)
def test_what_is_known_of_a_tensor_is_followed(formula, shapes, text):
    given = [{"given": (torch.ones(3, 4),)}] if "x" in formula.__code__.co_varnames else []
    assert see(formula, *given, **shapes) == text


def test_inputs_by_name_are_inputs():
    model = Model(lambda self, x: self.reader(x), reader=Reader())
    _, text = run(model, x=torch.ones(2, 4))
    assert text == (
        "reader.weight: a6 b4(comes from the inputs) | -> 2(comes from the inputs) a6 "
        "| uses: reader.weight[1] in, reader.weight[0] out"
    )


def test_weights_that_share_their_memory_name_each_other():
    model = Model(lambda self: self.one.weight * 1, one=Reader(), two=Reader(), three=Reader())
    model.two.weight.data = model.one.weight.data
    trace = Trace(model)
    reasons = [trace.weights[f"{name}.weight"].extents[0].frozen for name in ("one", "two", "three")]
    assert reasons == ["shares its memory with two.weight", "shares its memory with one.weight", None]


def test_a_parameter_that_two_modules_hold_is_one_weight():
    model = Model(lambda self: self.one.weight * 1, one=Reader(), two=Reader())
    model.two.weight = model.one.weight
    trace = Trace(model)
    assert list(trace.weights) == ["one.weight"]
    assert trace.weights["one.weight"].extents[0].frozen is None


def test_weights_without_elements_or_memory_share_nothing():
    empty = {"one": nn.Parameter(torch.rand(0, 3)), "two": nn.Parameter(torch.rand(0, 3))}
    meta = {f"{name}_meta": nn.Parameter(torch.empty(2, 3, device="meta")) for name in ("one", "two")}
    trace = Trace(Model(lambda self: None, **empty, **meta))
    assert [labels.extents[1].frozen for labels in trace.weights.values()] == [None] * 4


def test_a_run_that_fails_leaves_no_module_behind():
    def fails(self):
        raise ValueError("on purpose")

    model = Model(lambda self: self.part(), part=Model(fails))
    trace = Trace(model)
    with pytest.raises(ValueError, match="on purpose"):
        trace.run(model, (), {})
    assert trace.module == ""
    assert not model.part._forward_pre_hooks
