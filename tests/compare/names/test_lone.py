"""Where in the order of execution stands what was not paired."""

from hypothesis import given
from hypothesis import strategies as st

from outgrow.capture.recording import Recording, Refusal
from outgrow.compare.names import pair_records
from tests.compare.names.made import layers, record, recording


def order(expected, actual):
    """Names in the order of the list; `<` is before what is only expected, `>` before what is only actual."""
    pairing = pair_records(expected, [actual])
    entries = [(index, 0, pair.expected_name) for index, pair in enumerate(pairing.pairs)]
    for place, lone in enumerate(pairing.lone):
        entry, mark = (lone.expected, "<") if lone.actual is None else (lone.actual, ">")
        if lone.expected is not None and lone.actual is not None:
            mark = "="
        name = entry.entry if isinstance(entry, Refusal) else entry.name
        entries.append((lone.after, place + 1, f"{mark}{name}"))
    return [name for *_, name in sorted(entries)]


def refusing(made, *entries):
    refused = [Refusal(entry=entry, reason="is cut short") for entry in entries]
    return Recording(label="made", records=made.records, refused=refused, is_ordered=made.is_ordered)


def test_all_of_a_dump_stands_by_layer_and_stage():
    expected = recording(*layers(range(2), "query", "key_final", "post_attn", "post_mlp"))
    actual = recording(*layers(range(2), "query", "sliding", "post_mlp"), "0_pre_mlp")
    assert order(expected, actual) == [
        "0_query", "<0_key_final", ">0_sliding", "<0_post_attn", ">0_pre_mlp", "0_post_mlp",
        "1_query", "<1_key_final", ">1_sliding", "<1_post_attn", "1_post_mlp",
    ]  # fmt: skip


def test_each_knows_its_layer_and_stage():
    expected = recording(*layers(range(3), "query"), "1_my_own_thing")
    actual = recording(*layers(range(3), "query"), "2_sliding")
    found = [(lone.layer, lone.stage) for lone in pair_records(expected, [actual]).lone]
    assert found == [(1, "my_own_thing"), (2, "sliding")]


def test_layers_that_count_otherwise_stand_where_the_expected_run_has_them():
    expected = recording(*layers(range(3), "query", "post_mlp"))
    actual = recording(*layers(range(4, 7), "query", "post_mlp"), "5_sliding")
    pairing = pair_records(expected, [actual])
    (lone,) = pairing.lone
    assert lone.layer == 1
    assert pairing.pairs[lone.after].expected_name == "1_query"


def test_runs_in_order_say_themselves_where_their_tensors_stand():
    expected = recording("first", "here", "second", "third", is_ordered=True)
    actual = recording("second", "first", "there", "third", is_ordered=True)
    assert order(expected, actual) == ["first", "<here", ">there", "second", "third"]


def test_an_unordered_run_stands_in_the_order_of_the_other_by_its_names():
    expected = recording(*layers(range(2), "query", "post_mlp"), is_ordered=True)
    actual = recording("1_sliding", *layers(range(2), "query", "post_mlp"))
    assert order(expected, actual) == ["0_query", "0_post_mlp", "1_query", ">1_sliding", "1_post_mlp"]


def test_what_stands_before_everything_stands_first():
    expected = recording("0_query")
    actual = recording("0_query", "embed_tokens")
    assert order(expected, actual) == [">embed_tokens", "0_query"]


def test_refused_files_stand_where_their_names_say():
    expected = recording(*layers(range(3), "query", "post_mlp"))
    actual = refusing(
        recording(*layers((0, 2), "query", "post_mlp"), "1_post_mlp"), "dump/1_query.pth", "notes.bin/x"
    )
    assert order(expected, actual) == [
        "0_query", "0_post_mlp", "<1_query", ">dump/1_query.pth", "1_post_mlp", "2_query", "2_post_mlp",
        ">notes.bin/x",
    ]  # fmt: skip


def test_what_both_runs_refuse_stands_there_once():
    names = layers(range(2), "query")
    sides = [refusing(recording(*names), "0_key.pth") for _ in range(2)]
    assert order(*sides) == ["0_query", "=0_key.pth", "1_query"]


def test_ranks_that_refuse_the_same_are_told_once():
    expected = recording("0_query", "1_query")
    ranks = [
        refusing(recording(*(record(name, rank=rank) for name in ("0_query", "1_query"))), "0_key.pth")
        for rank in range(2)
    ]
    assert len(pair_records(expected, ranks).lone) == 1


def test_nothing_is_told_where_all_is_paired():
    names = layers(range(2), "query")
    assert pair_records(recording(*names), [recording(*names)]).lone == ()


def test_all_are_told_where_nothing_is_paired():
    assert order(recording("0_query", "1_query"), recording("b_thing", "a_thing")) == [
        "<0_query", "<1_query", ">a_thing", ">b_thing",
    ]  # fmt: skip


NAMES = st.lists(
    st.one_of(
        st.builds("{}_{}".format, st.integers(0, 3), st.sampled_from(["query", "key", "sliding", "x"])),
        st.builds("model.layers.{}.{}".format, st.integers(0, 3), st.sampled_from(["mlp", "q_proj.weight"])),
        st.text(min_size=1, max_size=6),
    ),
    max_size=8,
    unique=True,
)


@given(NAMES, NAMES, NAMES, NAMES, st.booleans(), st.booleans())
def test_everything_stands_somewhere_once(here, there, refused_here, refused_there, is_ordered, is_too):
    expected = refusing(recording(*here, is_ordered=is_ordered), *refused_here)
    actual = refusing(recording(*there, is_ordered=is_too), *refused_there)
    pairing = pair_records(expected, [actual])
    lone = pairing.lone
    assert [one.after for one in lone] == sorted(one.after for one in lone)
    assert all(-1 <= one.after < len(pairing.pairs) for one in lone)
    for side in ("expected", "actual"):
        entries = [entry for one in lone if (entry := getattr(one, side)) is not None]
        records = [entry.name for entry in entries if not isinstance(entry, Refusal)]
        assert sorted(records) == sorted(record.name for record in getattr(pairing, f"unpaired_{side}"))
        refused = [entry.entry for entry in entries if isinstance(entry, Refusal)]
        assert sorted(refused) == sorted(refused_here if side == "expected" else refused_there)
