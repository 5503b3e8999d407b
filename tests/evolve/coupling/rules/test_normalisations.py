"""Normalisations."""

import pytest
import torch
from torch.nn import functional as F

from tests.evolve.coupling.seen import see


def bn(m, **options):
    return F.batch_norm(m.x * 1, torch.zeros(3), torch.ones(3), m.a, m.b, **options)


cases = {
    "bn": (
        bn,
        (),
        {"x": (2, 3, 4), "a": (3,), "b": (3,)},
        "x: a2 b3 c4 | a: b3 | b: b3 | -> a2 b3 c4 | uses: x[0, 1, 2] out, a[0] out, b[0] out",
    ),
    "bntrain": (
        lambda m: bn(m, training=True),
        (),
        {"x": (2, 3, 4), "a": (3,), "b": (3,)},
        "x: a2 b3 c4 | a: b3 | b: b3 | -> a2 b3 c4 | uses: x[0, 1, 2] out, a[0] out, b[0] out",
    ),
    "bnplain": (
        lambda m: F.batch_norm(m.x * 1, None, None, None, None, True),
        (),
        {"x": (2, 3, 4)},
        "x: a2 b3 c4 | -> a2 b3 c4 | uses: x[0, 1, 2] out",
    ),
    "ln": (
        lambda m: F.layer_norm(m.x * 1, (3, 4), m.a, m.b),
        (),
        {"x": (2, 3, 4), "a": (3, 4), "b": (3, 4)},
        (
            "x: a2 b3~m.native_layer_norm c4~m.native_layer_norm | a: b3~m.native_layer_norm "
            "c4~m.native_layer_norm | b: b3~m.native_layer_norm c4~m.native_layer_norm | -> a2 "
            "b3~m.native_layer_norm c4~m.native_layer_norm | uses: x[0, 1, 2] out, a[0, 1] out, b[0, "
            "1] out"
        ),
    ),
    "ln1": (
        lambda m: F.layer_norm(m.x * 1, (4,), m.a),
        (),
        {"x": (2, 3, 4), "a": (4,)},
        (
            "x: a2 b3 c4~m.native_layer_norm | a: c4~m.native_layer_norm | -> a2 b3 "
            "c4~m.native_layer_norm | uses: x[0, 1, 2] out, a[0] out"
        ),
    ),
    "rms": (
        lambda m: F.rms_norm(m.x * 1, (4,), m.a),
        (),
        {"x": (2, 3, 4), "a": (4,)},
        "x: a2 b3 c4~m.mean | a: c4~m.mean | -> a2 b3 c4~m.mean | uses: x[0, 1, 2] out, a[0] out",
    ),
    "gn": (
        lambda m: F.group_norm(m.x * 1, 2, m.a, m.b),
        (),
        {"x": (2, 6, 4), "a": (6,), "b": (6,)},
        (
            "x: a2 b2*c3~m.native_group_norm d4 | a: b2*c3~m.native_group_norm | b: "
            "b2*c3~m.native_group_norm | -> a2 b2*c3~m.native_group_norm d4 | uses: x[0, 1, 2] out, "
            "a[0] out, b[0] out | counts: m.num_groups b2"
        ),
    ),
    "gn.plain": (
        lambda m: F.group_norm(m.x * 1, 3),
        (),
        {"x": (2, 6, 4)},
        "x: a2 b3*c2~m.native_group_norm d4 | -> a2 b3*c2~m.native_group_norm d4 | uses: x[0, 1, 2] out "
        "| counts: m.num_groups b3",
    ),
    "softmax": (
        lambda m: (m.x * 1).softmax(-1),
        (),
        {"x": (2, 6)},
        "x: a2 b6~m._softmax | -> a2 b6~m._softmax | uses: x[0, 1] out",
    ),
    "cumsum": (
        lambda m: (m.x * 1).cumsum(0),
        (),
        {"x": (2, 6)},
        "x: a2~m.cumsum b6 | -> a2~m.cumsum b6 | uses: x[0, 1] out",
    ),
    "softmax scalar": (lambda m: (m.a * 1).softmax(0), (), {"a": ()}, "a:  | -> "),
}
"""Formula, inputs, shapes of the weights; what is seen."""


@pytest.mark.parametrize("case", cases)
def test_statistics_are_noted_and_dims_kept(case):
    formula, inputs, shapes, expected = cases[case]
    assert see(formula, *inputs, **shapes) == expected
