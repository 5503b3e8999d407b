"""Each pixel is the number of largest magnitude among those it stands for."""

import math
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.view import Side, Spec, draw_difference, draw_tile
from outgrow.compare.view.piece import pieces, sampled_pieces
from outgrow.compare.view.window import Window
from outgrow.errors import InputError
from tests.compare.view.windows import DTYPE_LIST, laid_out, plain_window, specs, tensors

sizes = st.integers(1, 6)


def magnitude(number):
    return (1, 0.0) if math.isnan(number) else (0, abs(number))


def as_float32(number):
    """Only 0 becomes 0, and only infinities become infinite."""
    with np.errstate(over="ignore"):
        found = np.float32(number)
    if np.isinf(found) and not math.isinf(number):
        return math.copysign(np.finfo(np.float32).max, number)
    if found == 0 and number != 0:
        return math.copysign(np.finfo(np.float32).smallest_subnormal, number)
    return float(found)


def plain_numbers(whole):
    if whole.is_complex():
        return [
            math.nan if math.isnan(z.real) or math.isnan(z.imag) else math.hypot(z.real, z.imag)
            for z in whole.reshape(-1).to(torch.complex128).tolist()
        ]
    flat = whole.contiguous().reshape(-1)
    return [float(x) for x in (flat.double() if flat.is_floating_point() else flat).numpy().tolist()]


def plain_tile(rows, numbers, down, across):
    found = []
    for top in range(0, len(rows), down):
        line = []
        for left in range(0, len(rows[0]), across):
            block = [
                numbers[place]
                for row in rows[top : top + down]
                for place in row[left : left + across]
                if place is not None
            ]
            line.append(as_float32(max(block, key=magnitude)) if block else None)
        found.append(line)
    return found


def check(tile, plain):
    wanted = [pixel for row in plain for pixel in row]
    pixels = tile.pixels.reshape(-1).tolist()
    assert len(pixels) == len(wanted)
    for pixel, number in zip(pixels, wanted, strict=True):
        if number is None or math.isnan(number):
            assert math.isnan(pixel)
        else:
            assert abs(pixel) == pytest.approx(abs(number), rel=1e-6), (pixel, number)
            assert (pixel == 0) == (number == 0)
    present = [number for number in wanted if number is not None]
    finite = [pixel for pixel in pixels if math.isfinite(pixel)]
    assert tile.missing == len(wanted) - len(present)
    assert tile.nan == sum(map(math.isnan, present))
    assert tile.inf == sum(map(math.isinf, present))
    assert (tile.minimum, tile.maximum) == (min(finite, default=None), max(finite, default=None))


pieces_of = st.sampled_from([1, 3, 10, 1 << 17])


@given(laid_out(), st.data(), sizes, sizes, pieces_of)
def test_pixels_are_the_largest_numbers_of_their_blocks(made, data, max_height, max_width, elements):
    stored, layout = made
    whole = layout.apply(stored)
    side = Side(stored, layout)
    spec = data.draw(specs(side.shape))
    with patch("outgrow.compare.view.piece._ELEMENTS", elements):
        tile = draw_tile(side, spec, max_height=max_height, max_width=max_width)
    assert tile.height <= max_height
    assert tile.width <= max_width
    plain = plain_tile(
        plain_window(whole, spec), plain_numbers(whole), tile.rows_per_pixel, tile.columns_per_pixel
    )
    check(tile, plain)


@given(st.data(), st.sampled_from([torch.float32, torch.bfloat16, torch.float16]), sizes, sizes)
def test_pixels_of_the_difference_lose_no_element(data, dtype, max_height, max_width):
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=2, max_size=3)))
    expected, actual = (data.draw(tensors(shape=shape, dtype=dtype)) for _ in range(2))
    spec = data.draw(specs(shape))
    tile = draw_difference(
        Side([expected]), spec, Side([actual]), spec, max_height=max_height, max_width=max_width
    )
    with np.errstate(all="ignore"):
        numbers = [
            0.0
            if one == other or (math.isnan(one) and math.isnan(other))
            else float(np.float32(one) - np.float32(other))
            for one, other in zip(plain_numbers(actual), plain_numbers(expected), strict=True)
        ]
    plain = plain_tile(plain_window(actual, spec), numbers, tile.rows_per_pixel, tile.columns_per_pixel)
    check(tile, plain)


@pytest.mark.parametrize("shape", [(700, 900), (3, 400_000), (400_000, 3), (1, 600_001)], ids=str)
@pytest.mark.parametrize("turned", [False, True])
def test_a_lone_bad_element_is_seen(shape, turned):
    generator = torch.Generator().manual_seed(sum(shape))
    for bad in (math.nan, math.inf, -math.inf, -50.0):
        expected = torch.randn(*shape, generator=generator)
        actual = expected.clone()
        index = tuple(int(torch.randint(size, (), generator=generator)) for size in shape)
        actual[index] = bad
        rows, columns = (1, 0) if turned else (0, 1)
        spec = Spec(fixed=(0, 0), rows=rows, columns=columns)
        for tile in (
            draw_tile(Side([actual]), spec, max_height=64, max_width=80),
            draw_difference(Side([expected]), spec, Side([actual]), spec, max_height=64, max_width=80),
        ):
            row, column = (index[1], index[0]) if turned else index
            found = tile.pixels[row // tile.rows_per_pixel, column // tile.columns_per_pixel]
            assert magnitude(float(found)) >= magnitude(min(bad, -40.0, key=abs) if bad == -50.0 else bad)


@given(st.data(), st.integers(1, 5), st.integers(1, 5), pieces_of)
def test_pieces_cover_each_cell_once(data, down, across, elements):
    whole = torch.zeros(data.draw(st.lists(st.integers(0, 6), max_size=3)))
    windows = [Window(Side([whole]), data.draw(specs(whole.shape))) for _ in range(2)]
    seen = np.zeros((min(w.height for w in windows), min(w.width for w in windows)), dtype=int)
    with patch("outgrow.compare.view.piece._ELEMENTS", elements):
        found = list(pieces(windows, down, across))
    for row, rows, column, columns in found:
        assert 0 < rows * columns <= max(elements, 1)
        assert row % down == 0 or row // down == (row + rows - 1) // down
        assert column % across == 0 or column // across == (column + columns - 1) // across
        seen[row : row + rows, column : column + columns] += 1
    both = np.logical_and(*(w.positions()[: seen.shape[0], : seen.shape[1]] >= 0 for w in windows))
    assert np.array_equal(seen, both.astype(int))


def test_sampled_pieces_are_in_the_window_and_enough():
    window = Window(Side([torch.zeros(3000, 1500)]), Spec(fixed=(0, 0), rows=0, columns=1))
    count = 0
    for piece in sampled_pieces([window], 1 << 18):
        assert window.block(*piece).shape == (piece.rows, piece.columns)
        count += piece.rows * piece.columns
    assert 1 << 16 < count <= 1 << 18


@pytest.mark.parametrize("dtype", DTYPE_LIST, ids=str)
def test_numbers_that_do_not_exist_make_an_empty_tile(dtype):
    side = Side([torch.zeros(0, 4, dtype=torch.uint8).to(dtype)])
    tile = draw_tile(side, Spec.of_shape(side.shape), max_height=8, max_width=8)
    assert (tile.height, tile.width, tile.minimum, tile.nan, tile.missing) == (0, 4, None, 0, 0)
    assert tile.as_bytes() == b""


def test_tiles_have_a_size():
    side = Side([torch.zeros(4)])
    for height, width in ((0, 5), (5, 0), (1 << 20, 1 << 20)):
        with pytest.raises(InputError, match="cannot be drawn"):
            draw_tile(side, Spec.of_shape((4,)), max_height=height, max_width=width)


def test_bytes_are_little_endian_float32():
    side = Side([torch.tensor([[1.0, -2.0]])])
    tile = draw_tile(side, Spec.of_shape((1, 2)), max_height=1, max_width=2)
    assert np.frombuffer(tile.as_bytes(), "<f4").tolist() == [1.0, -2.0]
    assert tile.as_json()["minimum"] == -2.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_what_is_not_finite_on_both_sides_is_no_difference(dtype):
    expected = torch.zeros(4, 4, dtype=dtype)
    expected[0, 0], expected[1, 1], expected[2, 2] = math.nan, math.inf, -math.inf
    actual = expected.clone()
    actual[3, 3], actual[2, 2] = -0.5, math.inf
    spec = Spec.of_shape((4, 4))
    tile = draw_difference(Side([expected]), spec, Side([actual]), spec, max_height=2, max_width=2)
    assert tile.pixels.tolist() == [[0.0, 0.0], [0.0, math.inf]]


@pytest.mark.parametrize("at", [(0, 0), (3, 1), (4, 6), (7, 7)])
@pytest.mark.parametrize("shape", [(8, 8), (16, 4), (4, 16)])
def test_a_pixel_that_is_looked_at_piece_by_piece_is_the_largest_of_all(at, shape):
    numbers = torch.ones(shape)
    numbers.view(-1)[at[0] * 8 + at[1]] = -9
    with patch("outgrow.compare.view.piece._ELEMENTS", 4):
        tile = draw_tile(Side([numbers]), Spec(fixed=(0, 0), rows=0, columns=1), max_height=1, max_width=1)
    assert tile.pixels.tolist() == [[-9.0]]
