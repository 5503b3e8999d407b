"""Select, repeat and share out along a dim: the arithmetic of every change of width."""

__all__ = ["reindexed", "shared_out"]

import torch
from torch import Tensor

from outgrow.evolve.coupling.extent import Positions


def reindexed(tensor: Tensor, dim: int, positions: Positions) -> Tensor:
    """`tensor` with the indices `positions.gather` along `dim`, contiguous."""
    return tensor.index_select(dim, positions.gather.to(tensor.device)).contiguous()


def shared_out(
    tensor: Tensor, dim: int, positions: Positions, sources: Tensor, *, generator: torch.Generator
) -> Tensor:
    """`tensor` reindexed so that copies of one unit together weigh what the unit weighed alone.

    Each further copy takes `u w` and leaves `(1 - u) w`, `u` uniform on `[-0.5, 1.5)` and drawn for each
    element, so that copies that are equal before this weight part from each other when they are trained.

    Args:
        tensor: the weight before the change.
        dim: the dim over which activations are contracted with it.
        positions: where each new index comes from.
        sources: int64 `[new units]`, the old unit of each new one.
        generator: a CPU generator, so that a seed gives the same on every device.
    """
    result = reindexed(tensor, dim, positions).movedim(dim, 0)
    holder: dict[int, int] = {}
    for unit, source in enumerate(sources.tolist()):
        if source not in holder:
            holder[source] = unit
            continue
        mine = (positions.unit == unit).nonzero()[:, 0].to(tensor.device)
        theirs = (positions.unit == holder[source]).nonzero()[:, 0].to(tensor.device)
        held = result[theirs]
        share = torch.rand(held.shape, generator=generator, dtype=torch.float64) * 2 - 0.5
        part = (held.double() * share.to(tensor.device)).to(tensor.dtype)
        result[mine] = part
        result[theirs] = (held.double() - part.double()).to(tensor.dtype)
    return result.movedim(0, dim).contiguous()
