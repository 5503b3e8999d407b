"""Channels that become places, complex numbers and spectra."""

import pytest
import torch
from torch.nn import functional as F

from tests.evolve.coupling.seen import see

cases = {
    "im2col": (
        lambda m: F.unfold(m.a * 1, (2, 3)),
        (),
        {"a": (2, 3, 4, 5)},
        (
            "a: a2 b3 c4(is a place of the inputs) d5(is a place of the inputs) | -> a2 b3*6(is the "
            "size of a patch) 9(is a place of the inputs) | uses: a[0, 1, 2, 3] out"
        ),
    ),
    "im2col3": (
        lambda m: F.unfold(m.a * 1, (2, 3)),
        (),
        {"a": (3, 4, 5)},
        (
            "a: a3 b4(is a place of the inputs) c5(is a place of the inputs) | -> a3*6(is the size "
            "of a patch) 9(is a place of the inputs) | uses: a[0, 1, 2] out"
        ),
    ),
    "col2im": (
        lambda m: F.fold(m.a * 1, (4, 5), (2, 3)),
        (),
        {"a": (2, 18, 9)},
        (
            "a: a2 b3*c6(is the size of a patch) d9(is a place of the inputs) | -> a2 b3 4(is a "
            "place of the inputs) 5(is a place of the inputs) | uses: a[0, 1, 2] out"
        ),
    ),
    "pixel_shuffle": (
        lambda m: F.pixel_shuffle(m.a * 1, 2),
        (),
        {"a": (2, 12, 3, 3)},
        (
            "a: a2 b3*c4(is the size of a patch) d3(is a place of the inputs) e3(is a place of the "
            "inputs) | -> a2 b3 6(is a place of the inputs) 6(is a place of the inputs) | uses: a[0, "
            "1, 2, 3] out"
        ),
    ),
    "pixel_unshuffle": (
        lambda m: F.pixel_unshuffle(m.a * 1, 2),
        (),
        {"a": (2, 3, 4, 6)},
        (
            "a: a2 b3 c4(is a place of the inputs) d6(is a place of the inputs) | -> a2 b3*4(is the "
            "size of a patch) 2(is a place of the inputs) 3(is a place of the inputs) | uses: a[0, "
            "1, 2, 3] out"
        ),
    ),
    "channel_shuffle": (
        lambda m: F.channel_shuffle(m.a * 1, 2),
        (),
        {"a": (2, 6, 3)},
        "a: a2 b2*c3 d3 | -> a2 c3*b2 d3 | uses: a[0, 1, 2] out",
    ),
    "unfold": (
        lambda m: (m.a * 1).unfold(-1, 2, 1),
        (),
        {"a": (3, 5)},
        (
            "a: a3 b5(is a place of the inputs) | -> a3 4(is a place of the inputs) 2(is a place of "
            "the inputs) | uses: a[0, 1] out"
        ),
    ),
    "unfold0": (
        lambda m: (m.a * 1).unfold(0, 2, 1),
        (),
        {"a": (3, 5)},
        (
            "a: a3(is a place of the inputs) b5 | -> 2(is a place of the inputs) b5 2(is a place of "
            "the inputs) | uses: a[0, 1] out"
        ),
    ),
    "grid": (
        lambda m: F.grid_sample(m.a * 1, m.g * 1, align_corners=False),
        (),
        {"a": (2, 3, 4, 5), "g": (2, 6, 7, 2)},
        (
            "a: a2 b3 c4(is a place of the inputs) d5(is a place of the inputs) | g: e2(is a place "
            "of the inputs) f6(is a place of the inputs) g7(is a place of the inputs) h2(is a place "
            "of the inputs) | -> a2 b3 6(is a place of the inputs) 7(is a place of the inputs) | "
            "uses: a[0, 1, 2, 3] out, g[0, 1, 2, 3] out"
        ),
    ),
    "avgpool1": (
        lambda m: F.adaptive_avg_pool2d(m.a * 1, 1),
        (),
        {"a": (2, 3, 4, 5)},
        (
            "a: a2 b3 c4~m.mean d5~m.mean | -> a2 b3 1(is a statistic) 1(is a statistic) | uses: "
            "a[0, 1, 2, 3] out"
        ),
    ),
    "as_strided_": (
        lambda m: (m.a * 1).as_strided_((4, 3), (1, 4)),
        (),
        {"a": (3, 4)},
        (
            "a: a3(m changes its strides) b4(m changes its strides) | -> 4(has other strides) 3(has "
            "other strides) | uses: a[0, 1] out"
        ),
    ),
    "as_strided_same": (
        lambda m: (m.a * 1).as_strided_((3, 4), (4, 1)),
        (),
        {"a": (3, 4)},
        "a: a3 b4 | -> a3 b4 | uses: a[0, 1] out",
    ),
    "as_strided_one": (
        lambda m: (m.a * 1).as_strided_((3, 1), (1, 7)),
        (),
        {"a": (3, 1)},
        "a: a3 b1(has one index only) | -> a3 b1(has one index only) | uses: a[0, 1] out",
    ),
    "as_strided_off": (
        lambda m: (m.a * 1).as_strided_((2, 4), (4, 1), 4),
        (),
        {"a": (3, 4)},
        (
            "a: a3(m changes its strides) b4(m changes its strides) | -> 2(has other strides) 4(has "
            "other strides) | uses: a[0, 1] out"
        ),
    ),
    "as_strided_shape": (
        lambda m: (m.a * 1).as_strided_((12,), (1,)),
        (),
        {"a": (3, 4)},
        (
            "a: a3(m changes its shape in place) b4(m changes its shape in place) | -> 12(is made "
            "within the model) | uses: a[0, 1] out"
        ),
    ),
    "view_as_real": (
        lambda m: torch.view_as_real(torch.complex(m.a, m.b)),
        (),
        {"a": (3, 4), "b": (3, 4)},
        "a: a3 b4 | b: a3 b4 | -> a3 b4 2(is real and imaginary) | uses: a[0, 1] out, b[0, 1] out",
    ),
    "view_as_complex": (
        lambda m: torch.view_as_complex(m.a * 1),
        (),
        {"a": (3, 2)},
        "a: a3 b2(is real and imaginary) | -> a3 | uses: a[0, 1] out",
    ),
    "rfft": (
        lambda m: torch.fft.rfft(m.a * 1),
        (),
        {"a": (3, 6)},
        "a: a3 b6(is turned into a spectrum) | -> a3 4(is a frequency) | uses: a[0, 1] out",
    ),
    "fft2": (
        lambda m: torch.fft.fft2(m.a * 1),
        (),
        {"a": (2, 3, 6)},
        (
            "a: a2 b3(is turned into a spectrum) c6(is turned into a spectrum) | -> a2 3(is a "
            "frequency) 6(is a frequency) | uses: a[0, 1, 2] out"
        ),
    ),
    "irfft": (
        lambda m: torch.fft.irfft(torch.complex(m.a, m.b), dim=0),
        (),
        {"a": (3, 6), "b": (3, 6)},
        (
            "a: a3(is turned into a spectrum) b6 | b: a3(is turned into a spectrum) b6 | -> 4(is a "
            "frequency) b6 | uses: a[0, 1] out, b[0, 1] out"
        ),
    ),
    "diagonal": (
        lambda m: torch.diagonal(m.a * 1),
        (),
        {"a": (3, 3, 4)},
        (
            "a: a3(m takes its diagonal) b3(m takes its diagonal) c4 | -> c4 3(m takes its diagonal) "
            "| uses: a[0, 1, 2] out"
        ),
    ),
    "diagonal2": (
        lambda m: torch.diagonal(m.a * 1, 0, -1, 0),
        (),
        {"a": (3, 5, 4)},
        (
            "a: a3(m takes its diagonal) b5 c4(m takes its diagonal) | -> b5 3(m takes its diagonal) "
            "| uses: a[0, 1, 2] out"
        ),
    ),
    "diagonal3": (
        lambda m: torch.diagonal(m.a * 1, dim1=1, dim2=2),
        (),
        {"a": (3, 5, 4)},
        (
            "a: a3 b5(m takes its diagonal) c4(m takes its diagonal) | -> a3 4(m takes its diagonal) "
            "| uses: a[0, 1, 2] out"
        ),
    ),
    "tril": (
        lambda m: torch.tril(m.a * 1),
        (),
        {"a": (2, 3, 4)},
        (
            "a: a2 b3(m keeps a triangle of it) c4(m keeps a triangle of it) | -> a2 b3(m keeps a "
            "triangle of it) c4(m keeps a triangle of it) | uses: a[0, 1, 2] out"
        ),
    ),
    "as_strided_other": (
        lambda m: (m.a * 1).as_strided_((4, 3), (3, 1)),
        (),
        {"a": (3, 4)},
        (
            "a: a3(m changes its strides) b4(m changes its strides) | -> 4(has other strides) 3(has "
            "other strides) | uses: a[0, 1] out"
        ),
    ),
    "unfold scalar": (
        lambda m: (m.a * 1).unfold(0, 1, 1),
        (),
        {"a": ()},
        "a:  | -> 1(is a place of the inputs)",
    ),
    "unfold middle": (
        lambda m: (m.a * 1).unfold(1, 2, 1),
        (),
        {"a": (5, 4, 3)},
        (
            "a: a5 b4(is a place of the inputs) c3 | -> a5 3(is a place of the inputs) c3 2(is a "
            "place of the inputs) | uses: a[0, 1, 2] out"
        ),
    ),
    "diagonal middle": (
        lambda m: torch.diagonal(m.a * 1, 0, 1, 2),
        (),
        {"a": (5, 4, 4, 3)},
        (
            "a: a5 b4(m takes its diagonal) c4(m takes its diagonal) d3 | -> a5 d3 4(m takes its "
            "diagonal) | uses: a[0, 1, 2, 3] out"
        ),
    ),
}
"""Formula, inputs, shapes of the weights; what is seen."""


@pytest.mark.parametrize("case", cases)
def test_channels_are_followed_and_places_are_fixed(case):
    formula, inputs, shapes, expected = cases[case]
    assert see(formula, *inputs, **shapes) == expected
