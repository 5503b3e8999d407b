"""Bucket elimination finds what trying everything finds."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outgrow.shard.planner.elimination import IMPOSSIBLE, Eliminator


@st.composite
def problems(draw):
    """Up to six variables of up to four choices; few different costs, so that ties are common."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    costs = st.sampled_from((0.0, 1.0, 2.0, 5.0, IMPOSSIBLE))

    def table(*shape):
        count = int(np.prod(shape))
        return np.array(draw(st.lists(costs, min_size=count, max_size=count))).reshape(shape)

    unary = [table(size) for size in sizes]
    pairs = {}
    for v, w in itertools.permutations(range(len(sizes)), 2):
        if draw(st.booleans()):
            pairs[v, w] = [table(sizes[v], sizes[w]) for _ in range(draw(st.integers(1, 2)))]
    return unary, pairs


def _cost(unary, pairs, choices):
    own = sum(table[choice] for table, choice in zip(unary, choices, strict=True))
    return own + sum(table[choices[v], choices[w]] for (v, w), tables in pairs.items() for table in tables)


@given(problems())
@settings(max_examples=150)
def test_nothing_is_cheaper_than_what_is_found(problem):
    unary, pairs = problem
    found = Eliminator().solve(unary, pairs)
    best = min(_cost(unary, pairs, choices) for choices in itertools.product(*(range(len(t)) for t in unary)))
    assert found.is_exact
    assert found.cost == pytest.approx(_cost(unary, pairs, found.choices))
    assert found.cost == pytest.approx(best) or best >= IMPOSSIBLE


@given(problems())
@settings(max_examples=50)
def test_small_tables_give_an_answer_that_is_not_called_exact(problem):
    unary, pairs = problem
    found = Eliminator(largest_table=4).solve(unary, pairs)
    assert found.cost == pytest.approx(_cost(unary, pairs, found.choices))
    assert found.largest_table <= 4


def test_a_second_solve_with_the_same_tables_makes_none_anew():
    rng = np.random.default_rng(0)
    unary = [rng.random(4) for _ in range(30)]
    pairs = {(v, v + 1): [rng.random((4, 4))] for v in range(29)}
    eliminator = Eliminator()
    first = eliminator.solve(unary, pairs)
    made = len(eliminator._tables)
    assert eliminator.solve(unary, pairs) == first
    assert len(eliminator._tables) == made


def test_layers_that_are_alike_are_worked_out_once():
    rng = np.random.default_rng(1)
    own, between = rng.random(5), rng.random((5, 5))
    spokes = {(v, 0): [between] for v in range(1, 400)}
    eliminator = Eliminator()
    found = eliminator.solve([rng.random(5), *[own] * 399], spokes)
    assert found.is_exact
    # The hub's own table grows by one sum for each spoke; nothing else is made 399 times.
    assert len(eliminator._tables) < 420


def test_a_ring_of_many_variables_is_solved_exactly():
    rng = np.random.default_rng(2)
    count = 200
    unary = [rng.random(3) for _ in range(count)]
    pairs = {(v, (v + 1) % count): [rng.random((3, 3))] for v in range(count)}
    found = Eliminator().solve(unary, pairs)
    assert found.is_exact
    assert found.largest_table <= 27
    best = np.inf
    for first in range(3):
        line = np.full(3, np.inf)
        line[first] = unary[0][first]
        for v in range(1, count):
            line = (line[:, None] + pairs[v - 1, v][0]).min(0) + unary[v]
        best = min(best, (line + pairs[count - 1, 0][0][:, first]).min())
    assert found.cost == pytest.approx(best)
