import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.difference import Difference, difference
from outgrow.errors import InputError
from outgrow.testing.strategies import DTYPES, shapes, tensor_of_bytes, tensors

F4 = torch.float4_e2m1fn_x2
E2M1 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
COMPARED = (*DTYPES, torch.complex128)


def values(tensor: torch.Tensor) -> list[complex | float | int]:
    """Every element as a Python number, by other means than the code under test."""
    if tensor.dtype == F4:
        codes = [
            code for byte in tensor.view(torch.uint8).flatten().tolist() for code in (byte & 15, byte >> 4)
        ]
        return [math.copysign(E2M1[code & 7], -1 if code & 8 else 1) for code in codes]
    if tensor.dtype in (torch.uint64, torch.uint32, torch.uint16):
        return tensor.flatten().numpy().tolist()
    if tensor.dtype == torch.bool:
        return [int(value) for value in tensor.flatten().tolist()]
    if tensor.dtype.itemsize == 1 and tensor.dtype.is_floating_point:
        return tensor.flatten().float().tolist()
    return tensor.flatten().tolist()


def parts(value) -> tuple:
    return (value.real, value.imag) if isinstance(value, complex) else (value,)


def is_nan(value) -> bool:
    return any(math.isnan(part) for part in parts(value))


def is_inf(value) -> bool:
    return any(math.isinf(part) for part in parts(value))


def bits(tensor: torch.Tensor) -> list[bytes]:
    if tensor.dtype == F4:
        return [
            bytes([code])
            for byte in tensor.view(torch.uint8).flatten().tolist()
            for code in (byte & 15, byte >> 4)
        ]
    data = (
        tensor.contiguous().numpy().tobytes() if tensor.dtype in (torch.complex64, torch.complex128) else None
    )
    if data is None:
        data = bytes(tensor.reshape(-1).view(torch.uint8).tolist()) if tensor.numel() else b""
    size = tensor.dtype.itemsize
    return [data[i : i + size] for i in range(0, len(data), size)]


def part_distance(actual, expected) -> Fraction | float:
    if math.isnan(actual) or math.isnan(expected):
        return 0 if math.isnan(actual) and math.isnan(expected) else math.inf
    if actual == expected:
        return 0
    if math.isinf(actual) or math.isinf(expected):
        return math.inf
    return abs(Fraction(actual) - Fraction(expected))


def distances(actual, expected) -> list[tuple]:
    return [
        tuple(map(part_distance, parts(a), parts(e)))
        for a, e in zip(values(actual), values(expected), strict=True)
    ]


def root_of_squares(numbers) -> float:
    """Exact squares and sum, rounded once or twice at the end; none of our scaling."""
    numbers = list(numbers)
    if any(isinstance(number, float) and math.isinf(number) for number in numbers):
        return math.inf
    total = sum((Fraction(number) ** 2 for number in numbers), Fraction(0))
    if not total:
        return 0.0
    shift = max(0, 2200 - total.numerator.bit_length() + total.denominator.bit_length()) // 2 * 2
    return Fraction(math.isqrt((total.numerator << shift) // total.denominator)) / 2 ** (shift // 2)


@st.composite
def pairs(draw, dtypes=COMPARED):
    dtype = draw(st.sampled_from(dtypes))
    shape = draw(shapes())
    pair = draw(st.tuples(*(tensors(dtypes=(dtype,), like=st.just(shape)) for _ in range(2))))
    if draw(st.booleans()) and pair[0].numel() and dtype != F4:
        changed = pair[0].clone()
        changed.view(-1)[draw(st.integers(0, changed.numel() - 1))] = pair[1].view(-1)[0]
        return pair[0], changed
    return pair


@given(pair=pairs(), chunk_elements=st.sampled_from([1, 3, 50, 2**20]))
def test_agrees_with_exact_arithmetic(pair, chunk_elements):
    actual, expected = pair
    found = difference(actual, expected, chunk_elements=chunk_elements)
    apart = distances(actual, expected)
    left, right = values(actual), values(expected)
    unequal = [a != e for a, e in zip(bits(actual), bits(expected), strict=True)]
    assert found.elements == len(left)
    assert found.mismatched == sum(unequal)
    assert found.is_identical == (not any(unequal))
    assert found.is_equal == (not any(any(parts) for parts in apart))
    assert found.actual_nan == sum(map(is_nan, left))
    assert found.expected_nan == sum(map(is_nan, right))
    assert found.nan_mismatched == sum(is_nan(a) != is_nan(e) for a, e in zip(left, right, strict=True))
    assert found.actual_inf == sum(map(is_inf, left))
    assert found.expected_inf == sum(map(is_inf, right))
    if any(unequal):
        assert found.first_mismatch == np.unravel_index(unequal.index(True), found.shape)
    else:
        assert found.first_mismatch is None
    moduli = [root_of_squares(both) for both in apart]
    largest = max(moduli, default=0.0)
    if actual.dtype.is_floating_point or actual.dtype.is_complex:
        assert_near(found.max_abs, largest)
    else:
        assert found.max_abs == largest
    if found.is_equal:
        assert found.max_abs_index is None
    else:
        at = np.ravel_multi_index(found.max_abs_index, found.shape) if found.shape else 0
        assert_near(found.max_abs, moduli[at])
    above = root_of_squares(number for both in apart for number in both)
    below = root_of_squares(part for value in right for part in parts(value) if math.isfinite(part))
    if above == 0 or below == 0 or math.isinf(above):
        assert found.relative_frobenius == (0 if above == 0 else math.inf)
    else:
        assert_near(found.relative_frobenius, above / below)


def assert_near(actual: float, exact) -> None:
    """Within a few roundings of float64; overflow where the exact number is too large for it."""
    if exact == math.inf or exact > Fraction(1.797e308):
        assert actual == math.inf
    else:
        assert abs(Fraction(actual) - Fraction(exact)) <= Fraction(1e-13) * Fraction(exact) + Fraction(5e-324)


SMALL = [dtype for dtype in DTYPES if dtype.is_floating_point and dtype.itemsize <= 2 and dtype != F4]


@pytest.mark.parametrize("dtype", SMALL, ids=str)
def test_ulp_counts_the_numbers_between(dtype):
    """Every number of a small dtype, sorted: the distance of two is that of their places."""
    patterns = torch.arange(2 ** (8 * dtype.itemsize), dtype=torch.int64)
    everything = patterns.to(torch.int16 if dtype.itemsize == 2 else torch.uint8).view(dtype)
    numbers = everything[~everything.isnan()]
    numbers = numbers[torch.randperm(len(numbers))[:3000]]
    places = np.unique(everything.double().numpy())
    others = numbers[torch.randperm(len(numbers))]
    a, e = (np.searchsorted(places, side.double().numpy()) for side in (numbers, others))
    for i in range(0, len(numbers), 97):
        assert difference(numbers[i], others[i]).max_ulp == abs(int(a[i]) - int(e[i]))
    assert difference(numbers, others).max_ulp == np.abs(a - e).max()


@given(start=st.floats(width=32, allow_nan=False), count=st.integers(0, 5))
def test_ulp_of_wide_floats_counts_nextafter(start, count):
    for kind, dtype in ((np.float32, torch.float32), (np.float64, torch.float64)):
        end, steps = kind(start), 0
        for _ in range(count):
            if end != kind(math.inf):
                with np.errstate(all="ignore"):
                    end, steps = np.nextafter(end, kind(math.inf)), steps + 1
        found = difference(torch.tensor(float(end), dtype=dtype), torch.tensor(start, dtype=dtype))
        assert found.max_ulp == steps


@pytest.mark.parametrize(
    ("actual", "expected", "dtype", "ulp", "max_abs"),
    [
        pytest.param(0.0, -0.0, torch.float32, 0, 0, id="zeros"),
        pytest.param(-5e-324, 5e-324, torch.float64, 2, 1e-323, id="across zero"),
        pytest.param(
            -math.inf, math.inf, torch.float64, 2 * 0x7FF0000000000000, math.inf, id="widest float64"
        ),
        pytest.param(-math.inf, math.inf, torch.bfloat16, 2 * 0x7F80, math.inf, id="widest bfloat16"),
        pytest.param(65504, math.inf, torch.float16, 1, math.inf, id="largest to infinity"),
        pytest.param(math.nan, 1.0, torch.float32, 2**32, math.inf, id="nan and number"),
        pytest.param(math.inf, math.nan, torch.bfloat16, 2**16, math.inf, id="nan and infinity"),
        pytest.param(math.nan, math.nan, torch.float64, 0, 0, id="nan and nan"),
        pytest.param(-(2**63), 2**63 - 1, torch.int64, 2**64 - 1, 2**64 - 1, id="widest int64"),
        pytest.param(2**53 + 1, 2**53, torch.int64, 1, 1, id="past float64's integers"),
        pytest.param(0, 2**64 - 1, torch.uint64, 2**64 - 1, 2**64 - 1, id="widest uint64"),
        pytest.param(True, False, torch.bool, 1, 1, id="bool"),
        pytest.param(-128, 127, torch.int8, 255, 255, id="int8"),
        pytest.param(3 + 4j, 0j, torch.complex128, 0x4010000000000000, 5, id="complex"),
        pytest.param(complex(math.nan, 0), 0j, torch.complex64, 2**32, math.inf, id="complex nan"),
    ],
)
def test_known_pairs(actual, expected, dtype, ulp, max_abs):
    found = difference(torch.tensor([actual], dtype=dtype), torch.tensor([expected], dtype=dtype))
    assert (found.max_ulp, found.max_abs) == (ulp, max_abs)
    assert found.max_abs_index == (None if max_abs == 0 else (0,))


def test_a_report_in_full():
    expected = torch.tensor([[1.0, 2.0], [math.nan, math.inf], [0.0, 2.0]])
    actual = torch.tensor([[1.0, 2.5], [math.nan, math.inf], [-0.0, 1.0]])
    assert difference(actual, expected) == Difference(
        shape=(3, 2),
        dtype=torch.float32,
        mismatched=3,
        first_mismatch=(0, 1),
        max_abs=1.0,
        max_abs_index=(2, 1),
        relative_frobenius=math.sqrt(1.25) / 3,
        max_ulp=2**23,
        nan_mismatched=0,
        actual_nan=1,
        expected_nan=1,
        actual_inf=1,
        expected_inf=1,
    )


def test_the_sign_of_zero_is_a_difference_of_bits_only():
    found = difference(torch.tensor([0.0]), torch.tensor([-0.0]))
    assert (found.is_identical, found.is_equal, found.mismatched) == (False, True, 1)


def test_payloads_of_nan_are_a_difference_of_bits_only():
    nans = torch.tensor([0x7FC00000, 0x7FC00001], dtype=torch.int32).view(torch.float32)
    found = difference(nans[:1], nans[1:])
    assert (found.is_identical, found.is_equal, found.max_ulp, found.nan_mismatched) == (False, True, 0, 0)


def test_four_bit_pairs_are_counted_one_by_one():
    actual = torch.tensor([[0x10, 0x32]], dtype=torch.uint8).view(F4)
    expected = torch.tensor([[0x10, 0x92]], dtype=torch.uint8).view(F4)
    found = difference(actual, expected)
    assert (found.shape, found.mismatched, found.max_abs, found.max_abs_index) == ((1, 4), 1, 2.0, (0, 3))
    assert found.max_ulp == 4  # -0.5, 0, 0.5, 1, 1.5


@pytest.mark.parametrize("scale", [1e-200, 1e200], ids=str)
def test_norms_neither_overflow_nor_underflow(scale):
    expected = torch.full((1000,), scale, dtype=torch.float64)
    assert difference(expected * 2, expected).relative_frobenius == pytest.approx(1)


def test_norms_of_integers_at_both_ends():
    zero, largest = (torch.tensor([value], dtype=torch.uint64) for value in (0, 2**64 - 1))
    assert difference(zero, largest).relative_frobenius == 1
    least, most = (torch.tensor([value], dtype=torch.int64) for value in (-(2**63), 2**63 - 1))
    assert difference(most, least).relative_frobenius == 2


def test_nothing_to_compare_is_identical():
    for shape in ((0,), (0, 3), (3, 0, 2)):
        found = difference(torch.zeros(shape), torch.zeros(shape))
        assert found.is_identical
        assert found.is_equal
        assert found.relative_frobenius == 0


@pytest.mark.parametrize("chunk_elements", [1, 2, 7, 24, 2**20])
def test_views_are_compared_in_their_own_order(chunk_elements):
    base = torch.arange(120.0).reshape(2, 3, 4, 5)
    for view in (base.permute(3, 1, 0, 2), base[:, ::2, 1:, ::3], base[:1].expand(7, 3, 4, 5)):
        changed = view.clone()
        place = tuple(size - 1 for size in view.shape)
        changed[place] += 10
        found = difference(changed, view, chunk_elements=chunk_elements)
        assert (found.mismatched, found.first_mismatch, found.max_abs_index, found.max_abs) == (
            1,
            place,
            place,
            10,
        )


def test_lazy_conjugates_and_gradients_are_no_obstacle():
    tensor = torch.tensor([1 + 2j], requires_grad=True)
    assert difference(tensor.conj(), torch.tensor([1 - 2j])).is_identical
    assert difference(tensor.conj().imag, torch.tensor([-2.0])).is_identical


def test_memory_does_not_grow_with_the_tensors():
    base = torch.zeros(1, 1).expand(20_000, 20_000)  # 1.6 GB if somebody copied it
    found = difference(base[:, :5000].T, base[:5000])
    assert found.is_identical
    assert found.elements == 10**8


@pytest.mark.parametrize(
    ("actual", "expected", "message"),
    [
        pytest.param(torch.ones(2), torch.ones(1, 2), r"shape \(2,\) with \(1, 2\)", id="shape"),
        pytest.param(torch.ones(2), torch.ones(2).half(), "torch.float32 with torch.float16", id="dtype"),
        pytest.param(torch.ones(2).to_sparse(), torch.ones(2).to_sparse(), "no plain numbers", id="sparse"),
        pytest.param(torch.ones(2), torch.ones(2, device="meta"), "expected has no plain", id="meta"),
    ],
)
def test_what_cannot_be_compared_is_refused(actual, expected, message):
    with pytest.raises(InputError, match=message):
        difference(actual, expected)


def test_a_chunk_has_at_least_one_element():
    with pytest.raises(InputError, match="must be positive"):
        difference(torch.ones(1), torch.ones(1), chunk_elements=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", COMPARED, ids=str)
def test_a_gpu_gives_the_same_report(dtype):
    data = torch.randint(
        0, 256, (2, 8 * 64 * dtype.itemsize), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    actual, expected = (tensor_of_bytes(bytes(row.tolist()), dtype, (8, 64)) for row in data)
    on_gpu, on_cpu = difference(actual.cuda(), expected.cuda()), difference(actual, expected)
    assert on_gpu.mismatched == on_cpu.mismatched
    assert (on_gpu.max_abs, on_gpu.max_ulp) == (on_cpu.max_abs, on_cpu.max_ulp)
    assert on_gpu.relative_frobenius == pytest.approx(on_cpu.relative_frobenius, nan_ok=True)
    assert difference(actual.cuda(), expected) == on_gpu
