"""What kinds, steps, calls and ranks have to do with who is paired."""

import pytest

from outgrow.compare.names import pair_records
from outgrow.errors import InputError
from tests.compare.names.made import layers, record, recording, shown


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
