"""The window's memory: extents never overlap, and what came back can be taken again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from outgrow.stream.ring import Ring


def test_extents_follow_each_other_around_the_end():
    ring = Ring(100)
    first, second = ring.take(40, 1), ring.take(40, 1)
    assert (first, second) == (0, 40)
    assert ring.take(40, 1) is None, "20 bytes are left at the end"
    ring.give_back(first)
    assert ring.take(40, 1) == 0
    assert ring.take(20, 1) == 80
    assert ring.used_bytes == 100


def test_alignment_leaves_a_gap():
    ring = Ring(8192 + 64)
    assert ring.take(64, 64) == 0
    assert ring.take(4096, 4096) == 4096
    assert ring.take(64, 64) == 8192
    assert ring.take(4032, 64) == 64, "the gap serves what fits into it"


def test_newest_extent_leaves_its_place_to_its_successor():
    ring = Ring(100)
    ring.take(30, 1)
    given_up = ring.take(30, 1)
    ring.give_back(given_up)
    assert ring.take(70, 1) == 30


def test_gap_between_two_that_are_kept_is_found():
    ring = Ring(100)
    places = [ring.take(20, 1) for _ in range(5)]
    for place in places[1:4]:
        ring.give_back(place)
    assert ring.take(60, 1) == 20


def test_takes_behind_the_last_one_taken_first():
    # First in, first out: what came back last must not be taken before what has been free for longer.
    ring = Ring(100)
    ring.take(20, 1)
    second = ring.take(20, 1)
    ring.take(20, 1)
    ring.give_back(second)
    assert ring.take(20, 1) == 60


@pytest.mark.parametrize("nbytes", [101, 1000])
def test_more_than_the_ring_is_refused(nbytes):
    assert Ring(100).take(nbytes, 1) is None


def test_ring_of_no_bytes_gives_nothing():
    ring = Ring(0)
    assert ring.take(1, 1) is None
    assert ring.used_bytes == 0
    ring.check()


def test_unknown_extent_is_an_error():
    with pytest.raises(KeyError):
        Ring(100).give_back(0)


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=60), live=st.integers(1, 4))
def test_first_in_first_out_uses_all_of_the_ring(sizes, live):
    # `live` extents of at most 40 at a time fit, with one gap at the end of the ring that is too small.
    ring = Ring((live + 1) * 40)
    taken = []
    for size in sizes:
        if len(taken) == live:
            ring.give_back(taken.pop(0))
        begin = ring.take(size, 1)
        assert begin is not None
        taken.append(begin)
        ring.check()


class RingAgainstIntervals(RuleBasedStateMachine):
    """A ring beside a plain list of intervals that knows every free byte."""

    taken = Bundle("taken")

    def __init__(self) -> None:
        super().__init__()
        self.ring = Ring(1 << 10)
        self.spans: dict[int, int] = {}

    def free_runs(self) -> list[tuple[int, int]]:
        runs, at = [], 0
        for begin, end in sorted(self.spans.items()):
            runs.append((at, begin))
            at = end
        return [*runs, (at, self.ring.nbytes)]

    @rule(target=taken, nbytes=st.integers(1, 1 << 10), power=st.integers(0, 8))
    def take(self, nbytes: int, power: int) -> int | None:
        alignment = 1 << power
        begin = self.ring.take(nbytes, alignment)
        fits = [-(-low // alignment) * alignment + nbytes <= high for low, high in self.free_runs()]
        assert (begin is not None) == any(fits)
        if begin is not None:
            assert begin % alignment == 0
            assert begin >= 0
            assert begin + nbytes <= self.ring.nbytes
            overlaps = [span for span in self.spans.items() if span[0] < begin + nbytes and begin < span[1]]
            assert not overlaps
            self.spans[begin] = begin + nbytes
        return begin

    @precondition(lambda self: self.spans)
    @rule(begin=consumes(taken))
    def give_back(self, begin: int | None) -> None:
        if begin is not None:
            self.ring.give_back(begin)
            del self.spans[begin]

    @invariant()
    def counts_and_places_agree(self) -> None:
        self.ring.check()
        assert self.ring.begins == tuple(sorted(self.spans))
        assert self.ring.used_bytes == sum(end - begin for begin, end in self.spans.items())


TestRingAgainstIntervals = RingAgainstIntervals.TestCase
TestRingAgainstIntervals.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
