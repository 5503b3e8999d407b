"""The sides of a pair are the tensors that were compared, found without laying them out."""

import pytest
import torch

from outgrow.capture.recording import Record
from outgrow.compare import compare
from outgrow.compare.view import Spec, Window, aligned_sides, own_side
from outgrow.errors import InputError
from tests.compare.view.made import numbers
from tests.compare.view.windows import bits

HEADS, TOKENS, WIDTH = 8, 12, 16


def runs(kind):
    """An expected run and an actual one of other layouts, three layers each."""
    expected, actual = {}, {}
    for layer in range(3):
        query = numbers(1, HEADS, TOKENS, WIDTH, seed=layer)
        if kind == "permuted":
            expected[f"{layer}_query"] = query
            actual[f"{layer}_query"] = query[0].transpose(0, 1).contiguous()
        elif kind == "merged":
            expected[f"{layer}_query"] = query[0].transpose(0, 1).reshape(TOKENS, HEADS * WIDTH)
            actual[f"{layer}_query"] = query
        elif kind == "ranks":
            expected[f"{layer}_query"] = query[0]
            actual[f"{layer}_query"] = [part.contiguous() for part in query[0].chunk(2)]
        elif kind == "fused":
            weights = [numbers(32, 48, seed=10 * layer + part) for part in range(3)]
            for role, weight in zip("qkv", weights, strict=True):
                expected[f"model.layers.{layer}.self_attn.{role}_proj.weight"] = weight
            actual[f"model.layers.{layer}.self_attn.qkv_proj.weight"] = torch.cat(weights)
    if kind == "ranks":
        return expected, [{name: parts[rank] for name, parts in actual.items()} for rank in range(2)]
    return expected, actual


@pytest.mark.parametrize("kind", ["permuted", "merged", "ranks", "fused"])
def test_sides_are_what_was_compared(kind):
    expected, actual = runs(kind)
    with compare(expected=expected, actual=actual) as comparison:
        assert len(comparison.findings) == len(expected)
        for finding in comparison.findings:
            laid_out = comparison.tensors(finding)
            for side, whole in zip(aligned_sides(finding), reversed(laid_out), strict=True):
                assert side.shape == tuple(whole.shape)
                line = Window(side, Spec(fixed=(), flat=True))
                assert bits(line.block(0, 1, 0, side.elements)) == bits(whole)


def test_a_pair_without_a_layout_is_looked_at_in_its_own_shapes():
    with compare(
        expected={"0_query": numbers(4, 6)},
        actual={"0_query": numbers(4, 5)},
        name_map={"0_query": "0_query"},
    ) as comparison:
        (finding,) = comparison.findings
        with pytest.raises(InputError, match="cannot be laid out") as caught:
            aligned_sides(finding)
        assert caught.value.hint
        assert own_side(finding.pair.actual[0]).shape == (4, 5)


def test_a_tensor_that_has_changed_meanwhile_is_refused():
    record = Record(name="a", sequence=0, dtype=torch.float32, shape=(3,), read=lambda: torch.zeros(4))
    with pytest.raises(InputError, match="now is") as caught:
        own_side(record)
    assert caught.value.hint
