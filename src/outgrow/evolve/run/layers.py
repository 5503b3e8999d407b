"""The layers of a model and how wide they are: what a picture of its growth is drawn from."""

__all__ = ["Layer", "LayerNumbers", "layers_of"]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer that has a matrix or filters."""

    name: str
    """Qualified name of the module."""
    kind: str
    """Its class."""
    width: int
    """How many channels it gives."""
    weight: Tensor
    """What it holds, which tells it from another one that comes to have its name."""


def layers_of(model: nn.Module) -> tuple[Layer, ...]:
    """Every module with a weight of two dims or more, in the order in which the model has them.

    A weight that two modules share counts for the first.
    """
    found, seen = [], set()
    for name, module in model.named_modules():
        weight = module._parameters.get("weight")
        if not isinstance(weight, Tensor) or weight.dim() < 2 or id(weight) in seen:
            continue
        seen.add(id(weight))
        kind = type(module).__name__
        # Transposed convolutions and GPT-2's Conv1D have their outputs second.
        is_second = "Transpose" in kind or kind in ("Conv1D", "Embedding")
        width = weight.shape[1] * getattr(module, "groups", 1) if is_second else weight.shape[0]
        found.append(Layer(name=name or kind, kind=kind, width=int(width), weight=weight))
    return tuple(found)


class LayerNumbers:
    """Gives every layer a number for good: names move on when a layer is put in before others."""

    def __init__(self, known: Iterable[Mapping[str, Any]] = ()) -> None:
        """`known` are the layers of a model as `entries` gave them, where a run goes on."""
        self._by_name = {layer["name"]: int(layer["number"]) for layer in known}
        self._held: dict[int, tuple[Tensor, int]] = {}
        self._next = max(self._by_name.values(), default=-1) + 1

    def entries(self, model: nn.Module) -> list[dict[str, Any]]:
        """Name, kind, width and number of each layer, for the log."""
        found = []
        for layer in layers_of(model):
            held = self._held.get(id(layer.weight))
            number = self._by_name.get(layer.name) if held is None else held[1]
            if number is None:
                number, self._next = self._next, self._next + 1
            # The weight is held, so that no other one ever has its id.
            self._held[id(layer.weight)] = (layer.weight, number)
            found.append({"name": layer.name, "kind": layer.kind, "width": layer.width, "number": number})
        # Names counted for the model that was taken up again; what comes now is new.
        self._by_name = {}
        return found
