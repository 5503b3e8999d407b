"""What was seen, done and earned: the memory that a learned policy is trained from."""

__all__ = ["Experience", "ExperienceBuffer"]

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from outgrow.errors import InputError


@dataclass(slots=True)
class Experience:
    """One step of deciding."""

    state: Any
    """What was seen: a tensor, or a dataclass of tensors."""
    action: int
    """The number of what was done."""
    reward: float
    """What it earned; doing nothing earns 0."""
    next_state: Any
    """What was seen afterwards; None where nothing follows."""
    done: bool
    """Whether the run ended with it."""
    metrics_before: Any = None
    """Figures before it, where somebody keeps them."""
    metrics_after: Any = None
    """Figures after it, where somebody keeps them."""


class ExperienceBuffer:
    """The last `capacity` experiences, on the CPU, wherever the model is; the oldest goes first."""

    def __init__(self, capacity: int = 10_000) -> None:
        if capacity < 1:
            raise InputError(f"a buffer for {capacity} experiences", hint="give a capacity of at least 1")
        self.capacity = capacity
        self._kept: list[Experience] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Experience]:
        """From the oldest on."""
        yield from self._kept[self._next :]
        yield from self._kept[: self._next]

    def push(self, experience: Experience) -> None:
        """Keep a copy on the CPU that no later training changes."""
        mine = Experience(
            _on_cpu(experience.state),
            int(experience.action),
            float(experience.reward),
            _on_cpu(experience.next_state),
            bool(experience.done),
            experience.metrics_before,
            experience.metrics_after,
        )
        if len(self._kept) < self.capacity:
            self._kept.append(mine)
            return
        self._kept[self._next] = mine
        self._next = (self._next + 1) % self.capacity

    def add(self, state: Any, action: int, reward: float, next_state: Any, done: bool) -> None:
        """`push` from its parts."""
        self.push(Experience(state, action, reward, next_state, done))

    def sample(self, count: int = 32, *, generator: torch.Generator | None = None) -> list[Experience]:
        """`count` different experiences, drawn evenly.

        Args:
            count: how many.
            generator: a CPU generator, so that a seed gives the same again; None for torch's own.

        Raises:
            InputError: there are fewer.
        """
        if not 0 < count <= len(self):
            raise InputError(
                f"{count} experiences of {len(self)}", hint="ask for at most as many as len(buffer) says"
            )
        drawn = torch.randperm(len(self), generator=generator)[:count]
        return [self._kept[index] for index in drawn.tolist()]

    def clear(self) -> None:
        """Forget everything."""
        self._kept, self._next = [], 0


def _on_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _on_cpu(getattr(value, field.name)) for field in fields(value)})
    return value
