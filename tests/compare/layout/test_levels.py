"""One level of layouts after the other: when a search ends, and what it says where nothing is sure."""

import math

import pytest
import torch

from outgrow.compare.layout.candidates import find_candidates
from outgrow.compare.layout.combining import one_tensor
from outgrow.compare.layout.search import Found, search
from outgrow.compare.layout.sides import Option, Sides
from outgrow.compare.layout.written import hint_of


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def options(source, target, **more):
    return [
        [Option.of(candidate, lambda one: one.rearrange) for candidate in level]
        for level in find_candidates(source, target, limit=240, **more)
    ]


def said(found):
    return found.ground, None if found.option is None else hint_of(found.option.layout)


def test_nothing_to_try_is_none():
    x = numbers(8, 9)
    sides = Sides(x, [x])
    assert search(sides, []) == search(sides, [[], []]) == Found(option=None, ground="none")


def test_levels_that_hold_nothing_are_passed_over():
    x = numbers(8, 9)
    sides = Sides(x, [x.T.contiguous()])
    found = search(sides, [[], *one_tensor((9, 8), (8, 9))])
    assert said(found) == ("confirmed", "transpose(0, 1)")
    assert found.agreement == pytest.approx(1.0)
    assert found.others == ()


def test_no_further_level_is_asked_for_where_one_is_sure():
    x = numbers(8, 9)

    def levels():
        yield from options((9, 8), (8, 9), max_level=0)
        raise AssertionError("asked for more")

    assert said(search(Sides(x, [x.T.contiguous()]), levels())) == ("confirmed", "transpose(0, 1)")


def test_a_later_level_is_taken_where_its_numbers_are_clear():
    x = numbers(12, 20)
    levels = options((20, 12), (12, 20))
    right = levels[1][3]
    found = search(Sides(x, [right.layout.inverse.apply([x])]), levels)
    assert (found.ground, found.option) == ("confirmed", right)


@pytest.mark.parametrize("shapes_suffice", [True, False])
def test_the_only_plain_map_is_taken_where_shapes_suffice(shapes_suffice):
    sides = Sides(numbers(8, 9), [numbers(9, 8, seed=1)])
    found = search(sides, one_tensor((9, 8), (8, 9)), shapes_suffice=shapes_suffice)
    if shapes_suffice:
        assert said(found) == ("shapes", "transpose(0, 1)")
        assert found.others == ()
    else:
        assert said(found) == ("ambiguous", None)
        assert [hint_of(one.layout) for one in found.others] == ["transpose(0, 1)"]
    assert abs(found.agreement) < 0.3
    assert found.agreement != 0.0


def test_of_several_that_are_not_confirmed_three_are_named_the_best_first():
    sides = Sides(numbers(6, 6, 6), [numbers(36, 6, seed=1)])
    (level, *_) = options((36, 6), (6, 6, 6))
    found = search(sides, [level])
    assert said(found) == ("ambiguous", None)
    assert len(level) > 3 == len(found.others)
    rates = [sides.agreement(one) for one in found.others]
    assert rates == sorted(rates, reverse=True)
    assert found.agreement == pytest.approx(rates[0])
    assert rates[0] >= max(sides.agreement(one) for one in level[:8]) - 1e-12


def test_constants_fit_every_map():
    sides = Sides(torch.full((6, 8, 64), 3.0), [torch.full((64, 48), 3.0)])
    found = search(sides, one_tensor((64, 48), (6, 8, 64)))
    assert found.ground == "equal"
    assert 1 <= len(found.others) <= 3
    # Of very many, too.
    sides = Sides(torch.zeros(4, 6, 10), [torch.zeros(24, 10)])
    level = options((24, 10), (4, 6, 10))[-1]
    assert len(level) > 8
    assert search(sides, [level]).ground == "equal"


@pytest.mark.parametrize("count", [7, 8, 9, 40])
def test_the_right_one_is_found_among_however_many(count):
    x = numbers(12, 20)
    level = options((20, 12), (12, 20))[1]
    right = level[-1]
    actual = right.layout.inverse.apply([x])
    among = [*level[: count - 1], right]
    found = search(Sides(x, [actual]), [among])
    assert found.option == right
    assert found.ground in ("confirmed", "partly")
    # Also where the first level said nothing: half of its numbers are in their places at most.
    found = search(Sides(x, [actual]), [*options((20, 12), (12, 20), max_level=0), among])
    assert found.option == right


def test_hopeless_levels_are_given_up():
    sides = Sides(numbers(12, 20), [numbers(20, 12, seed=1)])
    first, second = options((20, 12), (12, 20))
    assert said(search(sides, [first, second])) == ("shapes", "transpose(0, 1)")
    found = search(sides, [first, second], shapes_suffice=False)
    assert (found.ground, found.option) == ("ambiguous", None)


def test_a_missing_factor_and_nan_do_not_hide_the_map():
    x = numbers(12, 20)
    actual = 0.001 * x.T + 7
    actual[::3] = math.nan
    assert said(search(Sides(x, [actual.contiguous()]), one_tensor((20, 12), (12, 20)))) == (
        "confirmed", "transpose(0, 1)",
    )  # fmt: skip
