"""A Linear computed in row tiles gives the bits that it gives at once.

Streaming of large weights stands on it. What does not hold is ruled out in `weights.py`.
"""

import itertools

import pytest
import torch
from torch.nn import functional as F

from outgrow.stream.weights import PHASE_BYTES, TILE_ROWS, WIDE_TILE_ROWS, cut_weight
from tests.stream.weight_makers import weight

DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
ROWS = [129, 191, 400, 576, 1000, 1541]
COLUMNS = [33, 64, 192, 576]
BATCHES = [1, 2, 3, 4, 5, 33]


def tiled_product(inputs, matrix, bias, limit_bytes, lead):
    """`F.linear` by the tiles that a limit gives, each `lead` bytes behind a multiple of 64."""
    described = weight(0, tuple(matrix.shape), dtype=matrix.dtype)
    parts = []
    for first, last in cut_weight(described, limit_bytes):
        rows = matrix[first:last]
        room = torch.empty(rows.nbytes + 64 + lead, dtype=torch.uint8)
        begin = -room.data_ptr() % 64 + lead
        tile = room[begin : begin + rows.nbytes].view(matrix.dtype).view(rows.shape).copy_(rows)
        parts.append(F.linear(inputs, tile, None if bias is None else bias[first:last]))
    return torch.cat(parts, dim=-1), len(parts)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("rows", ROWS)
def test_tiles_have_the_bits_of_the_whole(dtype, rows):
    torch.manual_seed(rows)
    counts = set()
    for columns, batch in itertools.product(COLUMNS, BATCHES):
        matrix = torch.randn(rows, columns).to(dtype)
        inputs = torch.randn(batch, columns).to(dtype)
        bias = torch.randn(rows).to(dtype) if batch % 2 else None
        expected = F.linear(inputs, matrix, bias)
        for tile_rows in (TILE_ROWS, 192):
            limit = tile_rows * columns * dtype.itemsize
            for lead in (0, PHASE_BYTES):
                actual, count = tiled_product(inputs, matrix, bias, limit, lead)
                assert torch.equal(actual, expected), (columns, batch, tile_rows, lead)
                counts.add(count)
    assert max(counts) == max(rows // (TILE_ROWS if dtype.itemsize < 8 else WIDE_TILE_ROWS), 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(2, 3), (1, 1), (4, 1, 2)], ids=str)
def test_tiles_of_inputs_with_more_dims(dtype, shape):
    torch.manual_seed(0)
    matrix = torch.randn(999, 96).to(dtype)
    inputs = torch.randn(*shape, 96).to(dtype)
    actual, count = tiled_product(inputs, matrix, None, 64 * 96 * dtype.itemsize, 0)
    assert count == 15
    assert torch.equal(actual, F.linear(inputs, matrix))
