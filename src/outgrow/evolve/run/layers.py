"""The layers of a model and how wide they are: what a picture of its growth is drawn from."""

__all__ = ["Layer", "layers_of"]

from dataclasses import dataclass

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
        found.append(Layer(name=name or kind, kind=kind, width=int(width)))
    return tuple(found)
