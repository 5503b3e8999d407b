"""Indices that tensors name."""

import pytest
import torch
from torch.nn import functional as F

from tests.evolve.coupling.seen import see

T = torch.tensor


def put(m, *places):
    y = m.y * 1
    y[places] = m.v
    return y


cases = {
    "embedding": (
        lambda m: F.embedding(T([[0, 1, 2]]), m.a),
        (),
        {"a": (5, 4)},
        (
            "a: a5(is a vocabulary) b4 | -> 1(is made within the model) 3(is made within the model) "
            "b4 | uses: a[0, 1] out"
        ),
    ),
    "bag": (
        lambda m: F.embedding_bag(T([0, 1, 2]), m.a, T([0, 2])),
        (),
        {"a": (5, 4)},
        "a: a5(is a vocabulary) b4 | -> 2(is a number of bags) b4 | uses: a[0, 1] out",
    ),
    "index_select": (
        lambda m: (m.a * 1).index_select(1, T([0, 2])),
        (),
        {"a": (5, 4)},
        "a: a5 b4(m picks indices of it) | -> a5 2(m picks indices of it) | uses: a[0, 1] out",
    ),
    "index_select0": (
        lambda m: (m.a * 1).index_select(-1, T([1, 2])),
        (),
        {"a": (5, 4)},
        "a: a5 b1(has one index only)+c2+d1(has one index only) | -> a5 c2 | uses: a[0, 1] out",
    ),
    "index_select0d": (lambda m: (m.a * 1).index_select(0, T([0])), (), {"a": ()}, "a:  | -> "),
    "index": (
        lambda m: m.a[T([0, 2])],
        (),
        {"a": (5, 4)},
        "a: a5(m picks indices of it) b4 | -> 2(m picks indices of it) b4 = a[None, 1]",
    ),
    "index piece": (
        lambda m: m.a[T([1, 2])],
        (),
        {"a": (5, 4)},
        "a: a1(has one index only)+b2+c2 d4 | -> b2 d4 = a[None, 1]",
    ),
    "index last": (
        lambda m: (m.a * 1)[:, T([-1])],
        (),
        {"a": (5, 4)},
        "a: a5 b3+c1(has one index only) | -> a5 c1(has one index only) | uses: a[0, 1] out",
    ),
    "index first4": (
        lambda m: (m.a * 1)[:, T([0, 1, 2, 3])],
        (),
        {"a": (5, 9)},
        "a: a5 b4+c5 | -> a5 b4 | uses: a[0, 1] out",
    ),
    "index first5": (
        lambda m: (m.a * 1)[:, T([0, 1, 2, 3, 4])],
        (),
        {"a": (5, 9)},
        "a: a5 b9(m picks indices of it) | -> a5 5(m picks indices of it) | uses: a[0, 1] out",
    ),
    "index all": (
        lambda m: (m.a * 1)[:, T([0, 1, 2, 3])],
        (),
        {"a": (5, 4)},
        "a: a5 b4(m picks indices of it) | -> a5 4(m picks indices of it) | uses: a[0, 1] out",
    ),
    "index 2d": (
        lambda m: (m.a * 1)[:, T([[0, 1], [2, 3]])],
        (),
        {"a": (5, 9, 3)},
        (
            "a: a5 b9(m picks indices of it) c3 | -> a5 2(m picks indices of it) 2(m picks indices "
            "of it) c3 | uses: a[0, 1, 2] out"
        ),
    ),
    "index two": (
        lambda m: (m.a * 1)[:, T([0, 1]), T([2, 1])],
        (),
        {"a": (5, 9, 3, 2)},
        (
            "a: a5 b9(m picks indices of it) c3(m picks indices of it) d2 | -> a5 2(m picks indices "
            "of it) d2 | uses: a[0, 1, 2, 3] out"
        ),
    ),
    "index apart": (
        lambda m: (m.a * 1)[T([0, 1]), :, T([2, 1])],
        (),
        {"a": (5, 9, 3)},
        (
            "a: a5(m picks indices of it) b9(m picks indices of it) c3(m picks indices of it) | -> "
            "2(m picks indices of it) 9(m picks indices of it) | uses: a[0, 1, 2] out"
        ),
    ),
    "index bool": (
        lambda m: (m.a * 1)[:, T([True, False, True])],
        (),
        {"a": (5, 3)},
        (
            "a: a5(m picks indices of it) b3(m picks indices of it) | -> 5(m picks indices of it) "
            "2(m picks indices of it) | uses: a[0, 1] out"
        ),
    ),
    "index int32": (
        lambda m: torch.ops.aten.index(m.a * 1, [T([1, 2], dtype=torch.int32)]),
        (),
        {"a": (5, 3)},
        "a: a5(m picks indices of it) b3 | -> 2(m picks indices of it) b3 | uses: a[0, 1] out",
    ),
    "index weight 2": (
        lambda m: m.a[:, T([[0, 3], [2, 3]])],
        (),
        {"a": (5, 9, 3)},
        (
            "a: a5 b9(m picks indices of it) c3 | -> a5 2(m picks indices of it) 2(m picks indices "
            "of it) c3 = a[0, None, None, 2]"
        ),
    ),
    "put": (
        lambda m: put(m, T([0, 2])),
        (),
        {"y": (5, 4), "v": (2, 4)},
        (
            "y: a5(m picks indices of it) b4 | v: c2(m picks indices of it) b4 | -> a5(m picks "
            "indices of it) b4 | uses: y[0, 1] out, v[0, 1] out"
        ),
    ),
    "put col": (
        lambda m: put(m, slice(None), T([0, 2])),
        (),
        {"y": (5, 4), "v": (5, 2)},
        (
            "y: a5(m picks indices of it) b4(m picks indices of it) | v: c5(m picks indices of it) "
            "d2(m picks indices of it) | -> a5(m picks indices of it) b4(m picks indices of it) | "
            "uses: y[0, 1] out, v[0, 1] out"
        ),
    ),
    "put bool": (
        lambda m: put(m, T([True, False, True, False, False])),
        (),
        {"y": (5, 4), "v": (2, 4)},
        (
            "y: a5(m picks indices of it) b4(m picks indices of it) | v: c2(m picks indices of it) "
            "b4(m picks indices of it) | -> a5(m picks indices of it) b4(m picks indices of it) | "
            "uses: y[0, 1] out, v[0, 1] out"
        ),
    ),
    "put two": (
        lambda m: put(m, T([0, 1]), T([0, 2])),
        (),
        {"y": (5, 4, 3), "v": (2, 3)},
        (
            "y: a5(m picks indices of it) b4(m picks indices of it) c3 | v: d2(m picks indices of "
            "it) c3 | -> a5(m picks indices of it) b4(m picks indices of it) c3 | uses: y[0, 1, 2] "
            "out, v[0, 1] out"
        ),
    ),
    "put one": (
        lambda m: put(m, T([0, 2])),
        (),
        {"y": (5, 4), "v": (2, 1)},
        (
            "y: a5(m picks indices of it) b4 | v: c2(m picks indices of it) d1(has one index only) | "
            "-> a5(m picks indices of it) b4 | uses: y[0, 1] out, v[0, 1] out"
        ),
    ),
    "put apart": (
        lambda m: put(m, T([0, 2]), slice(None), T([0, 1])),
        (),
        {"y": (5, 4, 3), "v": (2, 4)},
        (
            "y: a5(m picks indices of it) b4(m picks indices of it) c3(m picks indices of it) | v: "
            "d2(m picks indices of it) e4(m picks indices of it) | -> a5(m picks indices of it) b4(m "
            "picks indices of it) c3(m picks indices of it) | uses: y[0, 1, 2] out, v[0, 1] out"
        ),
    ),
    "gather": (
        lambda m: torch.gather(m.a * 1, 1, T([[0, 1], [1, 2], [0, 0]])),
        (),
        {"a": (3, 4)},
        (
            "a: a3(is made within the model) b4(m picks indices of it) | -> a3(is made within the "
            "model) 2(is made within the model) | uses: a[0, 1] out"
        ),
    ),
    "gather short": (
        lambda m: torch.gather(m.a * 1, -1, T([[0, 1], [1, 2]])),
        (),
        {"a": (3, 4)},
        (
            "a: a3(m picks indices of it) b4(m picks indices of it) | -> 2(is made within the model) "
            "2(is made within the model) | uses: a[0, 1] out"
        ),
    ),
    "gather0": (lambda m: torch.gather(m.a * 1, 0, T(0)), (), {"a": ()}, "a:  | -> "),
    "gather lab": (
        lambda m: torch.gather(m.a * 1, 1, (m.b * 0).long()),
        (),
        {"a": (3, 4), "b": (3, 2)},
        "a: a3 b4(m picks indices of it) | b: a3 c2 | -> a3 c2 | uses: a[0, 1] out, b[0, 1] out",
    ),
    "scatter": (
        lambda m: torch.scatter(m.a * 1, 1, T([[0, 1], [1, 2], [0, 0]]), m.b),
        (),
        {"a": (3, 4), "b": (3, 2)},
        (
            "a: a3(is made within the model) b4(m picks indices of it) | b: a3(is made within the "
            "model) c2(m picks indices of it) | -> a3(is made within the model) b4(m picks indices "
            "of it) | uses: a[0, 1] out, b[0, 1] out"
        ),
    ),
    "scatter val": (
        lambda m: torch.scatter(m.a * 1, -1, (m.b * 0).long(), 1.0),
        (),
        {"a": (3, 4), "b": (3, 2)},
        (
            "a: a3 b4(m picks indices of it) | b: a3 c2(m picks indices of it) | -> a3 b4(m picks "
            "indices of it) | uses: a[0, 1] out, b[0, 1] out"
        ),
    ),
    "scatter short": (
        lambda m: torch.scatter(m.a * 1, 1, T([[0, 1], [1, 2]]), m.b),
        (),
        {"a": (3, 4), "b": (2, 2)},
        (
            "a: a3(m picks indices of it) b4(m picks indices of it) | b: c2(m picks indices of it) "
            "d2(m picks indices of it) | -> a3(m picks indices of it) b4(m picks indices of it) | "
            "uses: a[0, 1] out, b[0, 1] out"
        ),
    ),
    "scatter0": (lambda m: torch.scatter(m.a * 1, 0, T(0), m.b), (), {"a": (), "b": ()}, "a:  | b:  | -> "),
    "index_add": (
        lambda m: torch.index_add(m.a * 1, -1, T([0, 1]), m.b),
        (),
        {"a": (3, 4), "b": (3, 2)},
        (
            "a: a3 b4(m picks indices of it) | b: a3 c2(m picks indices of it) | -> a3 b4(m picks "
            "indices of it) | uses: a[0, 1] out, b[0, 1] out"
        ),
    ),
    "index_add0": (
        lambda m: torch.index_add(m.a * 1, 0, T([0, 1]), m.b),
        (),
        {"a": (3, 4), "b": (2, 4)},
        (
            "a: a3(m picks indices of it) b4 | b: c2(m picks indices of it) b4 | -> a3(m picks "
            "indices of it) b4 | uses: a[0, 1] out, b[0, 1] out"
        ),
    ),
    "topk": (
        lambda m: (m.a * 1).topk(2),
        (),
        {"a": (3, 4)},
        "a: a3 b4(m sorts it) | -> a3 2(m sorts it) | -> a3 2(m sorts it) | uses: a[0, 1] out",
    ),
    "topk0": (
        lambda m: (m.a * 1).topk(2, 0),
        (),
        {"a": (3, 4)},
        "a: a3(m sorts it) b4 | -> 2(m sorts it) b4 | -> 2(m sorts it) b4 | uses: a[0, 1] out",
    ),
    "sort": (
        lambda m: (m.a * 1).sort(0),
        (),
        {"a": (3, 4)},
        "a: a3(m sorts it) b4 | -> 3(m sorts it) b4 | -> 3(m sorts it) b4 | uses: a[0, 1] out",
    ),
    "sort-1": (
        lambda m: (m.a * 1).sort(),
        (),
        {"a": (3, 4)},
        "a: a3 b4(m sorts it) | -> a3 4(m sorts it) | -> a3 4(m sorts it) | uses: a[0, 1] out",
    ),
    "argsort": (
        lambda m: (m.a * 1).argsort(0),
        (),
        {"a": (3, 4)},
        "a: a3(m sorts it) b4 | -> 3(m sorts it) b4 | uses: a[0, 1] out",
    ),
    "kth": (
        lambda m: (m.a * 1).kthvalue(2, 0),
        (),
        {"a": (3, 4)},
        "a: a3(m sorts it) b4(m sorts it) | -> 4(m sorts it) | -> 4(m sorts it) | uses: a[0, 1] out",
    ),
    "kthkeep": (
        lambda m: (m.a * 1).kthvalue(2, 0, True),
        (),
        {"a": (3, 4)},
        "a: a3(m sorts it) b4 | -> 1(m sorts it) b4 | -> 1(m sorts it) b4 | uses: a[0, 1] out",
    ),
    "sort0d": (lambda m: (m.a * 1).sort(), (), {"a": ()}, "a:  | ->  | -> "),
    "index_add scalar": (
        lambda m: torch.index_add(m.a * 1, 0, T([0]), m.b * 1),
        (),
        {"a": (), "b": ()},
        "a:  | b:  | -> ",
    ),
    "index_copy of one": (
        lambda m: torch.index_copy(m.a * 1, 0, T(0), m.b * 1),
        (),
        {"a": (3,), "b": ()},
        "a: a3(m picks indices of it) | b:  | -> a3(m picks indices of it) | uses: a[0] out",
    ),
    "gather scalar by several": (
        lambda m: torch.gather(m.a * 1, 0, T([0, 0])),
        (),
        {"a": ()},
        "a:  | -> 2(m picks indices of it)",
    ),
    "put scalar": (
        lambda m: (m.a * 1).index_put((T(1),), m.b),
        (),
        {"a": (3,), "b": ()},
        "a: a3(m picks indices of it) | b:  | -> a3(m picks indices of it) | uses: a[0] out",
    ),
    "index bool of weight": (
        lambda m: m.a[T([True, False, True])],
        (),
        {"a": (3,)},
        "a: a3(m picks indices of it) | -> 2(m picks indices of it) | uses: a[0] out",
    ),
    "index piece middle": (
        lambda m: m.a[:, T([1, 2])],
        (),
        {"a": (5, 4, 3)},
        "a: a5 b1(has one index only)+c2+d1(has one index only) e3 | -> a5 c2 e3 = a[0, None, 2]",
    ),
    "gather middle": (
        lambda m: torch.gather(m.a * 1, 1, (m.b * 0).long()),
        (),
        {"a": (5, 4, 3), "b": (5, 2, 3)},
        (
            "a: a5 b4(m picks indices of it) c3 | b: a5 d2 c3 | -> a5 d2 c3 | uses: a[0, 1, 2] out, "
            "b[0, 1, 2] out"
        ),
    ),
    "sort middle": (
        lambda m: (m.a * 1).sort(1),
        (),
        {"a": (5, 4, 3)},
        ("a: a5 b4(m sorts it) c3 | -> a5 4(m sorts it) c3 | -> a5 4(m sorts it) c3 | uses: a[0, 1, 2] out"),
    ),
    "index_add middle": (
        lambda m: torch.index_add(m.a * 1, 1, T([0, 1]), m.b),
        (),
        {"a": (5, 4, 3), "b": (5, 2, 3)},
        (
            "a: a5 b4(m picks indices of it) c3 | b: a5 d2(m picks indices of it) c3 | -> a5 b4(m "
            "picks indices of it) c3 | uses: a[0, 1, 2] out, b[0, 1, 2] out"
        ),
    ),
    "put middle": (
        lambda m: put(m, slice(None), T([0, 2])),
        (),
        {"y": (5, 4, 3), "v": (5, 2, 3)},
        (
            "y: a5(m picks indices of it) b4(m picks indices of it) c3(m picks indices of it) | v: "
            "d5(m picks indices of it) e2(m picks indices of it) c3(m picks indices of it) | -> a5(m "
            "picks indices of it) b4(m picks indices of it) c3(m picks indices of it) | uses: y[0, "
            "1, 2] out, v[0, 1, 2] out"
        ),
    ),
    "scatter scalar by one": (
        lambda m: torch.scatter(m.a * 1, 0, T([0]), m.b),
        (),
        {"a": (), "b": (1,)},
        "a:  | b: a1(has one index only) | ->  | uses: b[0] out",
    ),
}
"""Formula, inputs, shapes of the weights; what is seen."""


@pytest.mark.parametrize("case", cases)
def test_dims_along_which_indices_are_named_are_fixed(case):
    formula, inputs, shapes, expected = cases[case]
    assert see(formula, *inputs, **shapes) == expected
