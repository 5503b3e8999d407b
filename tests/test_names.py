import pytest
from hypothesis import given
from hypothesis import strategies as st

from outgrow.names import join_name, matches, natural_key, printable


def test_natural_order_puts_2_before_10():
    names = ["layers.10.w", "layers.2.w", "layers.2.b", "embed", "layers.1.w"]
    assert sorted(names, key=natural_key) == [
        "embed",
        "layers.1.w",
        "layers.2.b",
        "layers.2.w",
        "layers.10.w",
    ]


@given(st.lists(st.text(max_size=12), max_size=8))
def test_any_names_can_be_sorted(names):
    assert sorted(sorted(names, key=natural_key)) == sorted(names)


@given(st.text(max_size=12), st.text(max_size=12))
def test_names_that_differ_have_keys_that_differ_but_for_leading_zeros(one, other):
    if natural_key(one) == natural_key(other) and one != other:
        assert any(character.isdigit() for character in one + other)


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("model.layers.3.mlp.up_proj.weight", "model.layers.*", True),
        ("model.layers.3.mlp.up_proj.weight", "*.up_proj.weight", True),
        ("model.layers.3.mlp.up_proj.weight", "model.layers.?.mlp.*", True),
        ("model.layers.13.mlp.up_proj.weight", "model.layers.?.mlp.*", False),
        ("model.embed", "model.Embed", False),
        ("model.layers.3", "model.layers.[0-2]", False),
        ("", "*", True),
    ],
)
def test_globs_cross_dots_and_mind_case(name, pattern, expected):
    assert matches(name, pattern) is expected


def test_join_name_adds_a_dot_only_between_two_parts():
    assert join_name("model", "weight") == "model.weight"
    assert join_name("", "weight") == "weight"
    assert join_name("model", "") == "model"
    assert join_name("", "") == ""


def test_what_cannot_be_printed_is_written_out():
    assert printable("a\x1b[31m\udc80\nb") == "a\\x1b[31m\\udc80\\nb"
    assert printable("a\nb", keep="\n") == "a\nb"
    assert printable("\u00e9\u4e2d [bold]") == "\u00e9\u4e2d [bold]"
