"""`find_stage_layouts`: a layout for each stage, voted by its layers; no tensor is read that need not be."""

import dataclasses

import pytest
import torch

from outgrow.compare.layout import PartialSum, Replicated, find_stage_layouts
from outgrow.errors import InputError
from tests.compare.layout.pairs import find_equal, gate_up, laid_out, pair, qkv, record


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def swapped(x):
    return x.transpose(0, 1).contiguous()


def test_equal_shapes_are_the_identity_and_are_not_read():
    def read():
        raise AssertionError("read")

    tensor = torch.zeros(4, 4)
    plain = pair(tensor, tensor)
    unread = dataclasses.replace(
        plain, expected=record(tensor, read=read), actual=(record(tensor, read=read),)
    )
    (found,) = find_stage_layouts([unread])
    assert found.layout.is_identity


def test_heads_beside_tokens():
    expected = torch.randn(1, 8, 76, 64)
    found = find_equal(pair(expected, swapped(expected[0])))
    assert found.layout.describe() == "[76, 8, 64] -> [1, 8, 76, 64]: permute(1, 0, 2)"
    assert found.reason is None


def test_equal_shapes_but_for_ones_are_never_permuted():
    expected = torch.randn(1, 8, 8, 64)
    (found,) = find_stage_layouts([pair(expected, swapped(expected[0]))])
    assert found.layout.describe() == "[8, 8, 64] -> [1, 8, 8, 64]: unsqueeze(0)"


def test_shards_that_make_the_shape_are_not_permuted_either():
    expected = torch.randn(64, 64)
    (found,) = find_stage_layouts([pair(expected, *(part.contiguous() for part in expected.T.chunk(2)))])
    assert found.layout.describe() == "concatenate 2 ranks along dim 0"
    assert "the numbers do not confirm it" in found.reason


def test_ranks_side_by_side():
    expected = torch.randn(76, 512)
    found = find_equal(pair(expected, *(part.contiguous() for part in expected.chunk(4, 1))))
    assert found.layout.describe() == "concatenate 4 ranks along dim 1"
    found = find_equal(pair(expected, *(part.contiguous() for part in expected.split([100, 412], 1))))
    assert found.layout.describe() == "concatenate 2 ranks along dim 1"


class TestVote:
    """The layers of a stage have one layout."""

    def layers(self, broken, count=6):
        pairs = []
        for layer in range(count):
            expected = torch.randn(8, 8, 60)
            actual = expected.permute(1, 2, 0).contiguous()
            pairs.append(pair(expected, broken(actual) if layer else actual, layer=layer))
        return pairs

    def test_layer_of_other_numbers_goes_with_the_others(self):
        pairs = self.layers(torch.randn_like)
        found = find_stage_layouts(pairs)
        assert {one.layout for one in found} == {found[0].layout}
        actual, expected = laid_out(found[0], pairs[0])
        assert torch.equal(actual, expected)
        assert found[1].layout is not None
        assert "as in the other layers of query" in found[1].reason

    def test_layer_that_contradicts_is_flagged_and_not_given_its_own(self):
        pairs = self.layers(lambda actual: actual)
        wrong = swapped(pairs[4].actual[0].read().transpose(0, 2)).transpose(0, 2).contiguous()
        turned = pairs[4].expected.read().transpose(1, 2).contiguous()
        pairs[4] = pair(pairs[4].expected.read(), turned, layer=4)
        assert wrong.shape != turned.shape
        found = find_stage_layouts(pairs)
        assert found[3].suspected == {}
        assert found[4].layout is not None

    def test_other_layout_of_equal_shape_is_flagged(self):
        pairs = []
        for layer in range(6):
            expected = torch.randn(8, 8, 60)
            order = (0, 2, 1) if layer != 4 else (1, 2, 0)
            pairs.append(pair(expected, expected.permute(order).contiguous(), layer=layer))
        found = find_stage_layouts(pairs)
        assert len({one.layout for one in found}) == 1
        assert "other_layout" in found[4].suspected
        assert all(not one.suspected for one in found[:4])

    def test_layer_that_is_constant_follows_the_others(self):
        pairs = self.layers(torch.zeros_like)
        found = find_stage_layouts(pairs)
        assert len({one.layout for one in found}) == 1
        assert torch.equal(*laid_out(found[0], pairs[0]))

    def test_stages_vote_by_themselves(self):
        one, other = torch.randn(8, 8, 60), torch.randn(8, 8, 60)
        pairs = [
            pair(one, one.permute(1, 2, 0).contiguous()),
            pair(other, other.permute(0, 2, 1).contiguous(), stage="key"),
        ]
        for found, each in zip(find_stage_layouts(pairs), pairs, strict=True):
            assert torch.equal(*laid_out(found, each))


class TestReplicas:
    """Ranks that all hold the whole."""

    def test_equal_ranks(self):
        expected = torch.randn(76, 512)
        found = find_equal(pair(expected, *[expected] * 4))
        assert found.layout.describe() == "replicated on 4 ranks"
        assert found.suspected == {}

    @pytest.mark.parametrize("value", [torch.nan, 9.0])
    def test_rank_that_disagrees_in_one_element_is_the_one_that_is_measured(self, value):
        expected = torch.randn(76, 512)
        other = expected.clone()
        other[3, 4] = value
        whole = pair(expected, expected, other, expected)
        (found,) = find_stage_layouts([whole])
        actual, _ = laid_out(found, whole)
        assert found.layout.describe() == "replicated on 3 ranks, measured on rank 1"
        assert torch.equal(actual.nan_to_num(), other.nan_to_num())
        assert "rank 1 differs from rank 0 in up to 1 elements" in found.suspected["replicas_differ"]

    def test_nan_in_the_same_place_on_all_ranks_is_agreement(self):
        expected = torch.randn(76, 512)
        expected[0, 0] = torch.nan
        (found,) = find_stage_layouts([pair(expected, expected, expected.clone())])
        assert found.suspected == {}

    def test_ranks_that_neither_agree_nor_add_up_are_refused(self):
        (found,) = find_stage_layouts(
            [pair(torch.randn(76, 512), torch.randn(76, 512), torch.randn(76, 512))]
        )
        assert found.layout is None


class TestPartialSums:
    """Ranks that hold summands."""

    def summands(self, expected, ranks=2):
        parts = [torch.randn_like(expected) for _ in range(ranks - 1)]
        return [*parts, expected - sum(parts)]

    def test_sums_in_every_layer_are_added_and_said(self):
        pairs = []
        for layer in range(3):
            expected = torch.randn(76, 64)
            pairs.append(pair(expected, *self.summands(expected), stage="mlp.out", layer=layer))
        for found, each in zip(find_stage_layouts(pairs), pairs, strict=True):
            assert isinstance(found.layout, PartialSum)
            assert "taken as partial sums" in found.reason
            assert torch.allclose(*laid_out(found, each), atol=1e-5)

    def test_sums_in_one_layer_alone_are_a_missing_all_reduce(self):
        pairs = []
        for layer in range(3):
            expected = torch.randn(76, 64)
            ranks = self.summands(expected) if layer == 1 else [expected, expected]
            pairs.append(pair(expected, *ranks, stage="mlp.out", layer=layer))
        found = find_stage_layouts(pairs)
        assert isinstance(found[0].layout, Replicated)
        assert isinstance(found[1].layout, Replicated)
        assert "were not added up" in found[1].suspected["partial_sum"]
        assert not torch.allclose(*laid_out(found[1], pairs[1]), atol=1e-1)

    @pytest.mark.parametrize("is_missing", [False, True])
    def test_what_the_ranks_go_on_with_tells_sums_from_a_missing_all_reduce(self, is_missing):
        expected, after = torch.randn(76, 64), torch.randn(76, 64)
        summands = self.summands(expected)
        following = [after + 0.3 * part for part in summands] if is_missing else [after, after]
        pairs = [pair(expected, *summands, stage="attention.out"), pair(after, *following, stage="residual")]
        first, second = find_stage_layouts(pairs)
        assert isinstance(first.layout, Replicated if is_missing else PartialSum)
        assert ("partial_sum" in first.suspected) == is_missing
        assert ("replicas_differ" in second.suspected) == is_missing

    def test_declared_sums_are_not_doubted(self):
        expected, after = torch.randn(76, 64), torch.randn(76, 64)
        summands = self.summands(expected)
        pairs = [
            pair(expected, *summands, stage="attention.out", placement="Partial(sum)"),
            pair(after, *[after + 0.3 * part for part in summands], stage="residual"),
        ]
        assert isinstance(find_stage_layouts(pairs)[0].layout, PartialSum)

    def test_layers_of_a_stage_may_declare_different_placements(self):
        """As eager sharding gives them: summands in some layers, whole in others."""
        summed, whole = torch.randn(2, 8, 16)
        found = find_stage_layouts(
            [
                pair(summed, *self.summands(summed), layer=0, placement="Partial(sum)"),
                pair(whole, whole, whole, layer=1, placement="Replicate()"),
            ]
        )
        assert [one.layout.describe() for one in found] == ["sum of 2 ranks", "replicated on 2 ranks"]

    def test_declared_replicas_are_not_added_up(self):
        expected = torch.randn(76, 64)
        (found,) = find_stage_layouts([pair(expected, *self.summands(expected), placement="Replicate()")])
        assert isinstance(found.layout, Replicated)
        assert "replicas_differ" in found.suspected


class TestRankOrder:
    """Shards in another order than they belong in."""

    @pytest.mark.parametrize("order", [(1, 0), (3, 2, 1, 0), (0, 2, 1, 3)])
    def test_order_is_suspected_and_the_given_one_kept(self, order):
        expected = torch.randn(76, 512)
        parts = [part.contiguous() for part in expected.chunk(len(order), 1)]
        (found,) = find_stage_layouts([pair(expected, *(parts[rank] for rank in order))])
        assert found.layout.describe() == f"concatenate {len(order)} ranks along dim 1"
        right = ", ".join(str(order.index(place)) for place in range(len(order)))
        assert f"the ranks fit in the order {right}:" in found.suspected["rank_order"]
        assert found.suspected["rank_order"] in found.reason

    def test_order_is_seen_behind_another_layout_and_noise(self):
        expected = torch.randn(1, 8, 76, 64)
        parts = [part[0].transpose(0, 1).flatten(1) for part in expected.chunk(4, 1)]
        noisy = [part + 0.1 * torch.randn_like(part) for part in parts]
        (found,) = find_stage_layouts([pair(expected, *noisy[::-1])])
        assert torch.equal(found.layout.apply(parts), expected)
        assert "3, 2, 1, 0" in found.suspected["rank_order"]

    def test_right_order_is_not_suspected(self):
        expected = torch.randn(76, 512)
        noisy = expected + torch.randn_like(expected)
        (found,) = find_stage_layouts([pair(expected, *(part.contiguous() for part in noisy.chunk(4, 1)))])
        assert found.suspected == {}


class TestDeclared:
    """What the recording itself says."""

    def test_declared_dim_is_taken_where_the_numbers_say_nothing(self):
        expected = torch.randn(2, 2, 50)
        shards = [torch.randn(1, 2, 50), torch.randn(1, 2, 50)]
        (found,) = find_stage_layouts([pair(expected, *shards, placement="Shard(0)")])
        assert found.layout.describe() == "concatenate 2 ranks along dim 0"

    def test_numbers_outweigh_what_is_declared(self):
        x = torch.randn(2, 64, 50)
        shards = [part.contiguous() for part in x.permute(1, 0, 2).chunk(2, 0)]
        (found,) = find_stage_layouts([pair(x, *shards, placement="Shard(1)")])
        assert torch.equal(found.layout.apply(shards), x)

    @pytest.mark.parametrize("text", ["Shard(7)", "Shard(x)", "Partial(max)", "Shard(0), Shard(1)", "?"])
    def test_what_cannot_be_understood_is_left_to_the_numbers(self, text):
        x = torch.randn(64, 50)
        shards = [part.contiguous() for part in x.chunk(2, 1)]
        (found,) = find_stage_layouts([pair(x, *shards, placement=text)])
        assert torch.equal(found.layout.apply(shards), x)


class TestHint:
    """What the user's map says."""

    def test_layout_that_is_given_is_taken_without_reading(self):
        expected = torch.randn(8, 8)
        (found,) = find_stage_layouts([pair(expected, expected.T, layout_hint="transpose(0, 1)")])
        assert found.layout.describe() == "transpose(0, 1)"
        assert found.reason == "as given"

    def test_layout_of_a_part_says_where_it_is(self):
        whole = torch.arange(8.0).reshape(4, 2)
        one = pair(whole[2:], whole, fused=gate_up(1), layout_hint="part(0, 2, 4)")
        (found,) = find_stage_layouts([one])
        assert found.describe() == "up at 2:4 of dim 0"
        assert torch.equal(*laid_out(found, one))
        with pytest.raises(InputError, match=r"'x' and 'x\[gate\]': .*cannot be reshaped"):
            find_stage_layouts([pair(whole[:2], whole, fused=gate_up(0), layout_hint="reshape")])


def test_other_number_of_elements_is_refused_with_the_shapes():
    (found,) = find_stage_layouts([pair(torch.randn(8, 5), torch.randn(8, 6))])
    assert found.layout is None
    assert "[8, 6] against [8, 5]: the numbers of elements do not fit" in found.reason


def test_a_part_that_fits_by_its_size_and_not_by_its_numbers_is_refused_for_that():
    gate, up = torch.randn(16, 8), torch.randn(16, 8)
    whole = torch.cat([torch.randn(16, 8), up])
    (found,) = find_stage_layouts([pair(gate, whole, fused=gate_up(0))])
    assert found.layout is None
    assert found.reason == (
        "[32, 8] against [16, 8]: the shapes allow gate as a part, but the numbers confirm no way to do it"
    )


def test_few_tensors_are_read_more_than_once():
    reads = []

    def counted(tensor, name):
        def read():
            reads.append(name)
            return tensor

        return record(tensor, read=read)

    pairs = []
    for layer in range(20):
        expected = torch.randn(8, 76, 16)
        plain = pair(expected, swapped(expected), layer=layer)
        pairs.append(
            dataclasses.replace(
                plain,
                expected=counted(expected, layer),
                actual=(counted(swapped(expected), layer),),
            )
        )
    find_stage_layouts(pairs)
    assert len(reads) == 2 * 20


class TestOtherStages:
    """Where no layer of a stage says anything."""

    def heads(self, count, fault=lambda x: x, **more):
        expected = torch.randn(1, count, 76, 64)
        return pair(expected, fault(expected)[0].transpose(0, 1).flatten(1), **more)

    def test_stage_follows_one_that_is_confirmed_whatever_its_sizes(self):
        wrong = self.heads(8, lambda x: x.roll(32, 3), stage="query.final")
        found, other = find_stage_layouts([wrong, self.heads(2, stage="value")])
        assert other.reason is None
        assert found.layout.describe() == (
            "[76, 512] -> [1, 8, 76, 64]: reshape(76, 8, 64), permute(1, 0, 2)"
        )
        assert "laid out as value is" in found.reason

    def test_part_follows_the_other_parts(self):
        parts = [torch.randn(37, 8, 16) for _ in range(3)]
        whole = torch.stack(parts, 2).flatten(1)
        pairs = [
            pair(part.flatten(1), whole, stage=f"part {i}", fused=qkv(i)) for i, part in enumerate(parts)
        ]
        pairs[1] = pair(torch.randn(37, 128), whole, stage="part 1", fused=qkv(1))
        found = find_stage_layouts(pairs)
        assert found[1].layout.describe() == "key at 16:32 of each 48 of 8 along dim 1"
        assert "laid out as" in found[1].reason

    def test_stage_with_nobody_to_follow_is_refused(self):
        wrong = self.heads(8, torch.randn_like)
        found, _ = find_stage_layouts([wrong, pair(torch.randn(3, 4, 50), torch.randn(50, 12), stage="key")])
        assert found.layout is None
