"""Units that can go without moving the outputs: those that weigh nothing, and those that others repeat."""

__all__ = ["FreeUnits", "free_units"]

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from outgrow.evolve.coupling.coupling import Coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.operators.scores import rows_of, unit_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeUnits:
    """Which of the units that are to go can go exactly, and how."""

    weightless: frozenset[int]
    """Their outgoing weights are all zero: they are dropped."""
    merged: Mapping[int, int]
    """Their incoming weights are, bit for bit, those of a unit that stays: it takes over their outgoing
    weights."""

    def covers(self, gone: Iterable[int]) -> bool:
        """Whether all of them can go exactly."""
        return all(unit in self.weightless or unit in self.merged for unit in gone)


def free_units(model: nn.Module, coupling: Coupling, leaf: Extent, gone: Iterable[int]) -> FreeUnits:
    """Look at the units `gone`; where a statistic is computed over the units, or a weight both makes and
    reads them, none is free."""
    going = sorted(gone)
    occurrences = coupling.occurrences(leaf)
    if (
        coupling.reduced_by(leaf)
        or any(len(use.roles) > 1 for use in occurrences)
        or not any("in" in use.roles for use in occurrences)
    ):
        return FreeUnits(weightless=frozenset(), merged={})
    weighs = torch.zeros(leaf.size, dtype=torch.bool)
    keys = [hashlib.blake2b(digest_size=16) for _ in range(leaf.size)]
    for tensor, table, roles in unit_rows(model, coupling, leaf, parameters_only=False):
        rows = rows_of(tensor.detach(), table).cpu()
        if "in" in roles:
            weighs |= rows.any(dim=1)
            continue
        entries = rows.contiguous().view(torch.uint8).numpy()
        for key, entry in zip(keys, entries, strict=True):
            key.update(entry.tobytes())
    weightless = frozenset(unit for unit in going if not weighs[unit])
    staying = sorted(set(range(leaf.size)) - set(going))
    takers = {keys[unit].digest(): unit for unit in reversed(staying)}
    merged = {
        unit: takers[keys[unit].digest()]
        for unit in going
        if unit not in weightless and keys[unit].digest() in takers
    }
    return FreeUnits(weightless=weightless, merged=merged)
