"""The five things that can be done before each segment of a tiny training."""

__all__ = ["ACTIONS", "apply", "is_valid"]

import torch
from torch import Tensor, nn

from outgrow.evolve.operators.prune import prune
from outgrow.evolve.operators.widen import widen

ACTIONS = (("none", ""), ("widen", "first"), ("widen", "second"), ("prune", "first"), ("prune", "second"))
"""Operator and layer; widening doubles a layer, pruning halves it."""
_WIDEST, _NARROWEST = 128, 2


def is_valid(path: str, start: tuple[int, int], action: int) -> bool:
    """Whether an action can follow those of `path` (a digit each), given the widths at the beginning."""
    operator, layer = ACTIONS[action]
    width = start[0] if layer == "first" else start[1]
    for digit in path:
        done, where = ACTIONS[int(digit)]
        if where == layer:
            width = {"widen": width * 2, "prune": width // 2}.get(done, width)
    if operator == "widen":
        return width * 2 <= _WIDEST
    return operator != "prune" or width // 2 >= _NARROWEST


def apply(
    action: int, model: nn.Module, optimizer: torch.optim.Optimizer, example: Tensor, seed: int
) -> None:
    """Change the model, its optimizer following."""
    operator, layer = ACTIONS[action]
    if operator == "none":
        return
    width = model.get_submodule(layer).weight.shape[0]
    common = {"optimizer": optimizer, "example_inputs": example}
    if operator == "widen":
        widen(model, layer, by=width, seed=seed, **common)
    else:
        prune(model, layer, amount=width // 2, **common)
