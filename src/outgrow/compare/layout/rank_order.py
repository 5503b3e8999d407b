"""Whether the ranks' tensors were given in another order than the one in which they belong together."""

__all__ = ["RankOrder", "find_order"]

from dataclasses import dataclass

import numpy as np

from outgrow.compare.layout.chain import located
from outgrow.compare.layout.evidence import CONFIRMED, Scale, agreement, sigmas
from outgrow.compare.layout.samples import Numbers
from outgrow.compare.layout.sides import Option, Sides

_CLEAR = 0.65


@dataclass(frozen=True, slots=True, kw_only=True)
class RankOrder:
    """An order that fits better than the given one."""

    order: tuple[int, ...]
    """Which of the given ranks belongs at each place."""
    before: float
    """Agreement of the places that move, in the given order."""
    after: float
    """The same, in this order."""
    all_after: float
    """Agreement of all places in this order."""

    def describe(self) -> str:
        """A sentence."""
        return (
            f"the ranks fit in the order {', '.join(map(str, self.order))}: agreement {self.after:.2f} "
            f"instead of {self.before:.2f}; they are compared in the order in which they were given"
        )


def find_order(sides: Sides, option: Option) -> RankOrder | None:
    """Whose numbers are where those of each rank should be; None where they are its own, or nobody's."""
    tensors = sides.actual.tensors
    places = located(option.layout, sides.positions)
    if len(tensors) < 2 or len(places) != 1 or len({tensor.shape for tensor in tensors}) != 1:
        return None
    ranks, positions = places[0]
    if len(np.unique(ranks)) != len(tensors):
        return None
    truth = sides.truth(option.expected_layout)
    fits = np.zeros((len(tensors), len(tensors)))
    for source, tensor in enumerate(tensors):
        numbers = Numbers([tensor]).at(positions)
        values = Scale.of(numbers).apply(numbers)
        for slot in range(len(tensors)):
            fits[slot, source] = agreement(truth[ranks == slot], values[ranks == slot])
    own = np.diag(fits)
    order = tuple(int(source) for source in fits.argmax(1))
    moved = [slot for slot, source in enumerate(order) if source != slot]
    if not moved or len(set(order)) != len(order):
        return None
    found = np.array([fits[slot, order[slot]] for slot in moved])
    count = len(positions) // len(tensors)
    if found.min() < _CLEAR or sigmas(float(found.min()), count) < CONFIRMED or own[moved].max() > _CLEAR / 2:
        return None
    return RankOrder(
        order=order, before=float(own[moved].mean()), after=float(found.mean()),
        all_after=float(np.mean([fits[slot, source] for slot, source in enumerate(order)])),
    )  # fmt: skip
