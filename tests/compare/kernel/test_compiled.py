import dataclasses
import math
import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.kernel.build import built_kernel
from outgrow.compare.kernel.compiled import KINDS, CompiledKernel
from outgrow.compare.kernel.tally import Tally
from outgrow.compare.kernel.torch_path import torch_tally
from outgrow.compare.kernel.trial import agree, check_kernel
from outgrow.compare.sample import sample, size_around
from outgrow.difference.chunks import unravel
from outgrow.testing.strategies import tensors

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")

TILE, BLOCK = 2048, 2048 * 32
TAKEN = [(one, other) for one in KINDS for other in KINDS if CompiledKernel.takes(one, other)]


@pytest.fixture(scope="module")
def kernel():
    return CompiledKernel(built_kernel())


def both(kernel, actual, expected, *, rtol=0.0, atol=0.0, start=0, threads=2):
    """The tallies of the kernel and of torch; the first is None where the kernel leaves it to torch."""
    given = {"start": start, "rtol": rtol, "atol": atol}
    found = kernel.tally(actual, expected, **given, threads=threads)
    wanted = Tally()
    for place in range(0, actual.numel(), 2**16):
        part = slice(place, place + 2**16)
        wanted.add(torch_tally(actual[part], expected[part], **(given | {"start": start + place})))
    return found, wanted


def assert_agree(found, wanted):
    if not agree(found, wanted):
        assert dataclasses.asdict(found) == dataclasses.asdict(wanted)


def test_takes_what_recordings_are_made_of():
    assert len(TAKEN) == 10
    assert (torch.float32, torch.bfloat16) in TAKEN
    assert (torch.float64, torch.float32) not in TAKEN


@st.composite
def pairs(draw):
    one, other = draw(st.sampled_from(TAKEN))
    count = draw(st.sampled_from([1, 2, 7, 63, 64, 65, 300]))
    return tuple(draw(tensors(dtypes=(dtype,), like=st.just((count,)))) for dtype in (one, other))


@given(pair=pairs(), tolerances=st.sampled_from([(0.0, 0.0), (0.1, 0.0), (1e-3, 1.0), (0.0, 1e30)]))
def test_any_bits_agree_with_torch(kernel, pair, tolerances):
    found, wanted = both(kernel, *pair, rtol=tolerances[0], atol=tolerances[1])
    if found is None:
        assert pair[0].dtype == torch.float64
    else:
        assert_agree(found, wanted)


@pytest.mark.parametrize("dtypes", TAKEN, ids=lambda pair: f"{pair[0]}-{pair[1]}".replace("torch.", ""))
def test_long_ones_agree_with_torch(kernel, dtypes):
    random = torch.Generator().manual_seed(1)
    count = 3 * BLOCK + 1234
    expected = torch.randn(count, dtype=torch.float64, generator=random) * 3 + 1
    actual = expected + 1e-3 * torch.randn(count, dtype=torch.float64, generator=random)
    actual[BLOCK : 2 * BLOCK] = expected[BLOCK : 2 * BLOCK]
    actual[5000:5010], expected[5005:5015] = math.nan, math.inf
    actual[2 * BLOCK + 5 :: 999] = -math.inf
    expected[2 * BLOCK + 5 :: 999] = -math.inf
    actual, expected = actual.to(dtypes[0]), expected.to(dtypes[1])
    for rtol, atol in ((0.0, 0.0), (1e-3, 1e-4)):
        assert_agree(*both(kernel, actual, expected, rtol=rtol, atol=atol, start=17))


@pytest.mark.parametrize("place", [0, TILE - 1, TILE, BLOCK - 1, BLOCK, 2 * BLOCK + 77])
@pytest.mark.parametrize("dtype", KINDS, ids=str)
def test_the_first_of_equal_distances_is_found(kernel, place, dtype):
    expected = torch.zeros(2 * BLOCK + 100).to(dtype)
    actual = expected.clone()
    actual[place:] = 2.0
    actual[place] = -2.0
    for threads in (1, 2, 7):
        found = kernel.tally(actual, expected, start=10, rtol=0.0, atol=0.0, threads=threads)
        assert (found.max_abs, found.max_abs_at) == (2.0, 10 + place)
        assert found.exponents == {1: expected.numel() - place}


@pytest.mark.parametrize("dtype", KINDS, ids=str)
def test_threads_do_not_change_a_bit(kernel, dtype):
    random = torch.Generator().manual_seed(2)
    actual, expected = torch.randn(2, 5 * BLOCK + 3, generator=random).to(dtype)
    expected[12345] = math.nan
    found = [
        kernel.tally(actual, expected, start=0, rtol=1e-3, atol=0.0, threads=count) for count in (1, 2, 3, 64)
    ]
    assert found == [found[0]] * 4


def test_steps_are_rounded_like_torch(kernel):
    """Every float16 and bfloat16, and what lies halfway between each and the next."""
    for dtype in (torch.float16, torch.bfloat16):
        codes = torch.arange(2**15 - 1).short().view(dtype)
        values = codes[codes.isfinite()].float()
        halfway = (values[:-1].double() + values[1:].double()) / 2
        fine = torch.cat([values, halfway.float(), torch.nextafter(halfway.float(), torch.tensor(0.0))])
        fine = torch.cat([fine, -fine, torch.tensor([65519.0, 65520.0, 65536.0, 3.4e38])])
        coarse = torch.zeros(fine.numel(), dtype=dtype)
        for start in range(0, fine.numel(), 499):  # the largest of few: each step matters
            part = slice(start, start + 499)
            found, wanted = both(kernel, fine[part], coarse[part], threads=1)
            assert found.max_ulp == wanted.max_ulp


def test_flushing_of_subnormals_does_not_matter(kernel):
    tiny = torch.full((100,), 1e-42)
    torch.set_flush_denormal(True)
    try:
        found = kernel.tally(tiny, torch.zeros(100), start=0, rtol=0.0, atol=0.0, threads=2)
        assert torch.ones(1).mul(1e-42).item() == 0
    finally:
        torch.set_flush_denormal(False)
    assert found.mismatched == 100
    assert found.max_abs == tiny[0].item()


def test_means_far_from_zero_keep_their_spread(kernel):
    """Squares of the numbers themselves would lose all digits of the deviation."""
    numbers = (10_000 + torch.arange(100_000).remainder(3) * 2.0**-10).float()
    side = kernel.tally(numbers, numbers + 1, start=0, rtol=0.0, atol=0.0, threads=1).actual
    assert side.squares == pytest.approx(
        float((numbers.double() - numbers.double().mean()).square().sum()), rel=1e-9
    )


@pytest.mark.parametrize("large", [1e200, 1e-200, 5e-324])
def test_what_leaves_float64_is_left_to_torch(kernel, large):
    numbers = torch.tensor([large, 2 * large], dtype=torch.float64)
    assert kernel.tally(numbers, numbers / 2, start=0, rtol=0.0, atol=0.0, threads=1) is None


def test_a_kernel_that_is_wrong_is_not_used(kernel):
    from outgrow.compare.kernel.build import KernelUnavailable

    class Wrong(CompiledKernel):
        def __init__(self):
            self._function = kernel._function

        def tally(self, *tensors, **options):
            found = super().tally(*tensors, **options)
            found.mismatched += 1
            return found

    check_kernel(kernel)
    with pytest.raises(KernelUnavailable, match="disagree"):
        check_kernel(Wrong())


@pytest.mark.parametrize(("actual", "expected"), TAKEN, ids=lambda dtype: str(dtype).replace("torch.", ""))
@pytest.mark.parametrize("shape", [(1000,), (33, 1, 47), (5, 600, 2, 3), ()], ids=str)
def test_a_sample_is_the_same_to_the_last_bit(kernel, actual, expected, shape):
    random = torch.Generator().manual_seed(3)
    one, other = torch.randn(2, *shape, dtype=torch.float64, generator=random)
    one.view(-1)[::7] = 0
    other.view(-1)[3::50] = math.nan
    one, other = one.to(actual), other.to(expected)
    for at in {0, other.numel() // 2, other.numel() - 1}:
        figures, number, size = kernel.sample(one, other, at)
        index = unravel(at, shape)
        assert figures == sample(one, other)
        assert number == pytest.approx(float(other[index]), rel=0, nan_ok=True)
        if math.isfinite(number):
            assert abs(number) + size == size_around(other, index)


FULL_TILES = {
    "other signs": lambda one, other: (one, -one + 0.01 * other),
    "unrelated": lambda one, other: (one, other),
    "far from zero": lambda one, other: (1000 + one, 1000 + one + 0.1 * other),
    "zeros with signs": lambda one, other: (one * 0, other * -0.0),
    "zeros on one side": lambda one, other: (one, other * 0),
    "few zeros": lambda one, other: (one.clamp(min=0), one.clamp(min=-0.001)),
    "subnormal": lambda one, other: (one * 1e-41, other * 1e-41),
    "wide apart": lambda one, other: (one * 1e4, other * 1e-7),
    "equal exponents": lambda one, other: (one, one + 0.25),
    "all exponents": lambda one, other: (one, one + other * 2.0 ** -(torch.arange(len(one)) % 70)),
}


@pytest.mark.parametrize("dtype", KINDS, ids=str)
@pytest.mark.parametrize("case", FULL_TILES)
def test_full_tiles_agree_with_torch(kernel, case, dtype):
    random = torch.Generator().manual_seed(4)
    one, other = torch.randn(2, 5 * TILE, dtype=torch.float64, generator=random)
    one, other = (side.to(dtype) for side in FULL_TILES[case](one, other))
    for rtol, atol in ((0.0, 0.0), (1e-3, 1e-4)):
        assert_agree(*both(kernel, one, other, rtol=rtol, atol=atol))
