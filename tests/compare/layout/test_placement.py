"""What a recording says of how its ranks hold a tensor, and when it says too little."""

import pytest
import torch

from outgrow.compare.layout import Concatenate, PartialSum, Replicated
from outgrow.compare.layout.placement import declared_combination
from tests.compare.layout.pairs import record

EQUAL = ((2, 6), (2, 6))
UNEVEN = ((2, 6), (2, 4))


def declared(text, shapes=EQUAL):
    texts = text if isinstance(text, tuple) else (text,) * len(shapes)
    return declared_combination(
        [record(torch.zeros(shape), placement=one) for shape, one in zip(shapes, texts, strict=True)]
    )


@pytest.mark.parametrize(
    ("text", "shapes", "combination"),
    [
        ("Shard(0)", EQUAL, Concatenate(dim=0, shapes=EQUAL)),
        ("Shard(1)", EQUAL, Concatenate(dim=1, shapes=EQUAL)),
        ("Shard(-1)", EQUAL, Concatenate(dim=1, shapes=EQUAL)),
        ("Shard(-2)", EQUAL, Concatenate(dim=0, shapes=EQUAL)),
        ("Shard(1)", UNEVEN, Concatenate(dim=1, shapes=UNEVEN)),
        ("(Shard(1),)", EQUAL, Concatenate(dim=1, shapes=EQUAL)),
        ("Replicate()", EQUAL, Replicated(ranks=2, local=(2, 6))),
        ("Replicate(), Replicate()", EQUAL, Replicated(ranks=2, local=(2, 6))),
        ("Partial(sum)", EQUAL, PartialSum(ranks=2, local=(2, 6))),
        ("Partial()", EQUAL * 2, PartialSum(ranks=4, local=(2, 6))),
    ],
    ids=str,
)
def test_one_axis_is_understood(text, shapes, combination):
    assert declared(text, shapes) == combination


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("Shard(2)", EQUAL), ("Shard(-3)", EQUAL), ("Shard(x)", EQUAL), ("Shard()", EQUAL),
        ("Shard(0)", UNEVEN), ("Replicate()", UNEVEN), ("Partial(sum)", UNEVEN), ("Partial(max)", EQUAL),
        ("Shard(0), Shard(1)", EQUAL), ("Replicate(), Shard(1)", EQUAL), ("Partial(sum), Replicate()", EQUAL),
        (("Shard(0)", "Shard(1)"), EQUAL), (("Shard(0)", None), EQUAL), ((None, None), EQUAL), ("?", EQUAL),
        ("Shard(0)", EQUAL[:1]), ("Replicate()", EQUAL[:1]),
    ],
    ids=str,
)  # fmt: skip
def test_what_says_too_little_or_too_much_is_left_to_the_numbers(text, shapes):
    assert declared(text, shapes) is None
