"""Select, repeat, share out and add up along a dim: the arithmetic of every change of width."""

__all__ = ["added_up", "reindexed", "shared_out", "unit_table"]

from collections.abc import Mapping

import torch
from torch import Tensor

from outgrow.evolve.coupling.extent import Positions


def reindexed(tensor: Tensor, dim: int, gather: Tensor) -> Tensor:
    """`tensor` with the indices `gather` (int64 `[new]`) along `dim`, in the memory format that it had."""
    result = tensor.index_select(dim, gather.to(tensor.device))
    for layout in (torch.contiguous_format, torch.channels_last, torch.channels_last_3d):
        if layout is not torch.contiguous_format and tensor.dim() != (
            4 if layout is torch.channels_last else 5
        ):
            continue
        if tensor.is_contiguous(memory_format=layout):
            return result.contiguous(memory_format=layout)
    return result.contiguous()


def unit_table(positions: Positions, units: int) -> Tensor:
    """int64 `[units, positions of one unit]`: where each unit lies along a dim, in order."""
    order = torch.argsort(positions.unit, stable=True)
    return order[int((positions.unit < 0).sum()) :].reshape(units, -1)


def shared_out(
    tensor: Tensor, dim: int, positions: Positions, sources: Tensor, *, generator: torch.Generator
) -> Tensor:
    """`tensor` reindexed so that copies of one unit together weigh what the unit weighed alone.

    Each further copy takes `u w` and leaves `(1 - u) w`, `u` uniform on `[-0.5, 1.5)` and drawn for each
    element, so that copies that are equal before this weight part from each other when they are trained. The
    two add up to `w` without rounding. A unit that weighs nothing at all gives its copies `d` and `-d`: with
    zeros they could never part.

    Args:
        tensor: the weight before the change, floating point.
        dim: the dim over which activations are contracted with it.
        positions: where each new index comes from.
        sources: int64 `[new units]`, the old unit of each new one.
        generator: a CPU generator, so that a seed gives the same on every device.
    """
    result = reindexed(tensor, dim, positions.gather)
    rows = result.movedim(dim, 0)
    table = unit_table(positions, len(sources))
    per_index = tensor[0].numel() if tensor.dim() == 1 else tensor.numel() // max(tensor.shape[:2])
    bound = 0.5 / max(per_index, 1) ** 0.5
    for copies, holders in _rounds(sources):
        mine = table[copies].reshape(-1).to(tensor.device)
        theirs = table[holders].reshape(-1).to(tensor.device)
        held = rows[theirs]
        drawn = torch.rand(held.shape, generator=generator, dtype=torch.float64).to(tensor.device)
        part = (held.double() * (2 * drawn - 0.5)).to(tensor.dtype)
        weighs = held.reshape(len(copies), -1).any(dim=1)
        is_empty = ~weighs.repeat_interleave(table.shape[1])
        part[is_empty] = ((2 * drawn[is_empty] - 1) * bound).to(tensor.dtype)
        left = held - part
        # Exact by Sterbenz' lemma whichever of the two was rounded, because `left` is within a factor of two
        # of `w` where `u` is below one half, and `part` is where it is not.
        rows[mine] = held - left
        rows[theirs] = left
    return result


def _rounds(sources: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The first further copy of each unit, then the second, ...: int64 copies, and the units they copy."""
    holder: dict[int, int] = {}
    seen: dict[int, int] = {}
    rounds: list[tuple[list[int], list[int]]] = []
    for unit, source in enumerate(sources.tolist()):
        if source not in holder:
            holder[source] = unit
            seen[source] = 0
            continue
        if seen[source] == len(rounds):
            rounds.append(([], []))
        rounds[seen[source]][0].append(unit)
        rounds[seen[source]][1].append(holder[source])
        seen[source] += 1
    return [(torch.tensor(copies), torch.tensor(holders)) for copies, holders in rounds]


def added_up(tensor: Tensor, dim: int, positions: Positions, units: int, into: Mapping[int, int]) -> Tensor:
    """A copy of `tensor` in which what each unit of `into` weighs is added to the unit that it names.

    Args:
        tensor: a weight, floating point.
        dim: the dim over which activations are contracted with it.
        positions: of the dim as it is, so that `positions.unit` numbers the units.
        units: how many there are.
        into: unit that goes -> unit that takes over its weights.
    """
    result = tensor.clone()
    rows = result.movedim(dim, 0)
    table = unit_table(positions, units).to(tensor.device)
    wide = torch.float64 if tensor.dtype != torch.float64 else tensor.dtype
    takers: dict[int, list[int]] = {}
    for gone, taker in into.items():
        takers.setdefault(taker, []).append(gone)
    for taker, given in takers.items():
        total = rows[table[taker]].to(wide)
        for unit in given:
            total = total + rows[table[unit]].to(wide)
        rows[table[taker]] = total.to(tensor.dtype)
    return result
