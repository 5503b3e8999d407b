"""One planted fault: where it is, what it changes, and which tensor it must be found at."""

__all__ = ["Fault", "Needs", "Scene"]

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bench.planted.points import Point
from bench.planted.sequence_first import LayerOptions, Ranks
from bench.planted.shape import Shape
from bench.planted.weights import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a model must have for the fault to have a place."""

    shape: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `draw_shape`."""
    ranks: tuple[int, ...] = (1, 1, 1, 2, 4)
    """Among how many ranks the model may be split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a fault may look at when its place is drawn."""

    rng: random.Random
    shape: Shape
    tp: int
    dtype: torch.dtype
    """Of the run in which it is planted."""

    def layer(self, *, first: int = 0, last: int | None = None) -> int:
        """Any layer from `first` up to `last`, which is included."""
        return self.rng.randint(first, self.shape.layers - 1 if last is None else last)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Changes at most one of the three; `first` is the first point whose values it touches."""

    first: Point
    detail: str
    layers: range | None = None
    """Whose options are changed; None where none are."""
    is_final: bool = False
    """Whether the options of the final norm are changed."""
    changed: Callable[[LayerOptions], LayerOptions] = lambda options: options
    point: Point | None = None
    """Whose tensor is changed; None where none is."""
    rewrite: Callable[[Ranks], Ranks] = lambda ranks: ranks
    weights: Callable[[Weights], None] | None = None
    """Changes the weights of the whole model in place."""
    shards: Callable[[list[Weights]], None] | None = None
    """Changes the weights of the ranks in place."""

    def options(self, layer: int | None, options: LayerOptions) -> LayerOptions:
        hit = self.is_final if layer is None else self.layers is not None and layer in self.layers
        return self.changed(options) if hit else options

    def touch(self, point: Point, ranks: Ranks) -> Ranks:
        return self.rewrite(ranks) if point == self.point else ranks


def each(change: Callable[[Tensor], Tensor]) -> Callable[[Ranks], Ranks]:
    """The same change on every rank."""
    return lambda ranks: [change(tensor) for tensor in ranks]
