"""A comparison under another map: the same as one made anew, without reading what stays the same."""

import dataclasses
import itertools

import pytest
import torch

from outgrow.capture.recording import Record, Recording
from outgrow.compare import Rules, compare
from outgrow.compare.comparison import Comparison
from outgrow.compare.names import NameMap, NameRule, pair_records
from outgrow.errors import InputError


class Counted:
    """A run in memory that counts how often each tensor is read, and whether it was closed."""

    def __init__(self, tensors):
        self.reads = dict.fromkeys(tensors, 0)
        self.closed = 0
        records = [self._record(place, name, tensor) for place, (name, tensor) in enumerate(tensors.items())]
        self.recording = Recording(label="counted", records=records, close=self._close)

    def _record(self, place, name, tensor):
        def read():
            assert not self.closed, "read after it was closed"
            self.reads[name] += 1
            return tensor

        return Record(
            name=name,
            sequence=place,
            dtype=tensor.dtype,
            shape=tuple(tensor.shape),
            read=read,
            kind="outputs",
        )

    def _close(self):
        self.closed += 1

    def take(self):
        """Names that were read since the last time."""
        read = {name for name, count in self.reads.items() if count}
        self.reads = dict.fromkeys(self.reads, 0)
        return read


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rule(expected, actual, layout=None):
    return NameRule(expected=expected, actual=actual, layout=layout)


def runs(*, ranks=1):
    """Three layers; the actual run has its queries heads first, and in layer 1 query and key are confused."""
    expected, actual = {}, [{} for _ in range(ranks)]
    for layer in range(3):
        for place, stage in enumerate(("query", "key", "post_mlp")):
            tensor = numbers(1, 4, 6, 8, seed=10 * layer + place)
            expected[f"{layer}_{stage}"] = tensor
            for rank, part in enumerate(tensor.chunk(ranks, 1)):
                given = part[0].permute(1, 0, 2).contiguous() if stage == "query" else part.contiguous()
                name = f"{layer}_{stage}"
                actual[rank][{"1_query": "mixed_up", "1_post_mlp": "other"}.get(name, name)] = given
    return Counted(expected), [Counted(part) for part in actual]


def opened(expected, actual, **options):
    sides = [part.recording for part in actual]
    name_map = options.pop("name_map", None)
    pairing = pair_records(expected.recording, sides, name_map=name_map)
    return Comparison(expected.recording, sides, pairing, name_map=name_map, **options)


def told(comparison):
    """All that a comparison says, but for objects that are made anew."""
    return (
        [
            (
                finding.pair.expected_name,
                finding.pair.actual_name,
                finding.pair.how,
                finding.layout,
                finding.measures,
                finding.judged,
            )
            for finding in comparison.findings
        ],
        comparison.verdict,
        comparison.judgement,
        comparison.diagnoses,
        comparison.notes,
    )


CASES = {
    "paired otherwise": [rule("0_query", "0_key"), rule("0_key", "2_key")],
    "unpaired before": [rule("1_query", "mixed_up"), rule("1_post_mlp", "other")],
    "with a layout": [rule("1_query", "mixed_up", "permute(1, 0, 2), unsqueeze(0)")],
    "a whole stage": [rule("{layer}_query", "{layer}_query", "permute(1, 0, 2), unsqueeze(0)")],
    "none": [],
}


@pytest.mark.parametrize("rules", CASES.values(), ids=CASES)
@pytest.mark.parametrize("ranks", [1, 2])
def test_it_says_what_a_new_comparison_says(rules, ranks):
    if ranks > 1:
        rules = [
            dataclasses.replace(one, layout=one.layout and f"concatenate(1), {one.layout}") for one in rules
        ]
    with opened(*runs(ranks=ranks), name_map=NameMap(rules=tuple(rules))) as anew:
        wanted = told(anew)
    with opened(*runs(ranks=ranks)) as before:
        automatic = told(before)
        with before.remapped(rules) as after:
            assert told(after) == wanted
            with after.remapped([]) as back:
                assert told(back) == automatic
        assert told(before) == automatic


def test_only_what_changed_is_read():
    expected, (actual,) = runs()
    with opened(expected, [actual]) as before:
        assert before.verdict
        assert len(expected.take()) == 7
        actual.take()
        with before.remapped([rule("1_post_mlp", "other")]) as after:
            assert after.verdict
            assert (expected.take(), actual.take()) == ({"1_post_mlp"}, {"other"})
            with after.remapped([]) as back:
                assert back.verdict
                assert (expected.take(), actual.take()) == (set(), set())


def test_a_new_layer_of_a_stage_has_its_layout_without_reading_the_others():
    expected, (actual,) = runs()
    with opened(expected, [actual]) as before:
        assert before.verdict
        expected.take(), actual.take()
        with before.remapped([rule("1_query", "mixed_up")]) as after:
            assert [found.layout.describe() for found in after.findings if found.pair.stage == "query"] == [
                "[6, 4, 8] -> [1, 4, 6, 8]: permute(1, 0, 2)"
            ] * 3
            assert (expected.take(), actual.take()) == ({"1_query"}, {"mixed_up"})


def test_a_pair_with_another_layout_is_measured_anew():
    expected, (actual,) = runs()
    with opened(expected, [actual]) as before:
        assert before.findings[0].measures.max_abs == 0
        wrong = [rule("0_query", "0_query", "reshape(1, 4, 6, 8)")]
        with before.remapped(wrong) as after:
            assert after.findings[0].measures.max_abs > 0
            assert after.first_divergence.pair.expected_name == "0_query"


@pytest.mark.parametrize("order", ["old first", "new first"])
def test_the_runs_are_closed_with_the_last_comparison(order):
    expected, (actual,) = runs()
    before = opened(expected, [actual])
    after = before.remapped([rule("1_query", "mixed_up")])
    first, last = (before, after) if order == "old first" else (after, before)
    first.close()
    first.close()
    assert expected.closed == actual.closed == 0
    assert last.verdict
    last.close()
    assert expected.closed == actual.closed == 1


def test_one_that_is_closed_makes_no_other():
    expected, (actual,) = runs()
    comparison = opened(expected, [actual])
    comparison.close()
    with pytest.raises(InputError, match="is closed"):
        comparison.remapped([])


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ([rule("nobody", "0_key")], "has nothing that"),
        ([rule("0_query", "0_key"), rule("0_key", "0_key")], "two rules of the map want"),
        (
            [rule("0_query", "0_query", "permute(0, 1)")],
            "'0_query' and '0_query': the layout 'permute.0, 1.' does not fit",
        ),
        ([rule("0_query", "0_query", "turn(1)")], "0_query.*there is no 'turn'"),
    ],
)
def test_a_map_that_does_not_fit_changes_nothing(rules, why):
    expected, (actual,) = runs()
    with opened(expected, [actual]) as before:
        automatic = told(before)
        with pytest.raises(InputError, match=why):
            before.remapped(rules)
        assert told(before) == automatic
    assert expected.closed == actual.closed == 1


def test_tolerances_stay():
    expected = {"a": torch.ones(8), "b": torch.ones(8)}
    actual = {"a": torch.ones(8), "c": 1.01 * torch.ones(8)}
    loose, rules = Rules(rtol=0.1, atol=0.0), [rule("b", "c")]
    with compare(expected=expected, actual=actual, rules=loose) as before, before.remapped(rules) as after:
        assert [found.judged.status for found in after.findings] == ["ok", "ok"]
        assert after.name_map.rules == (rule("b", "c"),)
    with compare(expected=expected, actual=actual, is_exact=True) as before, before.remapped(rules) as after:
        assert after.verdict == "differ"


def squares():
    """The actual run holds query, key and value as one tensor; `square` is equal on both sides."""
    parts = [numbers(5, 6, seed=seed) for seed in range(3)]
    expected = {"0_query": parts[0], "0_key": parts[1], "0_value": parts[2], "square": numbers(4, 4, seed=9)}
    return Counted(expected), [Counted({"0_qkv": torch.cat(parts, 1), "square": expected["square"]})]


CHANGES = {
    "another part": [
        [rule("0_query", "0_qkv[query]"), rule("0_key", "0_qkv[key]")],
        [rule("0_query", "0_qkv[key]"), rule("0_key", "0_qkv[query]")],
    ],
    "another layout of the expected tensor alone": [
        [rule("square", "square", "identity")],
        [rule("square", "square", "identity; expected: permute(1, 0)")],
        [rule("square", "square", "permute(1, 0)")],
    ],
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_nothing_is_remembered_of_another_part_or_layout(changes):
    told_anew = []
    for rules in changes:
        with opened(*squares(), name_map=NameMap(rules=tuple(rules))) as anew:
            told_anew.append(told(anew))
    assert all(one != other for one, other in itertools.pairwise(told_anew))
    before = opened(*squares())
    told(before)
    for rules, wanted in zip([*changes, *reversed(changes)], [*told_anew, *reversed(told_anew)], strict=True):
        after = before.remapped(rules)
        assert told(after) == wanted
        before.close()
        before = after
    before.close()
