"""Which tensors are paired, on which evidence, and what is left alone."""

import random
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import outgrow.capture
from outgrow.capture.recorded import open_own
from outgrow.compare.names import pair_records
from outgrow.errors import InputError
from tests.compare.names.made import layers, record, recording, shown
from tests.compare.names.truth import families, parameters_of


def paired(expected, actual, **more):
    return pair_records(recording(*expected), [recording(*actual)], **more)


def hows(pairing):
    return {pair.how for pair in pairing.pairs}


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


def test_kinds_steps_and_calls_are_kept_apart():
    def run(*steps):
        return recording(
            *(
                record(f"a.{kind}", module="a", kind=f"{kind}s", step=step, call=call)
                for step in steps
                for call in range(2)
                for kind in ("input", "output")
            )
        )

    found = pair_records(run(0, 1), [run(0, 1)])
    assert len(found.pairs) == 8
    for pair in found.pairs:
        there = pair.actual[0]
        assert (pair.expected.kind, pair.expected.step, pair.expected.call) == (
            there.kind,
            there.step,
            there.call,
        )
    later = pair_records(run(0, 1), [run(100, 200)])
    assert {(pair.expected.step, pair.actual[0].step) for pair in later.pairs} == {(0, 100), (1, 200)}
    assert any("steps" in note for note in later.notes)
    assert {pair.actual[0].step for pair in pair_records(run(0, 1), [run(1, 2)]).pairs} == {1}


def test_the_ranks_of_a_run_come_in_their_order():
    ranks = [recording(*layers(range(2), "query")) for _ in range(3)]
    found = pair_records(recording(*layers(range(2), "query")), ranks)
    for pair in found.pairs:
        assert [
            any(row is one for one in rank.records) for row, rank in zip(pair.actual, ranks, strict=True)
        ] == [True] * 3
    inside = recording(record("a", rank=1), record("b", rank=0), record("a", rank=0), record("b", rank=1))
    both = pair_records(recording("a", "b"), [inside])
    assert [[row.rank for row in pair.actual] for pair in both.pairs] == [[0, 1], [0, 1]]


def test_names_of_ranks_do_not_matter():
    ranks = [recording("rank1/0_query", "rank1/0_key"), recording("rank0/0_query", "rank0/0_key")]
    found = pair_records(recording("0_query", "0_key"), ranks)
    assert [[row.name for row in pair.actual] for pair in found.pairs] == [
        ["rank1/0_query", "rank0/0_query"],
        ["rank1/0_key", "rank0/0_key"],
    ]
    lone = pair_records(recording("out"), [recording("out_a"), recording("out_b")])
    assert [row.name for row in lone.pairs[0].actual] == ["out_a", "out_b"]


@pytest.mark.parametrize(
    ("elements", "is_paired"),
    [((12, None), True), ((6, 6, None), True), ((6, None), False), ((3, 3, 3, None), False)],
)
def test_a_tensor_that_a_rank_lacks_is_paired_only_if_it_is_whole(elements, is_paired):
    ranks = [
        recording("other", *(() if size is None else (record("a", shape=(size,)),))) for size in elements
    ]
    found = pair_records(recording("other", "a"), ranks)
    assert ("a" in shown(found)) == is_paired
    (note,) = [pair.note for pair in found.pairs if pair.expected.name == "a"] or [" ".join(found.notes)]
    assert f"of {len(elements)} ranks only" in note


def test_runs_of_several_ranks_are_compared_rank_by_rank():
    def run(*ranks):
        return recording(*(record(name, rank=rank) for rank in ranks for name in "ab"))

    found = pair_records(run(0, 1), [run(0, 1)])
    assert sorted((p.expected.name, p.expected.rank, p.actual[0].rank) for p in found.pairs) == [
        ("a", 0, 0), ("a", 1, 1), ("b", 0, 0), ("b", 1, 1)
    ]  # fmt: skip
    with pytest.raises(InputError, match="2 ranks and the actual one 3") as caught:
        pair_records(run(0, 1), [run(0, 1, 2)])
    assert caught.value.hint


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


words = st.text("abcdefghij", min_size=4, max_size=8)
names = st.lists(st.lists(words, min_size=1, max_size=4).map(".".join), min_size=2, max_size=30, unique=True)


@given(names, names)
@settings(max_examples=60, deadline=None)
def test_unrelated_names_are_never_paired_without_a_note(here, there):
    for pair in paired(here, there).pairs:
        assert pair.note or pair.expected.name == pair.actual[0].name


@given(st.sampled_from(families()), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_run_whose_names_are_written_otherwise_is_paired_completely(family, rng, is_wrapped):
    """Prefixes, separators, case and zeros are changed; what answers what is known."""
    known = [name.name for name in parameters_of(family)]
    separator = rng.choice("._/-")
    front = rng.choice(["module.", "_orig_mod.", "_orig_mod.module."]) if is_wrapped else ""
    written = {name: front.replace(".", ".") + name.replace(".", separator) for name in known}
    if separator == "-":
        written = {name: text.upper() for name, text in written.items()}
    actual = list(written.values())
    rng.shuffle(actual)
    found = shown(paired(known, actual))
    assert {name: found[name] for name in found} == {name: written[name] for name in found}
    assert set(found) == set(known)


@given(
    names,
    st.lists(st.sampled_from([0, 1, 2, 3, 5, 9]), min_size=1, max_size=4, unique=True),
    st.integers(0, 6),
)
@settings(max_examples=60, deadline=None)
def test_layers_are_never_paired_against_the_shift(stages, numbers, shift):
    expected = [f"layers.{number}.{stage}" for number in numbers for stage in stages]
    actual = [f"layers.{number + shift}.{stage}" for number in numbers for stage in stages]
    found = paired(expected, actual)
    offsets = {int(p.actual[0].name.split(".")[1]) - p.layer for p in found.pairs}
    assert len(offsets) <= 1
    assert offsets <= {0, shift}
    assert not offsets - {0} or found.notes


def test_time_grows_with_the_names_and_not_with_their_square():
    rng = random.Random(3)
    here = [f"model.layers.{index}.mlp.up_proj.weight" for index in range(15_000)]
    there = [f"blk.{index}.ffn_up.weight" for index in range(15_000)]
    here += [f"{rng.random()}.{index}" for index in range(5_000)]
    there += [f"{rng.random()}.{index}.x" for index in range(5_000)]
    expected, actual = recording(*here), recording(*there)
    started = time.process_time()
    found = pair_records(expected, [actual])
    assert time.process_time() - started < 8  # 0.7 s where this was written, on an idle machine
    assert len(found.pairs) == 15_000


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


def test_a_run_that_was_recorded_finds_all_of_itself(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.GELU(), torch.nn.Linear(4, 4))
    kinds = ("outputs", "inputs", "parameters")
    for path in (tmp_path / "one", tmp_path / "two"):
        with outgrow.capture.record(model, path, kinds=kinds):
            for _ in range(2):
                model(torch.zeros(2, 4))
    with open_own(tmp_path / "one") as expected, open_own(tmp_path / "two") as actual:
        found = pair_records(expected, [actual])
    assert len(found.pairs) == len(expected.records) > 10
    assert [pair.expected.sequence for pair in found.pairs] == list(range(len(found.pairs)))
    for pair in found.pairs:
        (there,) = pair.actual
        here = pair.expected
        assert (here.name, here.step, here.call) == (there.name, there.step, there.call)
