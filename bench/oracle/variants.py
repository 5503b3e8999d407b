"""The ways in which one case is run: how its tensors are held and how rows are chosen."""

__all__ = ["Variant", "variants"]

import random
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from bench.oracle.stable import stable
from outgrow.placement import Owned, Placement, Replicate, Shard


class Variant(NamedTuple):
    """One way to run a case."""

    name: str
    """`replicate`, `owned`, `uneven`, `shard:<tensor>:<dim>`, `random:<n>`; `+rows<n>`: rows at random."""
    seed: int | None
    """Of the rows; None for the cheapest."""
    placements: tuple[Placement | None, ...]
    """Of the tensors, in the order in which the program names them; those beyond are left to the workers."""

    def where(self, number: int, tensor: Tensor) -> Placement | None:
        """See `side.Where`."""
        return self.placements[number] if number < len(self.placements) else None


def variants(key: str, shapes: Sequence[tuple[int, ...]], world_size: int, most: int) -> list[Variant]:
    """Up to `most` ways. `key` decides every random choice; `shapes`: of the tensors that will be moved."""
    chance = random.Random(stable(key))
    plain: tuple[Placement, ...] = (Replicate(),) * len(shapes)
    found = [Variant("replicate+rows0", chance.getrandbits(30), plain)]
    if world_size == 1 or not any(shapes):
        return [Variant("replicate", None, plain), *found][:most]
    uneven = tuple(Shard(0) if shape else Replicate() for shape in shapes)
    found.append(Variant("uneven+rows1", chance.getrandbits(30), uneven))
    for number in range(2):
        drawn = tuple(_any(chance, shape, world_size) for shape in shapes)
        found.append(Variant(f"random:{number}+rows{number + 2}", chance.getrandbits(30), drawn))
    found.append(Variant("uneven", None, uneven))
    singles = [
        (index, dim)
        for index, shape in enumerate(shapes)
        for dim, size in enumerate(shape)
        if size and size % world_size == 0
    ]
    chance.shuffle(singles)
    for index, dim in singles:
        placed = (*plain[:index], Shard(dim), *plain[index + 1 :])
        found.append(Variant(f"shard:{index}:{dim}", None, placed))
    owner = Owned(chance.randrange(world_size))
    found.insert(min(len(found), most - 1), Variant("owned", None, (owner,) * len(shapes)))
    return found[:most]


def _any(chance: random.Random, shape: tuple[int, ...], world_size: int) -> Placement:
    options: list[Placement] = [Replicate(), Owned(chance.randrange(world_size))]
    options += [Shard(dim) for dim in range(len(shape))] * 2
    return chance.choice(options)
