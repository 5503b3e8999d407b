"""Seconds of one training step of each shape, measured in turns, so that all see the same load."""

__all__ = ["measure_steps", "phases", "seconds_of"]

import statistics
import time
from collections.abc import Mapping, Sequence

from bench.evolve.arms import COOLDOWN, FIXED, GROWING, PRUNED, name_of
from bench.evolve.fashion import Pictures
from bench.evolve.fixed import build
from bench.evolve.growth import grow
from bench.evolve.net import forward_macs
from bench.evolve.schedule import HOLD
from bench.evolve.training import BATCH, Training

Widths = tuple[int, int, int]
Phase = tuple[Widths, bool, float]
"""Widths, whether they were grown to, and the share of 1x that was spent at them."""


def phases(arm: str, budget: float) -> list[Phase] | None:
    """What an arm spends at which widths for one model of a budget; `None` where that is not fixed."""
    if arm in FIXED:
        return [(FIXED[arm], False, budget)]
    if arm in GROWING:
        start, growths = GROWING[arm].start, [(share * budget, to) for share, to in GROWING[arm].growths]
    elif arm in COOLDOWN:
        start = COOLDOWN[arm].start
        growths = [(at, to) for at, to in COOLDOWN[arm].growths if at <= HOLD * budget]
    elif arm in PRUNED:
        share, (first, second, third) = PRUNED[arm].share, PRUNED[arm].start
        kept = 1 - PRUNED[arm].ratio
        cut = (round(first * kept), round(second * kept), round(third * kept))
        return [(PRUNED[arm].start, False, share * budget), (cut, False, (1 - share) * budget)]
    else:
        return None
    found: list[Phase] = []
    now, spent = start, 0.0
    for at, to in growths:
        found.append((now, bool(found), at - spent))
        now, spent = to, at
    return [*found, (now, bool(found), budget - spent)]


def measure_steps(pictures: Pictures, rounds: int = 7, steps: int = 12) -> dict[str, list[float]]:
    """For each shape of any phase the CPU seconds of a step, a figure a round, all shapes in each round.

    A shape that was grown to has the work of the optimizer's hooks with it.
    """
    wanted = sorted(
        {
            (widths, grown)
            for arm, budget in [
                *((arm, 1.0) for arm in (*FIXED, *GROWING)),
                *((arm, 4.0) for arm in COOLDOWN),
            ]
            for widths, grown, _ in phases(arm, budget) or ()
        }
    )
    trainings = {_name(*one): _training(*one, pictures) for one in wanted}
    found: dict[str, list[float]] = {name: [] for name in trainings}
    for turn in range(rounds + 1):
        for name, training in trainings.items():
            began = time.process_time()
            training.advance(training.macs + steps * training.step_macs(), lambda _: 0.01)
            if turn:
                found[name].append((time.process_time() - began) / steps)
    return found


def seconds_of(arm: str, budget: float, steps: Mapping[str, Sequence[float]], unit: float) -> float | None:
    """Seconds of a whole run by the medians of `measure_steps`; `None` where its phases are not fixed."""
    found = phases(arm, budget)
    if found is None or any(_name(widths, grown) not in steps for widths, grown, _ in found):
        return None
    return sum(
        share * unit / (3 * forward_macs(widths) * BATCH) * statistics.median(steps[_name(widths, grown)])
        for widths, grown, share in found
    )


def _name(widths: Widths, grown: bool) -> str:
    return name_of(widths) + (" grown" if grown else "")


def _training(widths: Widths, grown: bool, pictures: Pictures) -> Training:
    start = (widths[0], widths[1], widths[2] // 2) if grown else widths
    training = build(start, pictures, seed=0, lr=0.01)
    if grown:
        training.advance(2 * training.step_macs(), lambda _: 0.01)
        grow(training, pictures, widths, "split", seed=0)
    return training
