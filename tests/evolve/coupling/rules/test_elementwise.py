"""Ops that treat every element apart."""

import pytest
import torch
from torch.nn import functional as F

from outgrow.evolve.coupling.rules.elementwise import follow_elementwise
from outgrow.evolve.coupling.trace import Trace
from tests.evolve.coupling.seen import Formula, see, seen


def wr(m):
    with torch.no_grad():
        return m.a.mul_(m.b), m.a


cases = {
    "add": (
        lambda m: m.a + m.b,
        (),
        {"a": (3, 4), "b": (4,)},
        "a: a3 b4 | b: b4 | -> a3 b4 | uses: a[0, 1] out, b[0] out",
    ),
    "ones": (
        lambda m: m.a + m.b,
        (),
        {"a": (3, 1), "b": (1, 4)},
        (
            "a: a3 b1(has one index only) | b: c1(has one index only) d4 | -> a3 d4 | uses: a[0, 1] "
            "out, b[0, 1] out"
        ),
    ),
    "three": (
        lambda m: torch.where(m.a > 0, m.b, m.c),
        (),
        {"a": (3, 4), "b": (1, 4), "c": (3, 1)},
        (
            "a: a3 b4 | b: c1(has one index only) b4 | c: a3 d1(has one index only) | -> a3 b4 | "
            "uses: a[0, 1] out, b[0, 1] out, c[0, 1] out"
        ),
    ),
    "scalar": (lambda m: m.a * 2, (), {"a": (3, 4)}, "a: a3 b4 | -> a3 b4 | uses: a[0, 1] out"),
    "zero-dim": (lambda m: m.a * m.b, (), {"a": (3,), "b": ()}, "a: a3 | b:  | -> a3 | uses: a[0] out"),
    "zeros_like": (
        lambda m: torch.zeros_like(m.a),
        (),
        {"a": (3, 4)},
        "a: a3 b4 | -> a3 b4 | uses: a[0, 1] out",
    ),
    "zeros": (
        lambda m: torch.zeros(3, 1) + m.a,
        (),
        {"a": (3, 1)},
        "a: a3 b1(has one index only) | -> a3 1(has one index only) | uses: a[0, 1] out",
    ),
    "new_zeros": (lambda m: m.a.new_zeros(3, 1), (), {"a": (3, 4)}, "a: a3 b4 | -> 3 1(has one index only)"),
    "arange": (
        lambda m: torch.arange(4) + m.a,
        (),
        {"a": (4,)},
        "a: a4(is made within the model) | -> a4(is made within the model) | uses: a[0] out",
    ),
    "unknown": (
        lambda m: torch.linalg.inv(m.a),
        (),
        {"a": (3, 3)},
        (
            "a: a3(m calls aten::linalg_inv_ex, of which nothing is known) b3(m calls "
            "aten::linalg_inv_ex, of which nothing is known) | -> 3(m calls aten::linalg_inv_ex, of "
            "which nothing is known) 3(m calls aten::linalg_inv_ex, of which nothing is known) | "
            "reached: a"
        ),
    ),
    "unknown2": (
        lambda m: torch.linalg.inv(m.a * 1),
        (),
        {"a": (3, 3)},
        (
            "a: a3(m calls aten::linalg_inv_ex, of which nothing is known) b3(m calls "
            "aten::linalg_inv_ex, of which nothing is known) | -> 3(m calls aten::linalg_inv_ex, of "
            "which nothing is known) 3(m calls aten::linalg_inv_ex, of which nothing is known) | "
            "uses: a[0, 1] out"
        ),
    ),
    "writes": (
        lambda m: (m.a * 1).add_(m.b),
        (),
        {"a": (3, 4), "b": (4,)},
        "a: a3 b4 | b: b4 | -> a3 b4 | uses: a[0, 1] out, b[0] out",
    ),
    "writes weight": (
        wr,
        (),
        {"a": (3, 4), "b": (4,)},
        "a: a3 b4 | b: b4 | -> a3 b4 = a[0, 1] | -> a3 b4 = a[0, 1] | uses: a[0, 1] out, b[0] out",
    ),
    "dropout": (
        lambda m: F.dropout(m.a, 0.5, True),
        (),
        {"a": (3, 4)},
        "a: a3 b4 | -> a3 b4 | uses: a[0, 1, 0, 1] out",
    ),
    "complex": (
        lambda m: torch.complex(m.a, m.b),
        (),
        {"a": (3, 4), "b": (3, 4)},
        "a: a3 b4 | b: a3 b4 | -> a3 b4 | uses: a[0, 1] out, b[0, 1] out",
    ),
    "nonzero": (
        lambda m: (m.a > 0).nonzero(),
        (),
        {"a": (3,)},
        (
            "a: a3(m calls aten::nonzero, of which nothing is known) | -> 3(m calls aten::nonzero, "
            "of which nothing is known) 1(m calls aten::nonzero, of which nothing is known) | uses: "
            "a[0] out"
        ),
    ),
    "outside": (lambda m: torch.arange(4), (), {"a": (3,)}, "a: a3 | -> 4(is made within the model)"),
}
"""Formula, inputs, shapes of the weights; what is seen."""


@pytest.mark.parametrize("case", cases)
def test_dims_that_meet_become_one(case):
    formula, inputs, shapes, expected = cases[case]
    assert see(formula, *inputs, **shapes) == expected


def test_an_output_of_a_size_that_no_input_has_is_of_no_weight():
    """Such as the buffer of log_sigmoid, which is empty on some devices."""
    model = Formula(None, {"a": (3, 4)})
    trace, same, buffer = Trace(model), torch.ones(3, 4), torch.ones(0)
    follow_elementwise(trace, [model.a], [same, buffer])
    assert seen(trace, [same, buffer]) == (
        "a: a3 b4 | -> a3 b4 | -> 0(is made within the model) | uses: a[0, 1] out"
    )
