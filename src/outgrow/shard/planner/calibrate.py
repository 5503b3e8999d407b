"""What this machine's ranks cost: measured once, at the start, in less than half a second."""

__all__ = ["calibrate", "typical_costs"]

import os
import time
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from outgrow.shard.planner.cost import NARROW
from outgrow.shard.planner.problem import Costs
from outgrow.shard.ranks.fabric import Fabric

COLLECTIVES: Final = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast")
SMALL: Final = 1 << 10
LARGE: Final = 1 << 19
"""Elements of the tensors that latency and bandwidth are taken from."""
_COPIED: Final = 1 << 22
"""Elements of the tensor that memory is measured with."""
_ROUNDS: Final = 5
_WIDTH: Final = 384
"""Of the matrix product that gives the floating point rate."""
_FILL: Final = 256
"""Of the one that fills the time between collectives."""


def calibrate(fabric: Fabric, *, solo_threads: int | None = None) -> Costs:
    """Measure collectives with compute between them, products and copies; every rank must call it, and gets
    the same figures.

    Without compute between them collectives look two to four times cheaper than they are: their threads stay
    awake. `solo_threads` are those that one rank may use when the others rest; None for all cores. Changes
    the number of torch's threads while it runs.
    """
    own_threads = torch.get_num_threads()
    products = _Products()

    def meet() -> None:
        _run("all_reduce", fabric, torch.zeros(1))

    products.fill()
    meet()
    together = _seconds(products.fill, meet)
    figures = [*products.rates(meet), _copy_rate(meet)]
    torch.set_num_threads(solo_threads or os.cpu_count() or own_threads)
    try:
        figures += _alone(products, fabric)
    finally:
        torch.set_num_threads(own_threads)
    figures.append(_op_seconds())
    for name in COLLECTIVES:
        latency, rate = 1e-6, 1e12
        if fabric.world_size > 1:
            few, many = torch.zeros(SMALL), torch.zeros(LARGE)
            _run(name, fabric, many)
            times = [_between(products.fill, name, fabric, whole, meet) - together for whole in (few, many)]
            latency = max(times[0], 1e-6)
            # Where noise made the large one no dearer, the latency hides it up to this size.
            rate = (LARGE - SMALL) * few.itemsize / max(times[1] - latency, times[1] / 10, 1e-6)
        figures += [latency, rate]
    # One rank's figures for all: a plan that differs between ranks would wait for ever.
    own = torch.tensor(figures, dtype=torch.float64)
    agreed = fabric.broadcast([own for _ in fabric.lanes], 0, (len(figures),), torch.float64)
    return _costs(agreed[0].tolist(), fabric.world_size)


def _costs(figures: list[float], world_size: int) -> Costs:
    flops, narrow, copies, solo_flops, solo_narrow, solo_copies, op_seconds, *collectives = figures
    return Costs(
        world_size=world_size,
        latency_seconds=dict(zip(COLLECTIVES, collectives[::2], strict=True)),
        bandwidth=dict(zip(COLLECTIVES, collectives[1::2], strict=True)),
        flops=flops,
        solo_flops=max(flops, solo_flops),
        memory_bandwidth=copies,
        solo_memory_bandwidth=max(copies, solo_copies),
        op_seconds=op_seconds,
        narrow_flops=narrow,
        solo_narrow_flops=max(narrow, solo_narrow),
    )


def _seconds(action: Callable[[], object], before: Callable[[], object]) -> float:
    """The second best of a few times: other work on the machine only ever adds."""
    times = []
    for _ in range(_ROUNDS):
        before()
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return sorted(times)[1]


def _between(
    compute: Callable[[], None], name: str, fabric: Fabric, whole: Tensor, before: Callable[[], object]
) -> float:
    def both() -> None:
        compute()
        _run(name, fabric, whole)

    return _seconds(both, before)


def _copy_rate(before: Callable[[], object]) -> float:
    # Into fresh memory each time, as ops do, and too large for caches.
    source = torch.zeros(_COPIED)
    return _COPIED * source.itemsize * 2 / _seconds(lambda: source + 1.0, before)


class _Products:
    """Matrix products, wide and narrow."""

    def __init__(self) -> None:
        # Not random: the generators belong to the program.
        self.small, self.square = _numbers(_FILL, _FILL), _numbers(_WIDTH, _WIDTH)
        self.narrow, self.long = _numbers(NARROW, 32768), _numbers(128, 32768)

    def fill(self) -> None:
        """What lies between two collectives."""
        torch.mm(self.small, self.small)

    def rates(self, before: Callable[[], object]) -> list[float]:
        """Floating point operations a second, of the wide one and of the narrow one."""
        wide = _seconds(lambda: torch.mm(self.square, self.square), before)
        narrow = _seconds(lambda: torch.mm(self.narrow, self.long.t()), before)
        return [2 * _WIDTH**3 / wide, 2 * self.narrow.numel() * len(self.long) / narrow]


def _numbers(rows: int, columns: int) -> Tensor:
    return torch.linspace(-1.0, 1.0, rows * columns, dtype=torch.float32).view(rows, columns)


def _alone(products: _Products, fabric: Fabric) -> list[float]:
    """Rates of rank 0 while the others wait for it."""
    found = [0.0, 0.0, 0.0]
    if 0 in fabric.lanes:
        products.fill()
        found = [*products.rates(_at_once), _copy_rate(_at_once)]
    _run("all_reduce", fabric, torch.zeros(1))
    return found


def _at_once() -> None:
    pass


def _op_seconds() -> float:
    small = torch.zeros(4)

    def many() -> None:
        for _ in range(200):
            torch.add(small, 1.0)

    many()
    # Steps are of many ops, most of them dearer than the smallest one; so much fits those of small models.
    return _seconds(many, _at_once) / 200 * 4


def _run(name: str, fabric: Fabric, whole: Tensor) -> None:
    """One collective over a tensor of that size in the whole."""
    lanes, world = len(fabric.lanes), fabric.world_size
    if name == "all_reduce":
        fabric.all_reduce([whole] * lanes, "sum")
    elif name == "broadcast":
        fabric.broadcast(
            [whole if rank == 0 else None for rank in fabric.lanes], 0, tuple(whole.shape), whole.dtype
        )
    elif name == "reduce_scatter":
        fabric.reduce_scatter([whole] * lanes, 0, "sum")
    else:
        size = len(whole) // world**2 * world**2
        pieces = [whole[: size // world].view(-1, 1) for _ in fabric.lanes]
        if name == "all_gather":
            fabric.all_gather(pieces, 0, size)
        else:
            square = whole[: size // world].view(world, -1)
            fabric.all_to_all([square] * lanes, 1, 0, square.shape[1] * world)


def typical_costs(world_size: int) -> Costs:
    """Figures of gloo ranks that share two cores: for simulated ranks, which cost nothing that could be
    measured."""
    return Costs(
        world_size=world_size,
        latency_seconds=dict(zip(COLLECTIVES, (8e-4, 4e-4, 1e-3, 2e-4, 4e-4), strict=True)),
        bandwidth=dict(zip(COLLECTIVES, (1.3e9, 1.6e9, 9.5e8, 4e9, 1.3e9), strict=True)),
        flops=6e10,
        solo_flops=1.1e11,
        memory_bandwidth=7e9,
        solo_memory_bandwidth=1e10,
    )
