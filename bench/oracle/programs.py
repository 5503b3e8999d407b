"""Random programs on tensors, run twice at once: with torch alone and through the client.

All numbers are whole and small, held in float64: every sum and product is exact in whatever order ranks
add, so results must be equal to the bit, and one wrong element cannot hide behind a tolerance.
"""

__all__ = ["Broken", "Program"]

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.oracle.actions import ACTIONS
from bench.oracle.rowchoice import Picker
from bench.oracle.side import Plain, Side, Workers
from outgrow.errors import OutgrowError
from outgrow.placement import Owned, Partial, Placement, Replicate, Shard
from outgrow.shard.client.tensor import WorkersTensor

_SIZES = (0, 1, 2, 3, 4, 4, 6, 8, 8, 12, 16)
_MOST = 10
"""Tensors alive at once."""
_LARGEST = 2.0**16
"""Beyond this, numbers are brought back by a remainder: products of a matmul stay whole in float64."""


class Broken(AssertionError):
    """Both sides do not agree; the message holds the program so far."""


class Program:
    """One random program; `step` makes one more action on both sides."""

    def __init__(self, seed: int, world_size: int, *, rows: str = "random") -> None:
        """`rows`: how ops run: `random`, `cheapest`, or `planned`, where repeated steps are replayed."""
        self.seed, self.world_size = seed, world_size
        self.chance = random.Random(seed)
        self.rows_run: dict[str, set[str]] = {}
        picker = Picker(world_size, seed if rows == "random" else None, self.rows_run)
        chooser = None if rows == "planned" else picker
        self.workers = Workers(world_size, None, chooser)
        self.pairs: list[tuple[Tensor, Tensor]] = []
        self.written: list[str] = []
        """Every action so far, as it was done."""

    def run(self, steps: int) -> None:
        """So many actions, then everything fetched and compared."""
        with self.workers.active():
            for _ in range(steps):
                self.step()
            self.check_all()

    def step(self) -> None:
        """One action, picked at random."""
        if len(self.pairs) < 3:
            self._new()
            return
        while len(self.pairs) > _MOST:
            self.pairs.pop(self.chance.randrange(len(self.pairs)))
        actions, weights = zip(*ACTIONS, strict=True)
        self.chance.choices(actions, weights)[0](self)

    # What is done to both sides

    def both(self, text: str, do: Callable[..., Any], *indices: int, keep: bool = True) -> None:
        """Do the same on both sides; `do` takes the tensors. What torch refuses, the client must refuse."""
        self.written.append(f"{text}  # of {list(indices)}")
        plain = [self.pairs[index][0] for index in indices]
        ours = [self.pairs[index][1] for index in indices]
        state = torch.get_rng_state()
        expected, refused = _attempt(do, plain)
        torch.set_rng_state(state)
        actual, raised = _attempt(do, ours)
        if refused is not None and raised is None:
            self._refused_later(actual, refused, indices)
            return
        if refused is None and raised is not None:
            raise Broken(self.told(f"through the client: {raised!r}")) from raised
        if refused is not None:
            return
        self._calm(indices)
        if not keep:
            return
        for one, other in zip(_listed(expected), _listed(actual), strict=True):
            if one.shape != other.shape or one.dtype != other.dtype:
                said = f"{tuple(other.shape)} {other.dtype}, expected {tuple(one.shape)} {one.dtype}"
                raise Broken(self.told(said))
            if any(one is known for known, _ in self.pairs):
                continue
            if one.numel() <= 4096:
                self.pairs.append((one, other))
                self._calm([len(self.pairs) - 1])

    def _refused_later(self, made: Any, refused: Exception, indices: Sequence[int]) -> None:
        """What a kernel alone can refuse is raised at the next fetch; what was to be written is lost."""
        given = [self.pairs[index][1] for index in indices]
        try:
            for one in [*_listed(made), *given]:
                one.detach().cpu()
        except OutgrowError:
            self._forget(given)
            return
        raise Broken(self.told(f"torch alone: {refused!r}; through the client: nothing")) from refused

    def _forget(self, given: list[Tensor]) -> None:
        """Drop every tensor that shares a storage with one of these."""
        cells = {id(one._cell) for one in given}  # type: ignore[attr-defined]
        self.pairs = [pair for pair in self.pairs if id(pair[1]._cell) not in cells]  # type: ignore[attr-defined]

    def _calm(self, indices: Sequence[int]) -> None:
        """Bring large numbers back, on both sides: no product may need more than the 53 bits of a float64."""
        for index in indices:
            plain, ours = self.pairs[index]
            if _largest(plain) > _LARGEST:
                self.written.append(f"calm {index}")
                self.pairs[index] = (plain.detach().remainder(97), ours.detach().remainder(97))
                for other, (one, _) in enumerate(self.pairs):
                    # Views of the same storage are as large: they go.
                    if other != index and _largest(one) > _LARGEST:
                        self.pairs[other] = self.pairs[index]

    def check(self, index: int) -> None:
        """Fetch one tensor and compare it."""
        plain, ours = self.pairs[index]
        found = ours.detach().cpu()
        wanted = plain.detach()
        if found.shape != wanted.shape or found.dtype != wanted.dtype or not torch.equal(found, wanted):
            raise Broken(self.told(f"tensor {index} is\n{found}\nexpected\n{wanted}"))

    def check_all(self) -> None:
        """Fetch everything and compare it."""
        for index in range(len(self.pairs)):
            self.check(index)

    def told(self, what: str) -> str:
        """What is wrong, after which actions."""
        lines = "\n  ".join(self.written[-60:])
        about = f"Program(seed={self.seed}, world_size={self.world_size}), {len(self.written)} actions"
        return f"{about}:\n  {lines}\n{what}"

    def pick(self, wanted: Callable[[Tensor], bool] = lambda one: True) -> int | None:
        """A tensor that fits, by its index."""
        fitting = [index for index, (plain, _) in enumerate(self.pairs) if wanted(plain)]
        return self.chance.choice(fitting) if fitting else None

    def _new(self) -> None:
        dims = self.chance.choice((0, 1, 1, 2, 2, 2, 3, 3, 4))
        shape = tuple(self.chance.choice(_SIZES) for _ in range(dims))
        while _count(shape) > 1500:
            shape = shape[:-1]
        generator = torch.Generator().manual_seed(self.chance.getrandbits(31))
        dtype = self.chance.choice((torch.float64,) * 5 + (torch.int64,))
        whole = torch.randint(-8, 9, shape, generator=generator).to(dtype)
        self.written.append(f"new {tuple(shape)} {dtype}")
        sides: tuple[Side, Side] = (Plain(), self.workers)
        first, second = (side._move(whole, 0) for side in sides)
        self.pairs.append((first, second))
        if self.chance.random() < 0.7:
            self.place(len(self.pairs) - 1)

    def place(self, index: int) -> None:
        """Hold the storage of a tensor in another way from now on."""
        ours = self.pairs[index][1]
        assert isinstance(ours, WorkersTensor)
        shape = ours.shape
        options: list[Placement] = [Replicate(), Owned(self.chance.randrange(self.world_size))]
        options += [Shard(dim) for dim in range(len(shape))] * 3
        if ours.dtype == torch.float64:
            options += [Partial("sum")]
        placement = self.chance.choice(options)
        self.written.append(f"place {index} {placement}")
        self.workers.place(ours, placement)


def _attempt(do: Callable[..., Any], given: list[Tensor]) -> tuple[Any, Exception | None]:
    try:
        return do(*given), None
    except Exception as error:  # what torch refuses is part of the program
        return None, error


def _listed(made: Any) -> list[Tensor]:
    if made is None:
        return []
    return [made] if isinstance(made, Tensor) else [one for one in made if isinstance(one, Tensor)]


def _largest(tensor: Tensor) -> float:
    if tensor.dtype == torch.bool or not tensor.numel():
        return 0.0
    return float(tensor.detach().abs().max())


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
