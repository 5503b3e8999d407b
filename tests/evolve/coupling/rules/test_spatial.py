"""Pooling, resizing and padding by reflection."""

import pytest
from torch.nn import functional as F

from tests.evolve.coupling.seen import see

cases = {
    "maxpool": (
        lambda m: F.max_pool2d(m.a * 1, 2),
        (),
        {"a": (2, 3, 4, 4)},
        (
            "a: a2 b3 c4(is a place of the inputs) d4(is a place of the inputs) | -> a2 b3 2(is a "
            "place of the inputs) 2(is a place of the inputs) | uses: a[0, 1, 2, 3] out"
        ),
    ),
    "maxpoolidx": (
        lambda m: F.max_pool2d(m.a * 1, 2, return_indices=True),
        (),
        {"a": (2, 3, 4, 4)},
        (
            "a: a2 b3 c4(is a place of the inputs) d4(is a place of the inputs) | -> a2 b3 2(is a "
            "place of the inputs) 2(is a place of the inputs) | -> a2 b3 2(is a place of the inputs) "
            "2(is a place of the inputs) | uses: a[0, 1, 2, 3] out"
        ),
    ),
    "avg1": (
        lambda m: F.avg_pool1d(m.a * 1, 2),
        (),
        {"a": (2, 3, 4)},
        (
            "a: a2 b3 c4(is a place of the inputs) | -> a2 b3 2(is a place of the inputs) | uses: "
            "a[0, 1, 2] out"
        ),
    ),
    "avg3": (
        lambda m: F.avg_pool3d(m.a * 1, 2),
        (),
        {"a": (2, 3, 4, 4, 4)},
        (
            "a: a2 b3 c4(is a place of the inputs) d4(is a place of the inputs) e4(is a place of the "
            "inputs) | -> a2 b3 2(is a place of the inputs) 2(is a place of the inputs) 2(is a place "
            "of the inputs) | uses: a[0, 1, 2, 3, 4] out"
        ),
    ),
    "up": (
        lambda m: F.interpolate(m.a * 1, scale_factor=2),
        (),
        {"a": (2, 3, 4)},
        (
            "a: a2 b3 c4(is a place of the inputs) | -> a2 b3 8(is a place of the inputs) | uses: "
            "a[0, 1, 2] out"
        ),
    ),
    "reflect": (
        lambda m: F.pad(m.a * 1, (1, 1), mode="reflect"),
        (),
        {"a": (2, 3, 4)},
        (
            "a: a2 b3 c4(is a place of the inputs) | -> a2 b3 6(is a place of the inputs) | uses: "
            "a[0, 1, 2] out"
        ),
    ),
    "reflect2": (
        lambda m: F.pad(m.a * 1, (1, 1), mode="reflect"),
        (),
        {"a": (3, 4)},
        "a: a3 b4(is a place of the inputs) | -> a3 6(is a place of the inputs) | uses: a[0, 1] out",
    ),
}
"""Formula, inputs, shapes of the weights; what is seen."""


@pytest.mark.parametrize("case", cases)
def test_channels_stay_and_places_are_fixed(case):
    formula, inputs, shapes, expected = cases[case]
    assert see(formula, *inputs, **shapes) == expected
