"""Which ways there are from one shape to another, level by level, the simplest first: written out in full."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.layout.candidates import divisors, find_candidates, raw_reshape
from outgrow.compare.layout.combining import concatenations, one_tensor
from outgrow.compare.layout.fused import fused_in_actual, fused_in_expected, repeated
from outgrow.compare.layout.written import hint_of
from tests.compare.layout.pairs import gate_up, qkv


def told(levels):
    """As hints; those that are not among the plain ones with `odd` before them."""
    return [
        [("" if option.is_usual is True else "odd: ") + hint_of(option.layout, option.expected_layout)
         for option in level]
        for level in levels
    ]  # fmt: skip


def odd(*hints):
    return [f"odd: {hint}" for hint in hints]


# Factors of axes ----------------------------------------------------------------------


def found(source, target, **options):
    return [
        [(one.rearrange.atoms, one.rearrange.order, one.moves, one.is_usual) for one in level]
        for level in find_candidates(source, target, **{"limit": 99, **options})
    ]


def test_no_axis_is_cut_without_need():
    assert found((2, 3), (3, 2)) == [[((2, 3), (1, 0), 1, True)]]
    assert found((2, 3), (6,)) == [[((2, 3), (0, 1), 0, True), ((2, 3), (1, 0), 1, True)]]
    assert found((3,), (1, 3)) == [[((3,), (0,), 0, True)]]
    assert found((5,), (7,)) == []
    assert found((4, 6), (6, 4), max_level=0) == [[((4, 6), (1, 0), 1, True)]]


def test_the_ranks_are_outermost_in_the_axis_that_they_are_in():
    ways = [((2, 2, 3), (0, 1, 2), 0), ((2, 2, 3), (1, 0, 2), 1)]
    assert found((2, 2, 3), (4, 3)) == [[(*way, True) for way in ways]]
    assert found((2, 2, 3), (4, 3), has_ranks=True) == [[(*ways[0], True), (*ways[1], False)]]
    # In an axis of its own there is nothing outside of them.
    assert found((2, 3), (3, 2), has_ranks=True) == [[((2, 3), (1, 0), 1, True)]]
    # Those are the last of a level, however little they move.
    ranked = found((2, 3, 2), (6, 2), has_ranks=True)[0]
    assert [is_usual for *_, is_usual in ranked] == sorted(
        (is_usual for *_, is_usual in ranked), reverse=True
    )


@pytest.mark.parametrize("limit", [1, 2, 3, 17, 18])
def test_the_limit_counts_all_levels_together(limit):
    every = [one for level in found((4, 6), (6, 4)) for one in level]
    assert len(every) == 17
    some = [one for level in found((4, 6), (6, 4), limit=limit) for one in level]
    assert len(some) == min(limit, 17)
    assert set(some) <= set(every)


def counted(source, target, count):
    """By hand: every table of factors whose rows make the source and whose columns make the target, with so
    many factors larger than 1, each in every order within its row and its column."""
    ways = 0
    for table in itertools.product(
        *(
            [cut for cut in itertools.product(divisors(size), repeat=len(target)) if math.prod(cut) == size]
            for size in source
        )
    ):
        columns = list(zip(*table, strict=True))
        atoms = sum(size > 1 for row in table for size in row)
        if [math.prod(column) for column in columns] == list(target) and atoms == count:
            ways += math.prod(math.factorial(sum(size > 1 for size in line)) for line in (*table, *columns))
    return ways


SHAPES = [
    ((4, 6), (6, 4)), ((12,), (3, 4)), ((8, 3), (4, 6)), ((2, 2, 3), (12,)), ((6, 6), (4, 9)),
    ((2, 3, 4), (4, 6)), ((3, 4, 2), (2, 3, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("source", "target"), SHAPES, ids=str)
def test_every_way_is_found_once(source, target):
    levels = list(find_candidates(source, target, limit=10_000))
    counts = [count for count in range(9) if counted(source, target, count)]
    assert len(levels) == min(2, len(counts))
    for place, (level, count) in enumerate(zip(levels, counts, strict=False)):
        assert {len(one.rearrange.atoms) for one in level} == {count}
        assert {one.level for one in level} == {place}
        assert len({one.rearrange for one in level}) == len(level) == counted(source, target, count)
        assert [one.moves for one in level] == sorted(one.moves for one in level)
        for one in level:
            pairs = itertools.combinations(one.rearrange.order, 2)
            assert one.moves == sum(first > second for first, second in pairs)


def test_raw_reshape_comes_after_all_others():
    one = raw_reshape((2, 3), (3, 2))
    assert one.rearrange.is_reshape
    assert (one.level, one.moves) == (3, 0)


@given(st.integers(1, 5000))
def test_divisors_are_all_that_divide(number):
    assert divisors(number) == [size for size in range(1, number + 1) if number % size == 0]


# One tensor, and those of several ranks -------------------------------------------------------------


def test_a_reshape_is_the_last_resort_of_one_tensor():
    assert told(one_tensor((2, 3), (3, 2))) == [["transpose(0, 1)"], odd("reshape(3, 2)")]
    assert told(one_tensor((2, 9), (6, 3))) == [
        [
            "reshape(6, 3)",
            "reshape(2, 3, 3), permute(1, 0, 2), reshape(6, 3)",
            "reshape(2, 3, 3), permute(0, 2, 1), reshape(6, 3)",
            "reshape(6, 3), transpose(0, 1), reshape(6, 3)",
        ]
    ]
    last = told(one_tensor((4, 6), (6, 4)))
    assert (last[0], len(last[1]), last[2:]) == (["transpose(0, 1)"], 16, [odd("reshape(6, 4)")])
    before = next(concatenations([(2, 3), (1, 3)], (3, 3)))[0].layout
    assert told(one_tensor((3, 4), (4, 3), before=before))[1] == odd("concatenate(0), reshape(4, 3)")


@pytest.mark.parametrize(
    ("shapes", "target", "levels"),
    [
        (
            [(4, 6)] * 2, (8, 6),
            [
                ["concatenate(0)"],
                odd("sections(0, 2, 2)", "sections(0, 1, 1, 1, 1)", "sections(0, 2, 1, 1)"),
                odd("concatenate(1), reshape(8, 6)"),
            ],
        ),
        (
            [(3, 2)] * 2, (6, 2),
            [
                ["concatenate(0)"],
                odd("sections(0, 1, 1, 1)"),
                odd("stack, reshape(2, 6), transpose(0, 1)", "stack, permute(2, 1, 0), reshape(6, 2)",
                    "concatenate(1), reshape(6, 2)"),
            ],
        ),
        (
            [(5, 6)] * 2, (5, 12),
            [
                ["concatenate(1)"],
                odd("sections(1, 3, 3)", "sections(1, 2, 2, 2)", "sections(1, 1, 1, 1, 1, 1, 1)",
                    "sections(1, 4, 1, 1)"),
                odd("stack, reshape(2, 30), transpose(0, 1), reshape(5, 12)"),
            ],
        ),
        (
            [(4, 8)] * 2, (8, 8),
            [
                ["concatenate(0)"],
                odd("sections(0, 2, 2)", "sections(0, 1, 1, 1, 1)", "sections(0, 2, 1, 1)"),
                odd("concatenate(1), reshape(8, 8)", "stack, permute(2, 1, 0), reshape(8, 8)"),
            ],
        ),
        (
            [(2, 3)] * 2, (3, 4),
            [["concatenate(0), transpose(0, 1)", "odd: stack, permute(2, 1, 0), reshape(3, 4)"]],
        ),
        ([(2, 3), (1, 3)], (3, 3), [["concatenate(0)"]]),
        (
            [(2, 3), (1, 3)], (9,),
            [["concatenate(0), reshape(9)", "concatenate(0), transpose(0, 1), reshape(9)"]],
        ),
    ],
    ids=str,
)  # fmt: skip
def test_ranks_are_put_side_by_side_before_anything_is_moved(shapes, target, levels):
    assert told(concatenations(shapes, target)) == levels


def test_ranks_of_fused_tensors_may_hold_a_piece_of_every_part():
    assert told(concatenations([(4, 6)] * 2, (8, 6), is_fused=True)) == [
        ["concatenate(0)", "sections(0, 2, 2)", "sections(0, 1, 1, 1, 1)", "sections(0, 2, 1, 1)"]
    ]


def test_what_ranks_stack_is_said_as_a_concatenation_where_it_is_one():
    first, second = told(concatenations([(3, 2, 4)] * 2, (2, 2, 3, 4)))
    assert first == [
        "concatenate(1), permute(1, 0, 2), reshape(2, 2, 3, 4)",
        "concatenate(0), permute(1, 0, 2), reshape(2, 2, 3, 4)",
    ]
    assert len(second) == 20
    assert second[:4] == odd(
        "concatenate(2), reshape(6, 4, 2), permute(1, 0, 2), reshape(2, 2, 3, 4)",
        "concatenate(0), reshape(12, 2, 2), permute(1, 0, 2), reshape(2, 2, 3, 4)",
        "concatenate(2), reshape(3, 2, 4, 2), permute(2, 0, 3, 1), reshape(2, 2, 3, 4)",
        "stack, reshape(2, 12, 2), permute(0, 2, 1), reshape(2, 2, 3, 4)",
    )
    assert told(concatenations([(5, 6)] * 2, (4, 5, 3))) == [
        [
            "concatenate(1), reshape(5, 4, 3), permute(1, 0, 2)",
            "stack, reshape(2, 15, 2), permute(0, 2, 1), reshape(4, 5, 3)",
            *odd("concatenate(0), reshape(10, 2, 3), permute(1, 0, 2), reshape(4, 5, 3)",
                 "concatenate(0), reshape(30, 2), transpose(0, 1), reshape(4, 5, 3)"),
        ]
    ]  # fmt: skip


# Parts of fused tensors, and numbers that are there several times -----------------------------------


@pytest.mark.parametrize(
    ("shapes", "target", "fused", "levels"),
    [
        ([(12, 5)], (4, 5), qkv(0), [["part(0, 0, 4)"], odd("part(0, 0, 2, 2)", "part(0, 0, 1, 4)")]),
        ([(12, 5)], (4, 5), qkv(1), [["part(0, 4, 8)"], odd("part(0, 2, 4, 2)", "part(0, 1, 2, 4)")]),
        ([(8, 5)], (2, 5), qkv(1), [["part(0, 4, 6)"], odd("part(0, 2, 3, 2)")]),
        ([(8, 5)], (4, 5), qkv(0), [["part(0, 0, 4)"], odd("part(0, 0, 2, 2)")]),
        ([(6, 5)], (4, 5), qkv(0), [["part(0, 0, 4)"]]),
        ([(8, 5)], (8, 5), qkv(0), []),
        ([(7,)], (4,), qkv(0), []),
        ([(6, 5)], (3, 5), gate_up(1), [["part(0, 3, 6)"], odd("part(0, 1, 2, 3)")]),
        ([(7, 5)], (3, 5), gate_up(1), []),
        ([(8,)], (3,), gate_up(1), []),
        ([(8,)], (4,), qkv(1), [["part(0, 4, 6), repeat(0, 2, 1)", "part(0, 4, 6), repeat(0, 2)"],
                                odd("part(0, 2, 3, 2), repeat(0, 2, 1)", "part(0, 2, 3, 2), repeat(0, 2)")]),
        ([(6,)], (4,), qkv(1), [["part(0, 4, 5), repeat(0, 4)"]]),
        ([(9,)], (4,), qkv(1), [["part(0, 1, 5)"]]),
        ([(10,)], (4,), qkv(1), [["part(0, 2, 6)"], odd("part(0, 1, 3, 2)")]),
        ([(7,)], (4,), qkv(2), []),
        ([(4,)], (4,), qkv(2), []),
        ([(3,)], (1,), qkv(2), [["part(0, 2, 3)"]]),
    ],
    ids=str,
)  # fmt: skip
def test_a_part_is_where_the_shapes_allow_it(shapes, target, fused, levels):
    assert told(fused_in_actual(shapes, target, fused, are_equal=False)) == levels
    assert told(fused_in_actual(shapes, target, fused, are_equal=True)) == levels


def test_ranks_that_hold_a_part_each_are_as_good_as_one_run():
    levels = told(fused_in_actual([(6, 5)] * 2, (4, 5), qkv(1), are_equal=False))
    assert levels[0] == ["concatenate(0), part(0, 4, 8)", "concatenate(0), part(0, 2, 4, 2)"]
    assert levels[1][0] == "concatenate(1), part(0, 2, 4), reshape(4, 5)"
    assert levels[2] == odd("concatenate(0), part(0, 1, 2, 4)")
    assert told(fused_in_actual([(6, 5)] * 2, (2, 5), qkv(1), are_equal=True)) == [
        ["replicated, part(0, 2, 4)"], odd("replicated, part(0, 1, 2, 2)"),
    ]  # fmt: skip
    assert told(fused_in_actual([(6,)] * 2, (8,), qkv(1), are_equal=False))[0] == [
        "concatenate(0), part(0, 8, 10), repeat(0, 4, 1)",
        "concatenate(0), part(0, 8, 10), repeat(0, 4)",
        "concatenate(0), part(0, 4, 5, 2), repeat(0, 4, 1)",
        "concatenate(0), part(0, 4, 5, 2), repeat(0, 4)",
    ]


@pytest.mark.parametrize(
    ("shapes", "source", "are_equal", "levels"),
    [
        ([(4, 5)], (12, 5), False,
         [["identity; expected: part(0, 8, 12)"],
          odd("identity; expected: part(0, 4, 6, 2)", "identity; expected: part(0, 2, 3, 4)")]),
        ([(2, 5)] * 2, (12, 5), False,
         [["concatenate(0); expected: part(0, 8, 12)"],
          odd("concatenate(0); expected: part(0, 4, 6, 2)", "concatenate(0); expected: part(0, 2, 3, 4)")]),
        ([(2, 5)] * 2, (6, 5), True,
         [["replicated; expected: part(0, 4, 6)"], odd("replicated; expected: part(0, 2, 3, 2)")]),
        ([(2, 5)], (6, 5), True,
         [["identity; expected: part(0, 4, 6)"], odd("identity; expected: part(0, 2, 3, 2)")]),
        ([(4,)], (6,), False, [["identity; expected: part(0, 5, 6), repeat(0, 4)"]]),
        ([(0, 5)], (8, 5), False, []),
        ([(4, 5)], (0, 5), False, []),
    ],
    ids=str,
)  # fmt: skip
def test_a_part_of_the_expected_tensor(shapes, source, are_equal, levels):
    assert told(fused_in_expected(shapes, source, qkv(2, "expected"), are_equal=are_equal)) == levels


@pytest.mark.parametrize(
    ("shapes", "target", "levels"),
    [
        ([(6,)], (2,), [["identity; expected: repeat(0, 3, 1)", "identity; expected: repeat(0, 3)"]]),
        ([(2,)], (6,), [["repeat(0, 3, 1)", "repeat(0, 3)"]]),
        ([(4,)], (8,), [["repeat(0, 2, 1)", "repeat(0, 2)"], odd("repeat(0, 2, 2)")]),
        ([(3,)] * 2, (12,),
         [["concatenate(0), repeat(0, 2, 1)", "concatenate(0), repeat(0, 2)"],
          odd("concatenate(0), repeat(0, 2, 2)", "concatenate(0), repeat(0, 2, 3)")]),
        ([(4,)] * 2, (4,),
         [["concatenate(0); expected: repeat(0, 2, 1)", "concatenate(0); expected: repeat(0, 2)"],
          odd("concatenate(0); expected: repeat(0, 2, 2)")]),
        ([(3,)], (2,), []),
    ],
    ids=str,
)  # fmt: skip
def test_the_smaller_side_is_repeated(shapes, target, levels):
    assert told(repeated(shapes, target)) == levels


def test_ways_that_move_nothing_come_before_those_that_do():
    levels = told(repeated([(6, 5)], (2, 5)))
    assert levels[0] == ["identity; expected: repeat(0, 3, 1)", "identity; expected: repeat(0, 3)"]
    assert levels[1][0] == "reshape(2, 15); expected: repeat(1, 3, 1)"
    assert len(levels) == 2
