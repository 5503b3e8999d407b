"""Other looks at the same elements."""

import pytest
import torch

from tests.evolve.coupling.seen import see

cases = {
    "detach": (lambda m: m.a.detach(), (), {"a": (3, 4)}, "a: a3 b4 | -> a3 b4 = a[0, 1]"),
    "t": (lambda m: m.a.t(), (), {"a": (3, 4)}, "a: a3 b4 | -> b4 a3 = a[1, 0]"),
    "transpose": (
        lambda m: m.a.transpose(0, -1),
        (),
        {"a": (3, 4, 5)},
        "a: a3 b4 c5 | -> c5 b4 a3 = a[2, 1, 0]",
    ),
    "t1": (lambda m: (m.a * 1).t(), (), {"a": (3,)}, "a: a3 | -> a3 | uses: a[0] out"),
    "permute": (
        lambda m: m.a.permute(2, 0, -2),
        (),
        {"a": (3, 4, 5)},
        "a: a3 b4 c5 | -> c5 a3 b4 = a[2, 0, 1]",
    ),
    "permuteact": (
        lambda m: (m.a * 1).permute(2, 0, 1),
        (),
        {"a": (3, 4, 5)},
        "a: a3 b4 c5 | -> c5 a3 b4 | uses: a[0, 1, 2] out",
    ),
    "unsqueeze": (
        lambda m: m.a.unsqueeze(-1),
        (),
        {"a": (3, 4)},
        "a: a3 b4 | -> a3 b4 1(has one index only) = a[0, 1, None]",
    ),
    "unsqueeze1": (
        lambda m: m.a.unsqueeze(1),
        (),
        {"a": (3, 4)},
        "a: a3 b4 | -> a3 1(has one index only) b4 = a[0, None, 1]",
    ),
    "squeeze": (
        lambda m: m.a.squeeze(),
        (),
        {"a": (3, 1, 4, 1)},
        "a: a3 b1(has one index only) c4 d1(has one index only) | -> a3 c4 = a[0, 2]",
    ),
    "squeeze1": (
        lambda m: m.a.squeeze(1),
        (),
        {"a": (3, 1, 4, 1)},
        (
            "a: a3 b1(has one index only) c4 d1(has one index only) | -> a3 c4 d1(has one index "
            "only) = a[0, 2, 3]"
        ),
    ),
    "squeeze-1": (
        lambda m: m.a.squeeze(-1),
        (),
        {"a": (3, 1, 4, 1)},
        (
            "a: a3 b1(has one index only) c4 d1(has one index only) | -> a3 b1(has one index only) "
            "c4 = a[0, 1, 2]"
        ),
    ),
    "squeeze2": (
        lambda m: m.a.squeeze((0, 1)),
        (),
        {"a": (3, 1, 4, 1)},
        (
            "a: a3 b1(has one index only) c4 d1(has one index only) | -> a3 c4 d1(has one index "
            "only) = a[0, 2, 3]"
        ),
    ),
    "squeeze0d": (lambda m: m.a.squeeze(0), (), {"a": ()}, "a:  | ->  = a[]"),
    "expand": (
        lambda m: m.a.expand(5, 3, 4),
        (),
        {"a": (3, 1)},
        "a: a3 b1(has one index only) | -> 5 a3 4 = a[None, 0, None]",
    ),
    "expand1": (
        lambda m: m.a.expand(1, 3, 1),
        (),
        {"a": (3, 1)},
        ("a: a3 b1(has one index only) | -> 1(has one index only) a3 b1(has one index only) = a[None, 0, 1]"),
    ),
    "viewheads": (lambda m: m.a.view(2, 3, 5), (), {"a": (6, 5)}, "a: a2*b3 c5 | -> a2 b3 c5 = a[0, 0, 1]"),
    "viewflat": (lambda m: m.a.view(30), (), {"a": (6, 5)}, "a: a6 b5 | -> a6*b5 = a[None]"),
    "viewact": (lambda m: (m.a * 1).view(30), (), {"a": (6, 5)}, "a: a6 b5 | -> a6*b5 | uses: a[0, 1] out"),
    "view mix": (lambda m: m.a.view(3, 10), (), {"a": (6, 5)}, "a: a3*b2 c5 | -> a3 b2*c5 = a[0, None]"),
    "view refuse": (
        lambda m: m.a.view(10, 3),
        (),
        {"a": (6, 5)},
        (
            "a: a6(m looks at (6, 5) as (10, 3)) b5(m looks at (6, 5) as (10, 3)) | -> 10(m looks at "
            "(6, 5) as (10, 3)) 3(m looks at (6, 5) as (10, 3)) | uses: a[0, 1] out"
        ),
    ),
    "view refuse act": (
        lambda m: (m.a * 1).view(4, 15),
        (),
        {"a": (6, 10)},
        (
            "a: a6(m looks at (6, 10) as (4, 15)) b10(m looks at (6, 10) as (4, 15)) | -> 4(m looks "
            "at (6, 10) as (4, 15)) 15(m looks at (6, 10) as (4, 15)) | uses: a[0, 1] out"
        ),
    ),
    "view ones": (
        lambda m: m.a.view(1, 6, 1, 5, 1),
        (),
        {"a": (6, 5)},
        (
            "a: a6 b5 | -> 1(has one index only) a6 1(has one index only) b5 1(has one index only) = "
            "a[None, 0, None, 1, None]"
        ),
    ),
    "view empty": (
        lambda m: m.a.view(0, 3),
        (),
        {"a": (0, 5)},
        (
            "a: a0(m looks at (0, 5) as (0, 3)) b5(m looks at (0, 5) as (0, 3)) | -> 0(m looks at "
            "(0, 5) as (0, 3)) 3(m looks at (0, 5) as (0, 3)) | uses: a[0, 1] out"
        ),
    ),
    "view split twice": (
        lambda m: m.a.view(2, 6).view(2, 2, 3),
        (),
        {"a": (12,)},
        "a: a2*[b2*c3] | -> a2 b2 c3 = a[0, 0, 0]",
    ),
    "view t": (
        lambda m: m.a.t().reshape(2, 3, 5),
        (),
        {"a": (5, 6)},
        "a: a5 b2*c3 | -> b2 c3 a5 = a[1, 1, 0]",
    ),
    "reshape copy": (lambda m: m.a.t().reshape(30), (), {"a": (5, 6)}, "a: a5 b6 | -> b6*a5 = a[None]"),
    "view sum": (
        lambda m: torch.cat([m.a, m.b]).view(2, 3),
        (),
        {"a": (3,), "b": (3,)},
        "a: a3 | b: a3 | -> 2(is a number of parts) a3 | uses: a[0] out, b[0] out",
    ),
    "view sum2": (
        lambda m: torch.cat([m.a, m.b]).view(3, 2),
        (),
        {"a": (2,), "b": (4,)},
        (
            "a: a2(m looks at (6,) as (3, 2)) | b: b4(m looks at (6,) as (3, 2)) | -> 3(m looks at "
            "(6,) as (3, 2)) 2(m looks at (6,) as (3, 2)) | uses: a[0] out, b[0] out"
        ),
    ),
    "expand scalar": (lambda m: m.a.expand(3), (), {"a": ()}, "a:  | -> 3 = a[None]"),
    "view unmade": (
        lambda m: torch.cat([m.a, m.b, m.c]).view(3, 2),
        (),
        {"a": (2,), "b": (2,), "c": (2,)},
        "a: a2 | b: a2 | c: a2 | -> 3(is a number of parts) a2 | uses: a[0] out, b[0] out, c[0] out",
    ),
}
"""Formula, inputs, shapes of the weights; what is seen."""


@pytest.mark.parametrize("case", cases)
def test_a_view_knows_its_weight_and_its_factors(case):
    formula, inputs, shapes, expected = cases[case]
    assert see(formula, *inputs, **shapes) == expected
