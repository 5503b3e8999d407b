"""Where a program of an exam runs: with torch alone, or through the client on simulated workers."""

__all__ = ["Plain", "Processes", "Side", "Workers"]

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from bench.oracle.rowchoice import Chooser
from bench.oracle.watched import watch
from outgrow.placement import Placement
from outgrow.shard.client.inference import Inference
from outgrow.shard.client.session import Session, use_session
from outgrow.shard.client.tensor import WorkersTensor
from outgrow.shard.engines.simulated import SimulatedLink
from outgrow.shard.messages import Place
from outgrow.shard.ranks.executor import Executor
from outgrow.shard.ranks.simulated_fabric import SimulatedFabric

Where = Callable[[int, Tensor], Placement | None]
"""From the number of a tensor, in the order in which a program names them, to how it shall be held."""


class Side:
    """A place to run a program."""

    device = "cpu"

    def __init__(self) -> None:
        self.elements = 1
        """Of the largest tensor that was named: no reduction is longer."""
        self.moved: dict[int, tuple[Tensor, Tensor]] = {}

    def tensor(self, given: Tensor) -> Tensor:
        """A leaf of its own here; the same one for the same tensor."""
        found = self.moved.get(id(given))
        if found is None:
            self.elements = max(self.elements, given.numel())
            found = self.moved[id(given)] = (given, self._move(given, len(self.moved)))
        return found[1]

    def tree(self, given: Any) -> Any:
        """All tensors of nested arguments moved here; devices too."""
        return tree_map(self._leaf, given)

    def _leaf(self, given: Any) -> Any:
        if isinstance(given, Tensor):
            return self.tensor(given)
        if isinstance(given, torch.device) or (isinstance(given, str) and given == "cpu"):
            return torch.device(self.device)
        return given

    def leaves(self) -> list[Tensor]:
        """Those that want a gradient, in the order in which they were named."""
        return [here for _, here in self.moved.values() if here.requires_grad]

    def _move(self, given: Tensor, number: int) -> Tensor:
        return given.detach().clone().requires_grad_(given.requires_grad)


class Plain(Side):
    """torch alone, on the CPU."""


_INFERENCE = Inference()
"""Shared by all sessions of this process: what an op gives does not depend on the workers."""


class Workers(Side):
    """Through the client, on ranks that are simulated in this process."""

    device = "workers"

    def __init__(self, world_size: int, where: Where | None = None, choose: Chooser | None = None) -> None:
        super().__init__()
        self.where = where
        self.session = self._open(world_size, choose)

    def _open(self, world_size: int, choose: Chooser | None) -> Session:
        link = SimulatedLink(world_size)
        if choose is not None:
            link.executor = watch(Executor(SimulatedFabric(world_size), choose=choose))
        session = Session(link)
        session.inference = _INFERENCE
        return session

    def active(self) -> AbstractContextManager[Any]:
        """While inside, new tensors belong to this session."""
        return use_session(self.session)

    def _move(self, given: Tensor, number: int) -> Tensor:
        here = given.detach().to("workers")
        placement = None if self.where is None else self.where(number, given)
        if placement is not None and isinstance(here, WorkersTensor):
            self.place(here, placement)
        return here.requires_grad_(given.requires_grad)

    def place(self, tensor: Tensor, placement: Placement) -> None:
        """Have the workers hold a tensor so from now on."""
        assert isinstance(tensor, WorkersTensor)
        number = tensor._read_value().number  # may be an instruction itself: a view made anew
        self.session.flush()
        self.session.link.send(Place(value=number, placement=placement))


class Processes(Workers):
    """On workers that are processes: they choose the rows, and replay what is repeated."""

    def _open(self, world_size: int, choose: Chooser | None) -> Session:
        return _processes(world_size)


@functools.cache
def _processes(world_size: int) -> Session:
    """One session for all cases of this process: starting workers takes seconds."""
    from outgrow.shard.engines.local import start_local

    return Session(start_local(world_size))
