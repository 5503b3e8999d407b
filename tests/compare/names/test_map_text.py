"""What a map can say beyond names: nothing, odd names, parts of fused tensors; and its text form."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from outgrow.compare.names import NameMap, NameRule, pair_records, parse_name_map
from outgrow.compare.names.name_map import make_rule, text_of
from outgrow.errors import InputError
from tests.compare.names.made import layers, record, recording, shown

ODD = [
    "a = b",
    "a : b",
    " a",
    "a ",
    "#a",
    "x #y",
    "a*b",
    "{layer}",
    "-",
    '"a"',
    "a\nb",
    "\u2028",
    "\\",
    "=",
]


def parsed(tmp_path, text):
    (tmp_path / "map").write_text(text, encoding="utf-8")
    return parse_name_map(tmp_path / "map").rules


NAMES = st.one_of(st.sampled_from(ODD), st.text(min_size=1, max_size=6))
LAYOUTS = st.sampled_from((None, "permute(1, 0)", "part(0, 0, 4); expected: repeat(0, 2)"))


@given(st.lists(st.tuples(NAMES, NAMES, LAYOUTS), max_size=4))
def test_any_names_can_be_written_and_read(tmp_path_factory, rows):
    assume(len({row[0] for row in rows}) == len({row[1] for row in rows}) == len(rows))
    rules = [make_rule(json.dumps(one), json.dumps(other), layout) for one, other, layout in rows]
    assert [(rule.expected, rule.actual, rule.layout) for rule in rules] == rows
    text = text_of(rules)
    again = parsed(tmp_path_factory.mktemp("map"), text)
    assert [(rule.expected, rule.actual, rule.layout, rule.is_literal) for rule in again] == [
        (rule.expected, rule.actual, rule.layout, rule.is_literal) for rule in rules
    ]


@pytest.mark.parametrize(
    ("line", "expected", "actual", "layout"),
    [
        ('"a = b" = "c : d" : permute(1, 0)  # "x" = y', "a = b", "c : d", "permute(1, 0)"),
        ('  "a#b"="c#" # d', "a#b", "c#", None),
        ('x="y" = z', 'x="y"', "z", None),
        ("a = -", "a", None, None),
        ("- = b  # only here", None, "b", None),
        ('"-" = b', "-", "b", None),
        ("a-b = -c", "a-b", "-c", None),
    ],
)
def test_lines(tmp_path, line, expected, actual, layout):
    (rule,) = parsed(tmp_path, line)
    assert (rule.expected, rule.actual, rule.layout) == (expected, actual, layout)


def test_json_may_say_nothing_and_quote(tmp_path):
    content = {"a": None, '"x*"': '"y{layer}"', "z*": "w*"}
    rules = parsed(tmp_path, json.dumps(content))
    assert [(rule.expected, rule.actual, rule.is_pattern) for rule in rules] == [
        ("a", None, False),
        ("x*", "y{layer}", False),
        ("z*", "w*", True),
    ]
    assert parse_name_map(content).rules == rules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- = -\n", "without a name"),
        ("a = - : permute(0)\n", "only one tensor"),
        ("- = {layer+1}_x\n", "shifts a number"),
        ("- = *a*a*a*a*\n", "more than 4"),
        ("*a*a*a*a* = *b*b*b*b*\n", "more than 4"),
        ('"a*" = b*\n', "one is a pattern and one is in quotes"),
        ('"" = b\n', "without a name"),
        ('"\\q" = b\n', "no name in quotes"),
    ],
)
def test_what_says_nothing_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        parsed(tmp_path, text)
    assert caught.value.hint


def test_a_pattern_that_text_would_misread_is_refused():
    with pytest.raises(InputError, match="cannot be written") as caught:
        text_of([make_rule("a = {layer}", "b.{layer}")])
    assert "JSON" in caught.value.hint


def size(name):
    return (36,) if "qkv" in name else (24,) if "gate_up" in name else (12,)


def paired(expected, actual, *rules):
    shapes = {name: size(name) for name in [*expected, *actual]}
    sides = (recording(*names, shapes=shapes) for names in (expected, actual))
    name_map = NameMap(rules=tuple(make_rule(*rule) for rule in rules))
    return pair_records(next(sides), [next(sides)], name_map=name_map)


def test_what_has_no_partner_gets_none():
    found = paired(["a", "b", "c"], ["a", "b", "c"], ("a", None), (None, "b"))
    assert shown(found) == {"c": "c"}
    assert [one.name for one in found.unpaired_expected] == ["a", "b"]
    assert [one.name for one in found.unpaired_actual] == ["a", "b"]


def test_a_pattern_may_have_no_partner():
    found = paired(layers(range(3), "q", "k"), layers(range(3), "q", "k"), ("{layer}_q", "-"))
    assert shown(found) == {f"{layer}_k": f"{layer}_k" for layer in range(3)}


@pytest.mark.parametrize("name", ["a*b", "{layer}", "x = y", "-", "0_q[key]"])
def test_a_name_in_quotes_is_that_name(name):
    found = paired([name, "a--b", "5"], ["z", "a--b", "5"], (json.dumps(name), "z"))
    assert shown(found) == {name: "z", "a--b": "a--b", "5": "5"}


def test_parts_of_a_fused_tensor():
    parts = ("query", "key", "value")
    rules = [(f"{{layer}}_qkv[{part}]", f"h.{{layer}}.{part[0]}") for part in parts]
    found = paired(layers(range(2), "qkv"), [f"h.{n}.{part[0]}" for n in range(2) for part in parts], *rules)
    assert shown(found) == {f"{n}_qkv[{part}]": f"h.{n}.{part[0]}" for n in range(2) for part in parts}
    assert [pair.fused.index for pair in found.pairs] == [0, 1, 2] * 2
    assert {pair.fused.parts for pair in found.pairs} == {parts}
    assert {pair.fused.side for pair in found.pairs} == {"expected"}


@pytest.mark.parametrize("side", ["expected", "actual"])
def test_parts_that_no_rule_is_about_are_paired_by_their_roles(side):
    whole, parts = ["0_qkv"], ["0_query", "0_key", "0_value"]
    if side == "expected":
        found = paired(whole, parts, ("0_qkv[key]", "0_key"))
        wanted = {f"0_qkv[{name[2:]}]": name for name in parts}
    else:
        found = paired(parts, whole, ("0_key", "0_qkv[key]"))
        wanted = {name: f"0_qkv[{name[2:]}]" for name in parts}
    assert shown(found) == wanted
    assert sorted(pair.how for pair in found.pairs) == ["map", "role", "role"]
    # What is not there cannot be paired, and the fused tensor answers nothing else.
    left = paired(["0_qkv", "0_value"], ["0_key", "0_qkv"], ("0_qkv[key]", "0_key"))
    assert "0_qkv[key]" in shown(left)
    assert "0_qkv" not in shown(left)


def test_the_actual_side_may_be_fused_and_its_parts_be_otherwise():
    found = paired(["up", "gate"], ["odd_gate_up"], ("up", "odd_gate_up[gate]"), ("gate", "odd_gate_up[up]"))
    assert shown(found) == {"gate": "odd_gate_up[up]", "up": "odd_gate_up[gate]"}
    assert {(pair.fused.side, pair.fused.parts) for pair in found.pairs} == {("actual", ("gate", "up"))}


def test_two_parts_are_all_where_the_sizes_say_so():
    found = paired(["k", "v"], ["odd_gate_up"], ("k", "odd_gate_up[key]"), ("v", "odd_gate_up[value]"))
    assert {pair.fused.parts for pair in found.pairs} == {("key", "value")}
    found = paired(["k", "v"], ["some_qkv"], ("k", "some_qkv[key]"), ("v", "some_qkv[value]"))
    assert {pair.fused.parts for pair in found.pairs} == {("query", "key", "value")}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([("0_qkv", "a"), ("0_qkv[key]", "b")], "two rules of the map want"),
        ([("0_qkv[key]", "a"), ("0_qkv[key]", "b")], "two rules of the map want"),
        ([("0_qkv[gate]", "a")], "has no part 'gate'"),
        ([("0_qkv[key]", None)], "no partner"),
        ([("0_qkv[key]", "0_qkv[key]")], "a part of another one"),
        ([("0_qkv[other]", "a")], "has nothing"),
    ],
)
def test_parts_that_cannot_be_are_refused(rules, message):
    with pytest.raises(InputError, match=message) as caught:
        paired(["0_qkv"], ["a", "b", "0_qkv"], *rules)
    assert caught.value.hint


def test_any_name_of_a_tensor_will_do():
    """With or without its folder, and on any rank."""
    one = [record("exp/a", rank=0), record("exp/b", rank=0)]
    two = [recording(record(f"act{rank}/{name}", shape=(6,))) for rank in range(2) for name in "x"]
    for expected, actual in (("a", "x"), ("exp/a", "act1/x"), ("exp/a", "act0/x")):
        rules = (NameRule(expected=expected, actual=actual),)
        found = pair_records(recording(*one), two, name_map=NameMap(rules=rules))
        assert [(pair.expected.name, len(pair.actual)) for pair in found.pairs] == [("exp/a", 2)]


def test_a_pattern_finds_a_tensor_once_by_all_its_names():
    found = paired(["exp/0_q", "exp/1_q"], ["act/0_k", "act/1_k"], ("*_q", "*_k"))
    assert shown(found) == {"exp/0_q": "act/0_k", "exp/1_q": "act/1_k"}
    assert len(found.pairs) == 2
