"""Statistics along a dim."""

import pytest
import torch

from tests.evolve.coupling.seen import see


def inference(formula):
    """There torch hands on some ops whole that it takes apart otherwise."""

    def run(m):
        with torch.inference_mode():
            return formula(m)

    return run


cases = {
    "max.inference": (
        inference(lambda m: torch.max(m.a, m.b)),
        (),
        {"a": (3, 4), "b": (4,)},
        "a: a3 b4 | b: b4 | -> a3 b4 | uses: a[0, 1] out, b[0] out",
    ),
    "var.inference": (
        inference(lambda m: m.a.var(False)),
        (),
        {"a": (3, 4)},
        "a: a3~m.var b4~m.var | ->  | uses: a[0, 1] out",
    ),
    "var.dim.inference": (
        inference(lambda m: m.a.var(1, False)),
        (),
        {"a": (3, 4)},
        "a: a3 b4~m.var | -> a3 | uses: a[0, 1] out",
    ),
    "sum": (lambda m: (m.a * 1).sum(), (), {"a": (3, 4)}, "a: a3~m.sum b4~m.sum | ->  | uses: a[0, 1] out"),
    "sum1": (lambda m: (m.a * 1).sum(-1), (), {"a": (3, 4)}, "a: a3 b4~m.sum | -> a3 | uses: a[0, 1] out"),
    "sumkeep": (
        lambda m: (m.a * 1).sum(1, keepdim=True),
        (),
        {"a": (3, 4)},
        "a: a3 b4~m.sum | -> a3 1(is a statistic) | uses: a[0, 1] out",
    ),
    "mean2": (
        lambda m: (m.a * 1).mean((0, -1)),
        (),
        {"a": (3, 4, 5)},
        "a: a3~m.mean b4 c5~m.mean | -> b4 | uses: a[0, 1, 2] out",
    ),
    "amax": (
        lambda m: (m.a * 1).amax(1),
        (),
        {"a": (3, 4, 5)},
        "a: a3 b4~m.amax c5 | -> a3 c5 | uses: a[0, 1, 2] out",
    ),
    "max dim": (
        lambda m: (m.a * 1).max(1),
        (),
        {"a": (3, 4, 5)},
        "a: a3 b4~m.max c5 | -> a3 c5 | -> a3 c5 | uses: a[0, 1, 2] out",
    ),
    "max pair": (
        lambda m: torch.max(m.a * 1, m.b),
        (),
        {"a": (3, 4), "b": (4,)},
        "a: a3 b4 | b: b4 | -> a3 b4 | uses: a[0, 1] out, b[0] out",
    ),
    "max all": (
        lambda m: torch.max(m.a * 1),
        (),
        {"a": (3, 4)},
        "a: a3~m.max b4~m.max | ->  | uses: a[0, 1] out",
    ),
    "var": (lambda m: (m.a * 1).var(1), (), {"a": (3, 4)}, "a: a3 b4~m.var | -> a3 | uses: a[0, 1] out"),
    "varunb": (
        lambda m: torch.ops.aten.var.default(m.a * 1, False),
        (),
        {"a": (3, 4)},
        "a: a3~m.var b4~m.var | ->  | uses: a[0, 1] out",
    ),
    "var_mean": (
        lambda m: torch.var_mean(m.a * 1, 1, keepdim=True),
        (),
        {"a": (3, 4)},
        "a: a3 b4~m.var_mean | -> a3 1(is a statistic) | -> a3 1(is a statistic) | uses: a[0, 1] out",
    ),
    "var.correction kw": (
        lambda m: torch.ops.aten.var.correction(m.a * 1, correction=1),
        (),
        {"a": (3, 4)},
        "a: a3~m.var b4~m.var | ->  | uses: a[0, 1] out",
    ),
    "argmax": (
        lambda m: torch.argmax(m.a * 1, 1),
        (),
        {"a": (3, 4)},
        "a: a3 b4~m.argmax | -> a3 | uses: a[0, 1] out",
    ),
    "logsumexp": (
        lambda m: torch.logsumexp(m.a * 1, 0),
        (),
        {"a": (3, 4)},
        "a: a3~m.logsumexp b4 | -> b4 | uses: a[0, 1] out",
    ),
    "norm": (
        lambda m: torch.linalg.vector_norm(m.a * 1, 2, 1),
        (),
        {"a": (3, 4)},
        "a: a3 b4~m.linalg_vector_norm | -> a3 | uses: a[0, 1] out",
    ),
    "norm all": (
        lambda m: torch.linalg.vector_norm(m.a * 1),
        (),
        {"a": (3, 4)},
        "a: a3~m.linalg_vector_norm b4~m.linalg_vector_norm | ->  | uses: a[0, 1] out",
    ),
    "norm kw": (
        lambda m: torch.ops.aten.linalg_vector_norm(m.a * 1, dim=[1]),
        (),
        {"a": (3, 4)},
        "a: a3 b4~m.linalg_vector_norm | -> a3 | uses: a[0, 1] out",
    ),
    "any": (lambda m: (m.a > 0).any(0), (), {"a": (3, 4)}, "a: a3~m.any b4 | -> b4 | uses: a[0, 1] out"),
    "prod": (lambda m: (m.a * 1).prod(1), (), {"a": (3, 4)}, "a: a3 b4~m.prod | -> a3 | uses: a[0, 1] out"),
    "zero": (lambda m: (m.a * 1).sum(), (), {"a": ()}, "a:  | -> "),
    "empty dims": (
        lambda m: (m.a * 1).sum([]),
        (),
        {"a": (3, 4)},
        "a: a3~m.sum b4~m.sum | ->  | uses: a[0, 1] out",
    ),
    "sum middle": (
        lambda m: (m.a * 1).sum(1),
        (),
        {"a": (5, 4, 3)},
        "a: a5 b4~m.sum c3 | -> a5 c3 | uses: a[0, 1, 2] out",
    ),
    "sum middle kept": (
        lambda m: (m.a * 1).sum(1, keepdim=True),
        (),
        {"a": (5, 4, 3)},
        "a: a5 b4~m.sum c3 | -> a5 1(is a statistic) c3 | uses: a[0, 1, 2] out",
    ),
}
"""Formula, inputs, shapes of the weights; what is seen."""


@pytest.mark.parametrize("case", cases)
def test_a_dim_that_goes_has_a_statistic_along_it(case):
    formula, inputs, shapes, expected = cases[case]
    assert see(formula, *inputs, **shapes) == expected
