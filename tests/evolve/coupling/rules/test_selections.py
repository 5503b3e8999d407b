"""Parts of a tensor, and tensors put together."""

import pytest
import torch
from torch.nn import functional as F

from tests.evolve.coupling.seen import see

cases = {
    "split": (
        lambda m: m.a.split(2),
        (),
        {"a": (6, 5)},
        "a: a2+a2+a2 b5 | -> a2 b5 = a[0, 1] | -> a2 b5 = a[0, 1] | -> a2 b5 = a[0, 1]",
    ),
    "split uneven": (
        lambda m: m.a.split(4),
        (),
        {"a": (6, 5)},
        "a: a4+b2 c5 | -> a4 c5 = a[0, 1] | -> b2 c5 = a[0, 1]",
    ),
    "split uneven1": (
        lambda m: (m.a * 1).split(4, -1),
        (),
        {"a": (5, 6)},
        "a: a5 b4+c2 | -> a5 b4 | -> a5 c2 | uses: a[0, 1] out",
    ),
    "splitsizes": (
        lambda m: (m.a * 1).split([1, 2, 3], 1),
        (),
        {"a": (5, 6)},
        (
            "a: a5 b1(has one index only)+c2+d3 | -> a5 b1(has one index only) | -> a5 c2 | -> a5 d3 "
            "| uses: a[0, 1] out"
        ),
    ),
    "split equal sizes": (
        lambda m: (m.a * 1).split([3, 3], 1),
        (),
        {"a": (5, 6)},
        "a: a5 b3+c3 | -> a5 b3 | -> a5 c3 | uses: a[0, 1] out",
    ),
    "split impossible": (
        lambda m: (m.a * 1).view(12).split([5, 7]),
        (),
        {"a": (3, 4)},
        (
            "a: a3(m cuts it into [5, 7]) b4(m cuts it into [5, 7]) | -> 5(m cuts it into [5, 7]) | "
            "-> 7(m cuts it into [5, 7]) | uses: a[0, 1] out"
        ),
    ),
    "slice": (
        lambda m: m.a[1:3],
        (),
        {"a": (5, 4)},
        "a: a1(has one index only)+b2+c2 d4 | -> b2 d4 = a[0, 1]",
    ),
    "slice all": (lambda m: m.a[:], (), {"a": (5, 4)}, "a: a5 b4 | -> a5 b4 = a[0, 1]"),
    "slice neg": (lambda m: m.a[:, -2:], (), {"a": (5, 4)}, "a: a5 b2+c2 | -> a5 c2 = a[0, 1]"),
    "slice end": (lambda m: m.a[2:], (), {"a": (5, 4)}, "a: a2+b3 c4 | -> b3 c4 = a[0, 1]"),
    "slice far": (lambda m: m.a[-9:2], (), {"a": (5, 4)}, "a: a2+b3 c4 | -> a2 c4 = a[0, 1]"),
    "slice step": (
        lambda m: m.a[::2],
        (),
        {"a": (5, 4)},
        (
            "a: a5(m takes every so-many-th of it) b4 | -> 3(m takes every so-many-th of it) b4 | "
            "uses: a[0, 1] out"
        ),
    ),
    "slice none": (
        lambda m: m.a[3:3],
        (),
        {"a": (5, 4)},
        "a: a3+b2 c4 | -> 0(has one index only) c4 = a[0, 1]",
    ),
    "select": (lambda m: m.a[:, 1], (), {"a": (5, 4)}, "a: a5 b4(m takes one index of it) | -> a5 = a[0]"),
    "select-1": (
        lambda m: m.a.select(-1, 0),
        (),
        {"a": (5, 4)},
        "a: a5 b4(m takes one index of it) | -> a5 = a[0]",
    ),
    "unbind": (
        lambda m: m.a.unbind(1),
        (),
        {"a": (2, 2)},
        "a: a2 b2(m takes one index of it) | -> a2 = a[0] | -> a2 = a[0]",
    ),
    "unbind0": (
        lambda m: torch.ops.aten.unbind(m.a * 1),
        (),
        {"a": (2, 3)},
        "a: a2(m takes one index of it) b3 | -> b3 | -> b3 | uses: a[0, 1] out",
    ),
    "stack": (
        lambda m: torch.stack([m.a, m.b], -1),
        (),
        {"a": (3, 4), "b": (3, 4)},
        "a: a3 b4 | b: a3 b4 | -> a3 b4 2(is a number of tensors) | uses: a[0, 1] out, b[0, 1] out",
    ),
    "stack0": (
        lambda m: torch.ops.aten.stack([m.a, m.b, m.a]),
        (),
        {"a": (3, 4), "b": (3, 4)},
        (
            "a: a3 b4 | b: a3 b4 | -> 3(is a number of tensors) a3 b4 | uses: a[0, 1] out, b[0, 1] "
            "out, a[0, 1] out"
        ),
    ),
    "glu": (lambda m: F.glu(m.a * 1), (), {"a": (3, 8)}, "a: a3 b4+b4 | -> a3 b4 | uses: a[0, 1] out"),
    "glu0": (lambda m: F.glu(m.a * 1, 0), (), {"a": (6, 8)}, "a: a3+a3 b8 | -> a3 b8 | uses: a[0, 1] out"),
    "cat": (
        lambda m: torch.cat([m.a, m.b], -1),
        (),
        {"a": (3, 4), "b": (3, 2)},
        "a: a3 b4 | b: a3 c2 | -> a3 b4+c2 | uses: a[0, 1] out, b[0, 1] out",
    ),
    "cat0": (
        lambda m: torch.ops.aten.cat([m.a, m.b]),
        (),
        {"a": (3, 4), "b": (2, 4)},
        "a: a3 b4 | b: c2 b4 | -> a3+c2 b4 | uses: a[0, 1] out, b[0, 1] out",
    ),
    "cat empty": (
        lambda m: torch.cat([m.c, m.a, m.b]),
        (),
        {"a": (3, 4), "b": (2, 4), "c": (0,)},
        "a: a3 b4 | b: c2 b4 | c: d0 | -> a3+c2 b4 | uses: a[0, 1] out, b[0, 1] out",
    ),
    "cat only empty": (
        lambda m: torch.cat([m.a * 1, m.b * 1]),
        (),
        {"a": (0, 4), "b": (0, 4)},
        (
            "a: a0 b4 | b: c0 d4 | -> 0(is made within the model) 4(is made within the model) | "
            "uses: a[0, 1] out, b[0, 1] out"
        ),
    ),
    "pad": (
        lambda m: F.pad(m.a * 1, (1, 2)),
        (),
        {"a": (3, 4)},
        "a: a3 b4 | -> a3 1(is padding)+b4+2(is padding) | uses: a[0, 1] out",
    ),
    "pad2": (
        lambda m: F.pad(m.a * 1, (0, 0, 0, 2)),
        (),
        {"a": (3, 4)},
        "a: a3 b4 | -> a3+2(is padding) b4 | uses: a[0, 1] out",
    ),
    "pad front": (
        lambda m: F.pad(m.a * 1, (0, 0, 3, 0)),
        (),
        {"a": (3, 4)},
        "a: a3 b4 | -> 3(is padding)+a3 b4 | uses: a[0, 1] out",
    ),
    "pad cut": (
        lambda m: F.pad(m.a * 1, (-1, 2, 0, -1)),
        (),
        {"a": (3, 4)},
        "a: a3(m cuts it) b4(m cuts it) | -> 2(was cut) 5(was cut) | uses: a[0, 1] out",
    ),
    "roll": (
        lambda m: torch.roll(m.a * 1, 1),
        (),
        {"a": (3, 4)},
        (
            "a: a3(m moves its indices) b4(m moves its indices) | -> a3(m moves its indices) b4(m "
            "moves its indices) | uses: a[0, 1] out"
        ),
    ),
    "roll1": (
        lambda m: torch.roll(m.a * 1, 1, 1),
        (),
        {"a": (3, 4)},
        "a: a3 b4(m moves its indices) | -> a3 b4(m moves its indices) | uses: a[0, 1] out",
    ),
    "flip": (
        lambda m: (m.a * 1).flip(0),
        (),
        {"a": (3, 4)},
        "a: a3(m moves its indices) b4 | -> a3(m moves its indices) b4 | uses: a[0, 1] out",
    ),
    "repeat": (
        lambda m: (m.a * 1).repeat(2, 1),
        (),
        {"a": (3, 4)},
        "a: a3 b4 | -> 2*a3 b4 | uses: a[0, 1] out",
    ),
    "repeat3": (
        lambda m: (m.a * 1).repeat(2, 3, 1),
        (),
        {"a": (3, 4)},
        "a: a3 b4 | -> 2 3*a3 b4 | uses: a[0, 1] out",
    ),
    "repeat1": (
        lambda m: (m.a * 1).repeat(1, 5),
        (),
        {"a": (3, 1)},
        "a: a3 b1(has one index only) | -> a3 5 | uses: a[0, 1] out",
    ),
    "repeat new1": (
        lambda m: (m.a * 1).repeat(1, 1, 5),
        (),
        {"a": (3, 1)},
        "a: a3 b1(has one index only) | -> 1(has one index only) a3 5 | uses: a[0, 1] out",
    ),
    "repeat scalar": (lambda m: (m.a * 1).repeat(3), (), {"a": ()}, "a:  | -> 3"),
    "roll scalar": (lambda m: (m.a * 1).roll(1), (), {"a": ()}, "a:  | -> "),
    "chunk of a transposed weight": (
        lambda m: m.a.t().chunk(2),
        (),
        {"a": (3, 4)},
        "a: a3 b2+b2 | -> b2 a3 = a[1, 0] | -> b2 a3 = a[1, 0]",
    ),
    "slice step middle": (
        lambda m: m.a[:, ::2],
        (),
        {"a": (5, 4, 3)},
        (
            "a: a5 b4(m takes every so-many-th of it) c3 | -> a5 2(m takes every so-many-th of it) "
            "c3 | uses: a[0, 1, 2] out"
        ),
    ),
    "split middle": (
        lambda m: m.a.split(2, 1),
        (),
        {"a": (5, 4, 3)},
        "a: a5 b2+b2 c3 | -> a5 b2 c3 = a[0, 1, 2] | -> a5 b2 c3 = a[0, 1, 2]",
    ),
    "slice middle": (
        lambda m: (m.a * 1)[:, 1:],
        (),
        {"a": (5, 4, 3)},
        "a: a5 b1(has one index only)+c3 d3 | -> a5 c3 d3 | uses: a[0, 1, 2] out",
    ),
    "select middle": (
        lambda m: m.a[:, 1],
        (),
        {"a": (5, 4, 3)},
        "a: a5 b4(m takes one index of it) c3 | -> a5 c3 = a[0, 2]",
    ),
    "stack middle": (
        lambda m: torch.stack([m.a, m.b], 1),
        (),
        {"a": (5, 4), "b": (5, 4)},
        "a: a5 b4 | b: a5 b4 | -> a5 2(is a number of tensors) b4 | uses: a[0, 1] out, b[0, 1] out",
    ),
    "glu middle": (
        lambda m: F.glu(m.a * 1, 1),
        (),
        {"a": (5, 4, 3)},
        "a: a5 b2+b2 c3 | -> a5 b2 c3 | uses: a[0, 1, 2] out",
    ),
    "cat middle": (
        lambda m: torch.cat([m.a, m.b], 1),
        (),
        {"a": (5, 4, 3), "b": (5, 2, 3)},
        "a: a5 b4 c3 | b: a5 d2 c3 | -> a5 b4+d2 c3 | uses: a[0, 1, 2] out, b[0, 1, 2] out",
    ),
    "flip middle": (
        lambda m: (m.a * 1).flip(1),
        (),
        {"a": (5, 4, 3)},
        "a: a5 b4(m moves its indices) c3 | -> a5 b4(m moves its indices) c3 | uses: a[0, 1, 2] out",
    ),
    "roll by two": (
        lambda m: torch.roll(m.a * 1, 2, 0),
        (),
        {"a": (3, 4)},
        "a: a3(m moves its indices) b4 | -> a3(m moves its indices) b4 | uses: a[0, 1] out",
    ),
}
"""Formula, inputs, shapes of the weights; what is seen."""


@pytest.mark.parametrize("case", cases)
def test_parts_are_cut_and_joined_where_the_model_does_it(case):
    formula, inputs, shapes, expected = cases[case]
    assert see(formula, *inputs, **shapes) == expected
