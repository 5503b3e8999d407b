"""The user's own word on names."""

import json

import pytest

from outgrow.compare.names import NameRule, pair_records, parse_name_map
from outgrow.errors import InputError
from tests.compare.names.made import layers, record, recording, shown


def write(tmp_path, text):
    path = tmp_path / "names.map"
    path.write_text(text)
    return path


def test_text_has_a_rule_on_each_line(tmp_path):
    text = "# what answers what\n\n a = b \n{layer}_q = h.{layer-3}.q : permute(1, 0, 2)  # turned\nx=y#1\n"
    assert parse_name_map(write(tmp_path, text)).rules == (
        NameRule(expected="a", actual="b", line=3),
        NameRule(expected="{layer}_q", actual="h.{layer-3}.q", layout="permute(1, 0, 2)", line=4),
        NameRule(expected="x", actual="y#1", line=5),
    )


def test_json_and_mappings_say_the_same(tmp_path):
    content = {"a = 1": "b", "{layer}_q": "q.{layer}"}
    assert parse_name_map(write(tmp_path, json.dumps(content))) == parse_name_map(content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = b\nnonsense\n", "line 2 of the map is no rule: 'nonsense'"),
        ("a =\n", "line 1 of the map is no rule"),
        ("= b\n", "line 1 of the map is no rule"),
        ("a = b\na = c\n", r"'a' twice: a = b \(line 1\) and a = c \(line 2\)"),
        ("a = b\nc = b\n", r"'b' twice: a = b \(line 1\) and c = b \(line 2\)"),
        ("a.* = b\n", r"line 1\) do not fit"),
        ("{layer}_q = q\n", r"line 1\) do not fit"),
        ("{layer}_q = {other}_q\n", r"line 1\) do not fit"),
        ("{layer+1}_q = {layer}_q\n", "has a shift"),
        ("{x}.{x} = {x}\n", "a number twice"),
        ('{"a": 3}', "no name for 'a'"),
        ('{"a": "b", "a": "c"}', "'a' twice"),
        ('{"a": ', "no JSON"),
        ('{"": "a"}', "without a name"),
    ],
)
def test_what_is_no_map_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_name_map(write(tmp_path, text))
    assert caught.value.hint


@pytest.mark.parametrize(
    "make",
    [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")],
    ids=["missing", "folder", "binary"],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, make):
    make(tmp_path / "map")
    with pytest.raises(InputError, match="cannot read the map"):
        parse_name_map(tmp_path / "map")


def paired(expected, actual, rules):
    return pair_records(recording(*expected), [recording(*actual)], name_map=rules)


def test_a_map_goes_before_everything_else():
    found = paired(["a", "b"], ["b", "a"], {"a": "b"})
    assert {pair.expected.name: (pair.actual[0].name, pair.how) for pair in found.pairs}["a"] == ("b", "map")
    assert "b" not in shown(found)


def test_a_map_may_be_a_file_and_tell_layouts(tmp_path):
    path = write(tmp_path, "{layer}_query = blocks.{layer+3}.q : permute(1, 0)\n")
    found = paired(layers(range(2), "query", "x"), ["blocks.3.q", "blocks.4.q", "0_x"], path)
    assert shown(found) == {"0_query": "blocks.3.q", "1_query": "blocks.4.q", "0_x": "0_x"}
    assert [pair.layout_hint for pair in found.pairs] == ["permute(1, 0)", None, "permute(1, 0)"]


def test_a_number_is_a_whole_one_and_a_star_is_any_text():
    found = paired(["m.10.a.b", "m.1.c"], ["n.7.c", "n.16.a.b"], {"m.{layer}.*": "n.{layer+6}.*"})
    assert shown(found) == {"m.10.a.b": "n.16.a.b", "m.1.c": "n.7.c"}


def test_the_map_that_a_note_proposes_settles_the_shift():
    here, there = layers(range(12), "query"), layers(range(1, 13), "query")
    (note,) = paired(here, there, {}).notes
    same, moved = (part.split(" = ") for part in note.split("`")[1::2])
    assert shown(paired(here, there, dict([moved])))["10_query"] == "11_query"
    assert shown(paired(here, there, dict([same])))["10_query"] == "10_query"


def test_steps_and_calls_are_paired_one_by_one():
    def run(name):
        return recording(*(record(name, step=step, call=call) for step in range(2) for call in range(2)))

    found = pair_records(run("a"), [run("b")], name_map={"a": "b"})
    assert [(pair.expected.step, pair.expected.call) for pair in found.pairs] == [
        (pair.actual[0].step, pair.actual[0].call) for pair in found.pairs
    ]
    assert len(found.pairs) == 4


@pytest.mark.parametrize(
    ("rules", "message", "near"),
    [
        ({"querz": "a"}, "the expected run has nothing", "'query'"),
        ({"query": "keyz"}, "the actual run has nothing", "'key"),
        ({"z*": "a*"}, "the expected run has nothing", "no name is like it"),
        ({"q*": "z*"}, "the actual run has nothing", ""),
        ({"*s": "z*", "q*": "key*"}, "two rules of the map want", "keep one"),
    ],
)
def test_a_rule_about_nothing_or_twice_about_one_thing_is_refused(rules, message, near):
    with pytest.raises(InputError, match=message) as caught:
        paired(["query", "qs"], ["a", "keys", "keyuery", "zq"], rules)
    assert near in caught.value.hint


def test_a_name_goes_before_a_pattern():
    here, there = layers(range(4), "q"), layers(range(4), "k", "x")
    rules = {"{layer}_q": "{layer}_k", "1_q": "3_k", "2_q": None}
    assert shown(paired(here, there, rules)) == {"0_q": "0_k", "1_q": "3_k"}
    assert shown(paired(here, there, {"1_q": "1_x", "*_q": "*_k"})) == {
        f"{layer}_q": f"{layer}_{'x' if layer == 1 else 'k'}" for layer in range(4)
    }


def test_a_pattern_may_find_only_some():
    assert shown(paired(layers(range(3), "q"), ["n.0", "n.1"], {"{layer}_q": "n.{layer}"})) == {
        "0_q": "n.0",
        "1_q": "n.1",
    }
