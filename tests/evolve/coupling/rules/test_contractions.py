"""Products that sum over a dim: over which, and what is left."""

import pytest
import torch
from torch.nn import functional as F

from outgrow.evolve.coupling.rules import follow
from outgrow.evolve.coupling.trace import Trace
from tests.evolve.coupling.seen import Formula, see, seen

A = torch.ops.aten


def masked_attention(m):
    q, k, v = m.q * 1, m.k * 1, m.v * 1
    return A._scaled_dot_product_flash_attention_for_cpu(q, k, v, attn_mask=m.mask.detach())[0]


cases = {
    "mm": (
        lambda m, x: x @ m.a,
        (torch.ones(2, 4),),
        {"a": (4, 6)},
        "a: a4(comes from the inputs) b6 | -> 2(comes from the inputs) b6 | uses: a[0] in, a[1] out",
    ),
    "mm.act": (
        lambda m: (m.a * 1) @ (m.b * 1),
        (),
        {"a": (3, 4), "b": (4, 6)},
        (
            "a: a3 b4(m multiplies two activations over it) | b: b4(m multiplies two activations "
            "over it) c6 | -> a3 c6 | uses: a[0, 1] out, b[0, 1] out"
        ),
    ),
    "mm.weights": (
        lambda m: m.a @ m.b,
        (),
        {"a": (3, 4), "b": (4, 6)},
        (
            "a: a3 b4(m multiplies two weights over it) | b: b4(m multiplies two weights over it) c6 "
            "| -> a3 c6 | uses: a[1] in, b[0] in, a[0] out, b[1] out"
        ),
    ),
    "addmm": (
        lambda m, x: torch.addmm(m.b, x, m.a),
        (torch.ones(2, 4),),
        {"a": (4, 6), "b": (6,)},
        (
            "a: a4(comes from the inputs) b6 | b: b6 | -> 2(comes from the inputs) b6 | uses: a[0] "
            "in, a[1] out, b[0] out"
        ),
    ),
    "addmm2": (
        lambda m, x: torch.addmm(m.b, x, m.a),
        (torch.ones(2, 4),),
        {"a": (4, 6), "b": (1, 6)},
        (
            "a: a4(comes from the inputs) b6 | b: c1(has one index only) b6 | -> 2(comes from the "
            "inputs) b6 | uses: a[0] in, a[1] out, b[0, 1] out"
        ),
    ),
    "addmm3": (
        lambda m, x: torch.addmm(m.b, x, m.a),
        (torch.ones(2, 4),),
        {"a": (4, 6), "b": (2, 1)},
        (
            "a: a4(comes from the inputs) b6 | b: c2(comes from the inputs) d1(has one index only) | "
            "-> c2(comes from the inputs) b6 | uses: a[0] in, a[1] out, b[0, 1] out"
        ),
    ),
    "bmm": (
        lambda m: torch.bmm(m.a * 1, m.b),
        (),
        {"a": (2, 3, 4), "b": (2, 4, 6)},
        "a: a2 b3 c4 | b: a2 c4 d6 | -> a2 b3 d6 | uses: a[0, 1, 2] out, b[1] in, b[0, 2] out",
    ),
    "baddbmm": (
        lambda m: torch.baddbmm(m.c, m.a * 1, m.b),
        (),
        {"a": (2, 3, 4), "b": (2, 4, 6), "c": (2, 3, 6)},
        (
            "a: a2 b3 c4 | b: a2 c4 d6 | c: a2 b3 d6 | -> a2 b3 d6 | uses: a[0, 1, 2] out, b[1] in, "
            "b[0, 2] out, c[0, 1, 2] out"
        ),
    ),
    "mv": (
        lambda m, x: torch.mv(m.a, x),
        (torch.ones(4),),
        {"a": (6, 4)},
        "a: a6 b4(comes from the inputs) | -> a6 | uses: a[1] in, a[0] out",
    ),
    "addmv": (
        lambda m, x: torch.addmv(m.b, m.a, x),
        (torch.ones(4),),
        {"a": (6, 4), "b": (6,)},
        "a: a6 b4(comes from the inputs) | b: a6 | -> a6 | uses: a[1] in, a[0] out, b[0] out",
    ),
    "dot": (
        lambda m: torch.dot(m.a * 1, m.b),
        (),
        {"a": (4,), "b": (4,)},
        "a: a4 | b: a4 | ->  | uses: a[0] out, b[0] in",
    ),
    "grouped_mm": (
        lambda m, x: torch._grouped_mm(x, m.a, offs=torch.tensor([1, 3], dtype=torch.int32)),
        (torch.ones(3, 4),),
        {"a": (2, 4, 8)},
        ("a: a2 b4(comes from the inputs) c8 | -> 3(comes from the inputs) c8 | uses: a[1] in, a[0, 2] out"),
    ),
    "grouped_mm3": (
        lambda m: torch._grouped_mm(m.b * 1, m.a),
        (),
        {"b": (2, 3, 4), "a": (2, 4, 8)},
        (
            "b: a2(m multiplies groups of it) b3(m multiplies groups of it) c4(m multiplies groups "
            "of it) | a: d2(m multiplies groups of it) e4(m multiplies groups of it) f8(m multiplies "
            "groups of it) | -> 2(m multiplies groups of it) 3(m multiplies groups of it) 8(m "
            "multiplies groups of it) | uses: b[0, 1, 2] out"
        ),
    ),
    "conv": (
        lambda m, x: F.conv2d(x, m.a, m.b),
        (torch.ones(2, 3, 5, 5),),
        {"a": (6, 3, 2, 2), "b": (6,)},
        (
            "a: a6 b3(comes from the inputs) c2(is the size of a kernel) d2(is the size of a kernel) "
            "| b: a6 | -> 2(comes from the inputs) a6 4(is a place of the inputs) 4(is a place of "
            "the inputs) | uses: a[1] in, a[0] out, b[0] out"
        ),
    ),
    "convT": (
        lambda m, x: F.conv_transpose1d(x, m.a),
        (torch.ones(2, 3, 5),),
        {"a": (3, 6, 2)},
        (
            "a: a3(comes from the inputs) b6 c2(is the size of a kernel) | -> 2(comes from the "
            "inputs) b6 6(is a place of the inputs) | uses: a[0] in, a[1] out"
        ),
    ),
    "conv.groups": (
        lambda m: F.conv1d(m.x * 1, m.a, m.b, groups=2),
        (),
        {"x": (2, 4, 5), "a": (6, 2, 3), "b": (6,)},
        (
            "x: a2 b2*c2 d5(is a place of the inputs) | a: b2*e3 c2 f3(is the size of a kernel) | b: "
            "b2*e3 | -> a2 b2*e3 3(is a place of the inputs) | uses: x[0, 1, 2] out, a[0: b2] out, "
            "a[1] in, a[0: e3] out, b[0] out | counts: m.groups b2"
        ),
    ),
    "convT.groups": (
        lambda m: F.conv_transpose1d(m.x * 1, m.a, groups=2),
        (),
        {"x": (2, 4, 5), "a": (4, 3, 3)},
        (
            "x: a2 b2*c2 d5(is a place of the inputs) | a: b2*c2 e3 f3(is the size of a kernel) | -> "
            "a2 b2*e3 7(is a place of the inputs) | uses: x[0, 1, 2] out, a[0: b2] out, a[0: c2] in, "
            "a[1] out | counts: m.groups b2"
        ),
    ),
    "conv.depthwise": (
        lambda m: F.conv1d(m.x * 1, m.a, groups=4),
        (),
        {"x": (2, 4, 5), "a": (4, 1, 3)},
        (
            "x: a2 b4 c5(is a place of the inputs) | a: b4 d1(has one index only) e3(is the size of "
            "a kernel) | -> a2 b4 3(is a place of the inputs) | uses: x[0, 1, 2] out, a[0, 0: 1(has "
            "one index only)] out | counts: m.groups b4"
        ),
    ),
    "conv.depthwise2": (
        lambda m: F.conv1d(m.x * 1, m.a, groups=4),
        (),
        {"x": (2, 4, 5), "a": (8, 1, 3)},
        (
            "x: a2 b4 c5(is a place of the inputs) | a: b4*d2 e1(has one index only) f3(is the size "
            "of a kernel) | -> a2 b4*d2 3(is a place of the inputs) | uses: x[0, 1, 2] out, a[0: b4, "
            "0: d2] out | counts: m.groups b4"
        ),
    ),
    "conv.computed": (
        lambda m: F.conv1d(m.x * 1, m.a * 1, groups=2),
        (),
        {"x": (2, 4, 5), "a": (6, 2, 3)},
        (
            "x: a2 b2*c2(m multiplies two activations over it) d5(is a place of the inputs) | a: "
            "b2*e3 c2(m multiplies two activations over it) f3(is the size of a kernel) | -> a2 "
            "b2*e3 3(is a place of the inputs) | uses: x[0, 1, 2] out, a[0, 1, 2] out | counts: "
            "m.groups b2"
        ),
    ),
    "sdpa": (
        lambda m: F.scaled_dot_product_attention(m.q * 1, m.k * 1, m.v * 1),
        (),
        {"q": (2, 4, 3, 8), "k": (2, 4, 5, 8), "v": (2, 4, 5, 8)},
        (
            "q: a2 b4 c3(is a place of the sequence) d8(m multiplies two activations over it) | k: "
            "a2 b4 e5(is a place of the sequence) f8(m multiplies two activations over it) | v: a2 "
            "b4 g5(is a place of the sequence) h8(m multiplies two activations over it) | -> a2 b4 "
            "c3(is a place of the sequence) h8(m multiplies two activations over it) | uses: q[0, 1, "
            "2, 3] out, k[0, 1, 2, 3] out, v[0, 1, 2, 3] out"
        ),
    ),
    "sdpa.mask": (
        lambda m: F.scaled_dot_product_attention(m.q * 1, m.k * 1, m.v * 1, attn_mask=m.mask),
        (),
        {"q": (2, 4, 3, 8), "k": (2, 4, 5, 8), "v": (2, 4, 5, 8), "mask": (2, 4, 3, 5)},
        (
            "q: a2 b4 c3 d8(m multiplies two activations over it) | k: a2 b4 e5(m multiplies two "
            "activations over it)~m._safe_softmax d8(m multiplies two activations over it) | v: a2 "
            "b4 e5(m multiplies two activations over it)~m._safe_softmax f8 | mask: a2 b4 c3 e5(m "
            "multiplies two activations over it)~m._safe_softmax | -> a2 b4 c3 f8 | uses: q[0, 1, 2, "
            "3] out, k[0, 1, 2, 3] out, v[0, 1, 2, 3] out, mask[0, 1, 2, 3] out"
        ),
    ),
    "sdpa.mask1": (
        lambda m: F.scaled_dot_product_attention(m.q * 1, m.k * 1, m.v * 1, attn_mask=m.mask),
        (),
        {"q": (2, 4, 3, 8), "k": (2, 4, 5, 8), "v": (2, 4, 5, 8), "mask": (4, 3, 5)},
        (
            "q: a2 b4 c3 d8(m multiplies two activations over it) | k: a2 b4 e5(m multiplies two "
            "activations over it)~m._safe_softmax d8(m multiplies two activations over it) | v: a2 "
            "b4 e5(m multiplies two activations over it)~m._safe_softmax f8 | mask: b4 c3 e5(m "
            "multiplies two activations over it)~m._safe_softmax | -> a2 b4 c3 f8 | uses: q[0, 1, 2, "
            "3] out, k[0, 1, 2, 3] out, v[0, 1, 2, 3] out, mask[0, 1, 2] out"
        ),
    ),
    "sdpa.gqa": (
        lambda m: F.scaled_dot_product_attention(m.q * 1, m.k * 1, m.v * 1, enable_gqa=True),
        (),
        {"q": (2, 4, 3, 8), "k": (2, 2, 5, 8), "v": (2, 2, 5, 8)},
        (
            "q: a2 b2*c2 d3(is a place of the sequence) e8(m multiplies two activations over it) | "
            "k: a2 b2 f5(is a place of the sequence) g8(m multiplies two activations over it) | v: "
            "a2 b2 h5(is a place of the sequence) i8(m multiplies two activations over it) | -> a2 "
            "b2*c2 d3(is a place of the sequence) i8(m multiplies two activations over it) | uses: "
            "q[0, 1, 2, 3] out, k[0, 1, 2, 3] out, v[0, 1, 2, 3] out"
        ),
    ),
    "flash.gqa": (
        lambda m: A._scaled_dot_product_flash_attention_for_cpu(m.q * 1, m.k * 1, m.v * 1),
        (),
        {"q": (2, 4, 3, 8), "k": (2, 2, 5, 8), "v": (2, 2, 5, 8)},
        (
            "q: a2 b2*c2 d3(is a place of the sequence) e8(m multiplies two activations over it) | "
            "k: a2 b2 f5(is a place of the sequence) g8(m multiplies two activations over it) | v: "
            "a2 b2 h5(is a place of the sequence) i8(m multiplies two activations over it) | -> a2 "
            "b2*c2 d3(is a place of the sequence) i8(m multiplies two activations over it) | -> "
            "2(belongs to attention) 4(belongs to attention) 3(belongs to attention) | uses: q[0, 1, "
            "2, 3] out, k[0, 1, 2, 3] out, v[0, 1, 2, 3] out"
        ),
    ),
    "flash.mask": (
        masked_attention,
        (),
        {"q": (2, 4, 3, 8), "k": (2, 4, 5, 8), "v": (2, 4, 5, 8), "mask": (2, 4, 3, 5)},
        (
            "q: a2 b4 c3(is a place of the sequence) d8(m multiplies two activations over it) "
            "| k: a2 b4 e5(is a place of the sequence) f8(m multiplies two activations over it) "
            "| v: a2 b4 g5(is a place of the sequence) h8(m multiplies two activations over it) "
            "| mask: a2 b4 i3(is a place of the sequence) j5(is a place of the sequence) "
            "| -> a2 b4 c3(is a place of the sequence) h8(m multiplies two activations over it) "
            "| uses: q[0, 1, 2, 3] out, k[0, 1, 2, 3] out, v[0, 1, 2, 3] out, mask[0, 1, 2, 3] out"
        ),
    ),
    "flash.mask.shared": (
        masked_attention,
        (),
        {"q": (2, 4, 3, 8), "k": (2, 4, 5, 8), "v": (2, 4, 5, 8), "mask": (2, 1, 3, 5)},
        (
            "q: a2 b4 c3(is a place of the sequence) d8(m multiplies two activations over it) "
            "| k: a2 b4 e5(is a place of the sequence) f8(m multiplies two activations over it) "
            "| v: a2 b4 g5(is a place of the sequence) h8(m multiplies two activations over it) "
            "| mask: a2 i1(has one index only) j3(is a place of the sequence) k5(is a place of the sequence) "
            "| -> a2 b4 c3(is a place of the sequence) h8(m multiplies two activations over it) "
            "| uses: q[0, 1, 2, 3] out, k[0, 1, 2, 3] out, v[0, 1, 2, 3] out, mask[0, 1, 2, 3] out"
        ),
    ),
    "conv unbatched": (
        lambda m: F.conv1d(m.x * 1, m.a),
        (),
        {"x": (3, 5), "a": (4, 3, 2)},
        (
            "x: a3 b5(is a place of the inputs) | a: c4 a3 d2(is the size of a kernel) | -> c4 4(is "
            "a place of the inputs) | uses: x[0, 1] out, a[1] in, a[0] out"
        ),
    ),
}
"""Formula, inputs, shapes of the weights; what is seen."""


@pytest.mark.parametrize("case", cases)
def test_a_product_couples_what_it_sums_over(case):
    formula, inputs, shapes, expected = cases[case]
    assert see(formula, *inputs, **shapes) == expected


def test_the_bias_of_grouped_products_belongs_to_their_results():
    """Only some devices compute it: the rule is given what one would."""
    model = Formula(None, {"x": (3, 4), "a": (2, 4, 8), "b": (8,)})
    trace, result = Trace(model), torch.ones(3, 8)
    follow(trace, A._grouped_mm.default, (model.x, model.a), {"bias": model.b}, result)
    why = "the model multiplies two weights over it"
    assert seen(trace, [result]) == (
        f"x: a3 b4({why}) | a: c2 b4({why}) d8 | b: d8 | -> a3 d8 "
        "| uses: x[1] in, a[1] in, x[0] out, a[0, 2] out, b[0] out"
    )


def test_numbers_that_attention_gives_besides_are_passed_over():
    model = Formula(None, {"q": (2, 4, 3, 8), "k": (2, 4, 5, 8)})
    trace, result = Trace(model), torch.ones(2, 4, 3, 8)
    attention = A._scaled_dot_product_flash_attention.default
    follow(trace, attention, (model.q, model.k, model.k), {}, (result, None, 3, torch.ones(2)))
    why = "the model multiplies two activations over it"
    place = "is a place of the sequence"
    assert seen(trace, [result]).split(" | uses")[0] == (
        f"q: a2 b4 c3({place}) d8({why}) | k: a2 b4 e5({place}) f8({why}) | -> a2 b4 c3({place}) f8({why})"
    )
