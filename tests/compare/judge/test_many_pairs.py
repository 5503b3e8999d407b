"""Runs of very many tensors: a large mixture of experts has 100,000."""

import time

import pytest

from outgrow.compare.judge import judge
from tests.compare.judge.pairs import pair, words

COUNT = 4000


@pytest.mark.parametrize("error", [2e-7, 0.3], ids=["right", "wrong"])
def test_time_grows_with_the_pairs_and_not_with_their_square(error):
    pairs = [pair(f"{index // 64}_up", error * (1 + index % 64 / 100)) for index in range(COUNT)]

    def seconds(some):
        started = time.process_time()
        judge(some)
        return time.process_time() - started

    few, many = (min(seconds(some) for _ in range(3)) for some in (pairs[: COUNT // 8], pairs))
    assert many < 16 * few  # with the square 64 times


def test_what_explains_an_error_is_the_worst_that_it_may_come_from():
    """Not what is beside it: of gate and up in one layer none comes from the other."""
    ways = [pair("0_gate", 0.4), pair("0_up", 0.3), pair("0_post_mlp", 1.9)]
    assert words(judge(ways)) == ["differs", "differs", "inherited"]
    assert words(judge([pair("0_gate", 0.01), pair("0_up", 0.001), pair("0_post_mlp", 0.9)]))[2] == "differs"
    assert words(judge([pair("0_gate", 0.01), pair("0_up", 0.4), pair("0_post_mlp", 0.9)]))[2] == "inherited"
