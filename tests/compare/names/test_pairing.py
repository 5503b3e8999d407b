"""Which tensors are paired, on which evidence, and what is left alone."""

import pytest

from outgrow.compare.names import pair_records
from tests.compare.names.made import layers, record, recording, shown
from tests.compare.names.paired_names import hows, paired


def test_equal_names_are_identical_in_any_order():
    names = [*layers(range(3), "query", "post_mlp"), "something_else"]
    found = paired(names, names[::-1])
    assert shown(found) == {name: name for name in names}
    assert hows(found) == {"identical"}
    assert found.notes == found.unpaired_expected == found.unpaired_actual == ()


def test_what_one_run_lacks_is_unpaired_with_the_nearest_names():
    found = paired(["0_query", "0_key", "0_post_mlp"], ["0_query", "0_post_mpl", "0_keys"])
    assert [row.name for row in found.unpaired_expected] == ["0_key", "0_post_mlp"]
    assert [row.name for row in found.unpaired_actual] == ["0_post_mpl", "0_keys"]
    assert found.near["0_key"][0] == "0_keys"
    assert found.near["0_post_mpl"][0] == "0_post_mlp"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("model.layers.3.self_attn.rotary", "module.model.layers.3.self_attn.rotary"),
        ("model.layers.3.self_attn.rotary", "_orig_mod.layers.3.self_attn.rotary"),
        ("layers.3.foo.bar", "base_model.model.model.layers.3.foo.base_layer.bar"),
        (
            "layers.3.foo.bar",
            "_fsdp_wrapped_module.layers.3._fsdp_wrapped_module.foo._fsdp_wrapped_module.bar",
        ),
        ("layers.3.foo_bar", "Layers/003/FooBar"),
        ("3_query", "003.query"),
        ("3_query", "L3.query"),
        ("3_query", "layer_3_query"),
        ("3_query", "layers.3.query"),
        ("3_query", "Block-3/Query"),
        ("conv.1.1", "conv_1_1"),
        ("层.3.注意", "层_3_注意"),
    ],
)
def test_wrappers_case_and_separators_do_not_matter(one, other):
    found = paired([one, "a_quite_different_thing"], [other, "z"])
    assert shown(found) == {one: other}
    assert hows(found) == {"role"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("conv.1.1", "conv.11"),
        ("0_query", "0_query_final"),
        ("0_query", "0_key"),
        ("a.weight", "a.bias"),
        ("layers.1.mlp.experts.0.w1.weight", "layers.1.mlp.experts.1.w1.weight"),
        ("encoder.layers.0.x", "decoder.layers.0.x"),
        ("model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.gate_proj.weight"),
    ],
)
def test_what_means_something_else_is_not_paired(one, other):
    assert shown(paired([one, "encoder.layers.7.b"], [other, "decoder.layers.9.c"])) == {}


def test_two_candidates_leave_both_alone():
    found = paired(["layers.0.x", "p"], ["model.layers.0.x", "module.layers.0.x"])
    assert shown(found) == {}
    assert any("not paired" in note and "module.layers.0.x" in note for note in found.notes)
    same = paired(["layers.0.x", "p"], ["layers.0.x", "module.layers.0.x"])
    assert shown(same) == {"layers.0.x": "layers.0.x"}


def test_layers_that_are_all_shifted_are_paired_and_said_so():
    found = paired(layers(range(3, 7), "query", "key", "odd"), layers(range(4), "query", "key", "odd"))
    assert len(found.pairs) == 12
    assert shown(found)["3_query"] == "0_query"
    assert shown(found)["6_odd"] == "3_odd"
    assert hows(found) == {"shifted"}
    assert {pair.layer for pair in found.pairs} == {3, 4, 5, 6}
    assert any("3..6" in note and "0..3" in note for note in found.notes)


def test_a_shift_works_across_families():
    expected = [f"model.layers.{i}.self_attn.{p}_proj.weight" for i in (10, 11) for p in "qkvo"]
    actual = [f"blk.{i}.attn_{p}.weight" for i in (0, 1) for p in ("q", "k", "v", "output")]
    found = paired(expected, actual)
    assert shown(found)["model.layers.11.self_attn.o_proj.weight"] == "blk.1.attn_output.weight"
    assert len(found.pairs) == 8
    assert found.notes


@pytest.mark.parametrize(
    ("here", "there"),
    [(range(4), range(1, 5)), (range(4), range(2, 6)), (range(2, 6), range(5, 9)), (range(32), range(1, 33))],
)
def test_a_shift_that_may_be_none_is_left_alone(here, there):
    found = paired([*layers(here, "query", "key"), "embed"], [*layers(there, "query", "key"), "embed"])
    assert shown(found) == {"embed": "embed"}
    assert len(found.unpaired_expected) == 2 * len(here)
    assert any("{layer}" in note for note in found.notes)


def test_sizes_decide_between_shift_and_no_shift():
    here, there = layers(range(4), "query"), layers(range(1, 5), "query")
    shapes = {name: (7 + index,) for index, name in enumerate(here)}
    same = {name: shapes.get(name, (99,)) for name in there}
    moved = {name: (7 + index,) for index, name in enumerate(there)}
    stays = pair_records(recording(*here, shapes=shapes), [recording(*there, shapes=same)])
    assert shown(stays) == {f"{number}_query": f"{number}_query" for number in (1, 2, 3)}
    moves = pair_records(recording(*here, shapes=shapes), [recording(*there, shapes=moved)])
    assert shown(moves) == {f"{number}_query": f"{number + 1}_query" for number in range(4)}


@pytest.mark.parametrize(
    ("here", "there"),
    [(range(6), range(3)), (range(3), range(1, 3)), (range(4), range(8, 10)), ([0, 2], [1, 5])],
)
def test_layers_of_which_some_are_missing_keep_their_numbers(here, there):
    found = paired(layers(here, "query"), layers(there, "query"))
    assert shown(found) == {f"{number}_query": f"{number}_query" for number in set(here) & set(there)}


def test_a_shift_needs_all_tensors_of_all_layers():
    actual = layers(range(2), "query", "key")
    actual.remove("1_key")
    found = paired(layers(range(5, 7), "query", "key"), actual)
    assert shown(found) == {}
    assert any("not all of them have the same tensors" in note for note in found.notes)


def test_fused_tensors_are_paired_by_their_parts():
    expected = [f"model.layers.0.self_attn.{part}_proj.weight" for part in "qkv"]
    shapes = {expected[0]: (24,), "blocks.0.attn.qkv.weight": (48,)}
    fused = recording("blocks.0.attn.qkv.weight", shapes=shapes)
    found = pair_records(recording(*expected, shapes=shapes), [fused])
    assert shown(found) == {
        name: f"blocks.0.attn.qkv.weight[{part}]"
        for name, part in zip(expected, ("query", "key", "value"), strict=True)
    }
    assert [pair.fused.index for pair in found.pairs] == [0, 1, 2]
    assert {(pair.fused.side, pair.fused.parts, pair.fused.group) for pair in found.pairs} == {
        ("actual", ("query", "key", "value"), "blocks.0.attn.qkv.weight")
    }
    assert [pair.stage for pair in found.pairs] == ["query.weight", "key.weight", "value.weight"]
    assert found.unpaired_expected == found.unpaired_actual == ()
    back = pair_records(fused, [recording(*expected, shapes=shapes)])
    assert shown(back) == {
        f"blocks.0.attn.qkv.weight[{part}]": name
        for name, part in zip(expected, ("query", "key", "value"), strict=True)
    }
    assert {pair.fused.side for pair in back.pairs} == {"expected"}
    assert [pair.stage for pair in back.pairs] == ["query.weight", "key.weight", "value.weight"]


def test_gate_and_up_are_parts_of_one():
    expected = ["layers.0.mlp.gate_proj.weight", "layers.0.mlp.up_proj.weight"]
    found = pair_records(
        recording(*expected),
        [recording("layers.0.mlp.gate_up_proj.weight", shapes={"layers.0.mlp.gate_up_proj.weight": (24,)})],
    )
    assert [pair.fused.parts for pair in found.pairs] == [("gate", "up")] * 2


def test_a_fused_tensor_needs_all_its_parts_and_their_size():
    qkv = "blocks.0.attn.qkv.weight"
    two = paired(["layers.0.self_attn.q_proj.weight", "layers.0.self_attn.k_proj.weight"], [qkv])
    assert shown(two) == {}
    assert any("value" in note for note in two.notes)
    small = paired([f"layers.0.self_attn.{part}_proj.weight" for part in "qkv"], [qkv])
    assert shown(small) == {}
    assert any("12 elements" in note for note in small.notes)


def test_a_dump_finds_the_modules_of_a_recording_and_says_so():
    expected = layers(
        [0], "post_ln_pre_attn", "query", "post_attn", "post_attn_pre_resid", "pre_mlp", "post_mlp"
    )
    stem = "model.layers.0"
    modules = {
        "post_ln_pre_attn": f"{stem}.input_layernorm.output",
        "query": f"{stem}.self_attn.q_proj.output",
        "post_attn": f"{stem}.self_attn.o_proj.input.input",
        "post_attn_pre_resid": f"{stem}.self_attn.o_proj.output",
        "pre_mlp": f"{stem}.post_attention_layernorm.output",
        "post_mlp": f"{stem}.mlp.output",
    }
    actual = [
        record(name, at, module=name.partition(".output")[0].partition(".input.")[0],
               kind="inputs" if ".input." in name else "outputs")
        for at, name in enumerate(modules.values())
    ]  # fmt: skip
    found = pair_records(recording(*expected), [recording(*actual)])
    assert shown(found) == {f"0_{stage}": name for stage, name in modules.items()}
    assert all(pair.note for pair in found.pairs)


def test_single_tensors_are_paired_whatever_they_are_called():
    found = paired(["reference"], ["x/y/mine"])
    assert shown(found) == {"reference": "x/y/mine"}
    assert hows(found) == {"single"}
    assert found.pairs[0].note


@pytest.mark.parametrize(
    ("one", "other"), [("0_query", "0_key"), ("a.weight", "a.output"), ("3_foo", "4_bar")]
)
def test_single_tensors_that_say_something_else_are_not_paired(one, other):
    found = pair_records(recording(one), [recording(record(other, kind="outputs"))])
    assert shown(found) == {}
    assert found.notes


def test_a_tensor_that_is_there_twice_is_left_alone():
    found = pair_records(recording("a", "a", "b"), [recording("a", "b")])
    assert shown(found) == {"b": "b"}
    assert any("twice" in note for note in found.notes)


def test_folders_and_names_of_shards_in_front_of_all_names_do_not_matter():
    expected = ["dump/v1/0_query", "dump/v1/0_key"]
    assert shown(paired(expected, ["0_query", "0_key"])) == {expected[0]: "0_query", expected[1]: "0_key"}
    shards = ["model-00001-of-00002/a.weight", "model-00002-of-00002/b.weight"]
    assert shown(paired(shards, ["b.weight", "a.weight"])) == {shards[0]: "a.weight", shards[1]: "b.weight"}
    assert hows(paired(expected, ["0_query", "0_key"])) == {"identical"}
    assert shown(paired(["layers/3/query", "layers/3/key"], ["layers/3/query", "layers/3/x"])) == {
        "layers/3/query": "layers/3/query"
    }


def test_equal_names_of_two_families_are_paired_with_a_note():
    norm = "model.layers.0.post_attention_layernorm.weight"
    gemma = [
        norm,
        "model.layers.0.pre_feedforward_layernorm.weight",
        "model.layers.0.self_attn.q_proj.weight",
    ]
    found = paired(gemma, [norm, "model.layers.0.self_attn.q_proj.weight"])
    (pair,) = [pair for pair in found.pairs if pair.expected.name == norm]
    assert "different" in pair.note
    other = paired(gemma, [norm.removeprefix("model."), "layers.0.self_attn.q_proj.weight"])
    assert norm not in shown(other)
    assert any("different parts" in note for note in other.notes)


def test_sizes_that_cannot_be_are_not_paired_by_role():
    found = pair_records(
        recording("layers.0.self_attn.q_proj.weight", "x"),
        [recording("blk.0.attn_q.weight", "y", shapes={"blk.0.attn_q.weight": (35,)})],
    )
    assert shown(found) == {}
    assert any("35" in note for note in found.notes)


def test_an_empty_run_pairs_nothing():
    assert paired([], ["a", "b"]).pairs == ()
    assert [row.name for row in paired(["a"], []).unpaired_expected] == ["a"]
    assert paired([], []).pairs == ()


@pytest.mark.parametrize(
    ("others", "sizes", "count"),
    [
        ({"gate": 12, "up": 12}, 24, 2),
        ({"up": 24}, 24, 1),
        ({"gate_up": 24}, 24, 1),
        ({"up": 12}, 24, 0),
        ({"gate": 24}, 24, 0),
    ],
)
def test_the_first_layer_of_megatron_is_what_the_other_run_has(others, sizes, count):
    first = "decoder.layers.0.mlp.linear_fc1.weight"
    there = {f"layers.0.mlp.{part}_proj.weight": (size,) for part, size in others.items()}
    expected, actual = recording(first, "a", shapes={first: (sizes,)}), recording(*there, "b", shapes=there)
    for found in (pair_records(expected, [actual]), pair_records(actual, [expected])):
        assert len(found.pairs) == count
        assert all(pair.fused or pair.note for pair in found.pairs)
