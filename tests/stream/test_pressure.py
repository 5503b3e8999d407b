"""Memory that runs short outside: what each mode gives back, and when it takes it again."""

from dataclasses import dataclass

import pytest

from outgrow.stream.config import MemoryPressureMode
from outgrow.stream.pressure import EASY_SHARE, GIVE_SHARE, LOOK_SECONDS, TIGHT_SHARE, PressureValve, Relief

BUDGET = 1000
MODES = list(MemoryPressureMode)


@dataclass
class Memory:
    """A gauge that shows what a test says."""

    share_available: float = 0.5
    reads: int = 0

    def read(self):
        self.reads += 1
        return self


class Bench:
    """A valve, its gauge, and a clock that goes on by a look at each question."""

    def __init__(self, mode):
        self.memory = Memory()
        self.valve = PressureValve(mode, self.memory)
        self.now = 0.0
        self.effective = BUDGET

    def ask(self, share, seconds=LOOK_SECONDS):
        self.memory.share_available = share
        self.now += seconds
        relief = self.valve.judge(budget_bytes=BUDGET, effective_bytes=self.effective, now=self.now)
        if relief is not None:
            self.effective = relief.effective_bytes
        return relief


@pytest.mark.parametrize("mode", MODES)
def test_enough_memory_changes_nothing(mode):
    bench = Bench(mode)
    assert [bench.ask(share) for share in (0.5, 0.9, 0.1, TIGHT_SHARE)] == [None] * 4


def test_aggressive_gives_more_at_each_look_and_takes_all_again():
    bench = Bench(MemoryPressureMode.AGGRESSIVE)
    assert bench.ask(0.01) == Relief(effective_bytes=750)
    assert bench.ask(0.01) == Relief(effective_bytes=int(750 * GIVE_SHARE))
    assert bench.ask(0.1) is None, "neither tight nor easy: no flutter"
    assert bench.ask(EASY_SHARE + 0.01) == Relief(effective_bytes=BUDGET)
    assert bench.ask(0.5) is None


def test_balanced_makes_the_window_small_once_and_right_again():
    bench = Bench(MemoryPressureMode.BALANCED)
    assert bench.ask(0.01) == Relief(effective_bytes=BUDGET, smallest_window=True)
    assert bench.ask(0.01) is None
    assert bench.ask(0.1) is None
    assert bench.ask(0.01) is None, "it never was easy in between"
    assert bench.ask(0.5) == Relief(effective_bytes=BUDGET)
    assert bench.ask(0.5) is None
    assert bench.ask(0.01) == Relief(effective_bytes=BUDGET, smallest_window=True)


def test_conservative_never_looks():
    bench = Bench(MemoryPressureMode.CONSERVATIVE)
    assert bench.ask(0.0) is None
    assert bench.memory.reads == 0


def test_looks_only_now_and_then():
    bench = Bench(MemoryPressureMode.AGGRESSIVE)
    assert bench.ask(0.01, seconds=0.0) is not None, "the first look is at once"
    assert bench.ask(0.01, seconds=LOOK_SECONDS * 0.9) is None
    assert bench.memory.reads == 1
    assert bench.ask(0.01, seconds=LOOK_SECONDS * 0.2) is not None


def test_looks_at_the_clock_by_itself():
    memory = Memory(0.01)
    valve = PressureValve(MemoryPressureMode.AGGRESSIVE, memory)
    assert valve.judge(budget_bytes=BUDGET, effective_bytes=BUDGET) == Relief(effective_bytes=750)
    assert valve.judge(budget_bytes=BUDGET, effective_bytes=750) is None
