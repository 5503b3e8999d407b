"""A mapping that was saved: the same pairs, layouts, numbers and verdict when it is given back."""

import time

import pytest
import torch

from outgrow.capture.recording import Record, Recording
from outgrow.compare import compare
from outgrow.compare.comparison import Comparison
from outgrow.compare.mapping import mapping_text, whole_map
from outgrow.compare.names import NameMap, NameRule, pair_records, parse_name_map


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def plain():
    return {f"{layer}_query": numbers(6, 8, seed=layer) for layer in range(3)}


def heads_first():
    """Layers counted from 3, heads merged, a wrong number in one layer, and something on one side each."""
    expected = {f"{n}_{stage}": numbers(1, 4, 6, 8, seed=9 * n + s)
                for n in range(4) for s, stage in enumerate(("query", "key"))}  # fmt: skip
    actual = {
        f"{n + 3}_{stage}": expected[f"{n}_{stage}"][0].permute(1, 0, 2).flatten(1 if stage == "key" else 2)
        for n in range(4)
        for stage in ("query", "key")
    }
    actual["5_query"] = actual["5_query"] + (torch.arange(6 * 4 * 8).reshape(6, 4, 8) == 7)
    expected |= {f"{n}_scaling": numbers(3, seed=n) for n in range(4)} | {"odd name = *": numbers(2)}
    return expected, [actual | {"z*": numbers(7)}]


def ranks():
    """Shards, replicas that do not agree, sums, a stage in which the second layer's ranks are confused."""
    expected, actual = {}, [{}, {}]
    for layer in range(3):
        for place, stage in enumerate(("query", "key", "pre_mlp", "post_mlp")):
            tensor = expected[f"{layer}_{stage}"] = numbers(5, 12, 8, seed=10 * layer + place)
            halves = [part.contiguous() for part in tensor.chunk(2, 1)]
            if stage == "query" and layer == 1:
                halves.reverse()
            whole = [tensor, tensor + (0.5 if layer == 2 else 0)]
            sums = [0.3 * tensor + 1, 0.7 * tensor - 1]
            for rank in range(2):
                part = {"pre_mlp": whole, "post_mlp": sums}.get(stage, halves)[rank]
                actual[rank][f"{layer}_{stage}"] = part
    return expected, actual


def fused():
    """Query, key and value in one, by heads; gate and up in one on the other side; repeated key heads."""
    expected, actual = {}, {}
    for layer in range(3):
        query, key, value = (numbers(16, 12, seed=10 * layer + place) for place in range(3))
        expected |= {f"{layer}_query": query, f"{layer}_key": key, f"{layer}_value": value}
        heads = [part.reshape(4, 4, 12) for part in (query, key, value)]
        actual[f"{layer}_qkv"] = torch.cat(heads, 1).reshape(48, 12)
        both = numbers(24, 12, seed=10 * layer + 5)
        expected[f"{layer}_gate_up"] = both
        actual |= {f"{layer}_gate": both[:12], f"{layer}_up": both[12:]}
        few = numbers(2, 6, 8, seed=10 * layer + 6)
        expected[f"{layer}_key_final"] = few
        actual[f"{layer}_key_final"] = few.repeat_interleave(3, 0)
    return expected, [actual]


def nothing_fits():
    """Tensors that cannot be laid out."""
    expected, (actual,) = heads_first()
    actual["4_query"] = numbers(6, 5, 8)
    actual["3_key"] = numbers(6, 4, 8, seed=77)
    return expected, [actual]


RUNS = {
    "equal": lambda: (plain(), [plain()]),
    "heads first": heads_first,
    "ranks": ranks,
    "fused": fused,
    "nothing fits": nothing_fits,
    "nothing paired": lambda: ({"a": numbers(3), "b": numbers(2)}, [{"c": numbers(5), "d": numbers(7)}]),
}


def told(comparison):
    """What the comparison says of the numbers, and what it compared."""
    return (
        [
            (
                finding.pair.expected_name,
                finding.pair.actual_name,
                finding.layout.describe(),
                finding.measures,
                finding.judged,
            )
            for finding in comparison.findings
        ],
        comparison.judgement,
        comparison.diagnoses,
    )


@pytest.mark.parametrize("make", RUNS.values(), ids=RUNS)
def test_a_mapping_that_was_saved_says_the_same(make, tmp_path):
    expected, actual = make()
    with compare(expected=expected, actual=actual) as before:
        text = mapping_text(before)
        wanted = told(before)
        assert not whole_map(before)[1]
    (tmp_path / "saved.map").write_text(text)
    with compare(expected=expected, actual=actual, name_map=tmp_path / "saved.map") as after:
        assert told(after) == wanted
        assert {finding.pair.how for finding in after.findings} <= {"map"}
        # What was saved is saved again.
        assert mapping_text(after) == text


def test_layers_are_one_line():
    expected, actual = heads_first()
    with compare(expected=expected, actual=actual) as comparison:
        assert mapping_text(comparison).splitlines() == [
            "# expected = actual : layout",
            "{layer}_query = {layer+3}_query : permute(1, 0, 2), unsqueeze(0)",
            "{layer}_key = {layer+3}_key : reshape(6, 4, 8), permute(1, 0, 2), unsqueeze(0)",
            "{layer}_scaling = -",
            '"odd name = *" = -',
        ]


def test_a_pattern_never_takes_more_than_it_was_made_of():
    expected = {f"{n}_query": numbers(4, seed=n) for n in range(4)}
    actual = {f"{n}_query": numbers(4, seed=n) for n in range(4)}
    rules = [NameRule(expected="2_query", actual=None), NameRule(expected="3_query", actual="2_query")]
    with compare(expected=expected, actual=actual) as comparison, comparison.remapped(rules) as mapped:
        assert mapping_text(mapped).splitlines()[1:] == [
            "0_query = 0_query",
            "1_query = 1_query",
            "3_query = 2_query",
            "2_query = -",
        ]


def test_few_layers_may_be_exceptions_from_a_pattern(tmp_path):
    expected = {f"{n}_query": numbers(4, seed=n) for n in range(8)}
    actual = {f"{n}_query": numbers(4, seed=n) for n in range(8)} | {"other": numbers(4, seed=3)}
    rules = [NameRule(expected="3_query", actual="other"), NameRule(expected="5_query", actual=None)]
    with compare(expected=expected, actual=actual) as comparison, comparison.remapped(rules) as mapped:
        text, wanted = mapping_text(mapped), told(mapped)
    assert text.splitlines()[1:] == ["{layer}_query = {layer}_query", "3_query = other", "5_query = -"]
    (tmp_path / "map").write_text(text)
    with compare(expected=expected, actual=actual, name_map=tmp_path / "map") as again:
        assert told(again) == wanted


def test_many_patterns_on_many_names_take_no_time():
    """A thousand of them that are alike but for their numbers."""
    content = {
        f"layers.{layer}.experts.{expert}.w": torch.ones(1) for layer in range(12) for expert in range(300)
    }
    with compare(expected=content, actual=content) as comparison:
        name_map, unsaid = whole_map(comparison)
        assert (len(name_map.rules), unsaid) == (300, ())
        began = time.process_time()
        pair_records(comparison.expected, comparison.actual, name_map=name_map)
        patterns = time.process_time() - began
        began = time.process_time()
        pair_records(comparison.expected, comparison.actual)
        assert patterns < 5 * (time.process_time() - began) + 1


def records(names, **more):
    return [
        Record(
            name=name, sequence=place, dtype=torch.float32, shape=(4,), read=lambda: torch.ones(4),
            call=call, kind="outputs", **more,
        )
        for place, (name, call) in enumerate(names)
    ]  # fmt: skip


def test_what_a_map_cannot_say_is_named():
    """Two calls of one name that are paired with two names: by rules nobody could tell them apart."""
    expected = Recording(label="e", records=records([("a", 0), ("a", 1)]))
    actual = Recording(label="a", records=records([("model.a", 0), ("transformer.a", 1)]))
    pairing = pair_records(expected, [actual])
    assert len(pairing.pairs) == 2
    with Comparison(expected, [actual], pairing) as comparison:
        assert whole_map(comparison)[1]
        assert "# what a map cannot say: a" in mapping_text(comparison)


def test_the_users_own_layouts_stay_as_they_were_written(tmp_path):
    expected, actual = heads_first()
    rules = (NameRule(expected="0_query", actual="3_query", layout="permute( 1,0, 2 ) ; reshape"),)
    with compare(expected=expected, actual=actual, name_map=NameMap(rules=rules)) as comparison:
        text = mapping_text(comparison)
        wanted = told(comparison)
    assert "0_query = 3_query : permute( 1,0, 2 ) ; reshape\n" in text
    (tmp_path / "map").write_text(text)
    with compare(expected=expected, actual=actual, name_map=parse_name_map(tmp_path / "map")) as again:
        assert told(again) == wanted
