"""`find_stage_layouts`: one layout for each stage, with no tensor read that need not be."""

import pytest
import torch
from torch import Tensor

from outgrow.capture.recording import Record
from outgrow.compare.layout import find_stage_layouts
from outgrow.compare.pair import FusedPart, Pair


def record(tensor, *, name="x", read=None, **more):
    return Record(
        name=name,
        sequence=0,
        dtype=tensor.dtype,
        shape=tuple(tensor.shape),
        read=read or (lambda: tensor),
        **more,
    )


def pair(expected, *actual, stage="query", layer=0, fused: FusedPart | None = None, **more):
    return Pair(
        expected=record(expected, **more),
        actual=tuple(record(tensor) for tensor in actual),
        stage=stage,
        layer=layer,
        how="role",
        fused=fused,
    )


def laid_out(found, one_pair) -> tuple[Tensor, Tensor]:
    actual = found.layout.apply([part.read() for part in one_pair.actual])
    return actual, found.expected_layout.apply([one_pair.expected.read()])


def check_equal(one_pair):
    (found,) = find_stage_layouts([one_pair])
    assert found.layout is not None, found.reason
    actual, expected = laid_out(found, one_pair)
    assert torch.equal(actual, expected), found.layout.describe()
    return found


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_equal_shapes_are_the_identity_and_are_not_read():
    def read():
        raise AssertionError("read")

    tensor = torch.zeros(4, 4)
    plain = Pair(
        expected=record(tensor, read=read),
        actual=(record(tensor, read=read),),
        stage="query",
        layer=0,
        how="identical",
    )
    (found,) = find_stage_layouts([plain])
    assert found.layout.is_identity


def test_heads_beside_tokens():
    expected = torch.randn(1, 8, 76, 64)
    found = check_equal(pair(expected, expected[0].transpose(0, 1).contiguous()))
    assert found.layout.describe() == "[76, 8, 64] -> [1, 8, 76, 64]: permute(1, 0, 2)"
    assert found.reason is None


def test_equal_shapes_but_for_ones_are_never_permuted():
    expected = torch.randn(1, 8, 8, 64)
    (found,) = find_stage_layouts([pair(expected, expected[0].transpose(0, 1).contiguous())])
    assert found.layout.describe() == "[8, 8, 64] -> [1, 8, 8, 64]: unsqueeze(0)"


def test_ranks_side_by_side():
    expected = torch.randn(76, 512)
    found = check_equal(pair(expected, *(part.contiguous() for part in expected.chunk(4, 1))))
    assert found.layout.describe() == "concatenate 4 ranks along dim 1"


def test_ranks_that_all_hold_the_same():
    expected = torch.randn(76, 512)
    found = check_equal(pair(expected, *[expected] * 4))
    assert found.layout.describe() == "replicated on 4 ranks"


def test_rank_that_disagrees_is_measured():
    expected = torch.randn(76, 512)
    other = expected.clone()
    other[3, 4] = torch.nan
    whole = pair(expected, expected, other, expected)
    (found,) = find_stage_layouts([whole])
    actual, _ = laid_out(found, whole)
    assert actual.isnan().sum() == 1
    assert "rank 1 differs from rank 0 in up to 1 elements" in found.suspected["replicas_differ"]


def test_other_number_of_elements_is_refused_with_the_shapes():
    (found,) = find_stage_layouts([pair(torch.randn(8, 5), torch.randn(8, 6))])
    assert found.layout is None
    assert "[8, 6] against [8, 5]: the numbers of elements do not fit" in found.reason
