"""The five things that can be done before each segment of a tiny training."""

__all__ = ["ACTIONS", "apply", "is_valid"]

import torch
from torch import Tensor, nn

from outgrow import evolve

ACTIONS = (("none", ""), ("widen", "conv1"), ("widen", "conv2"), ("deepen", "conv2"), ("prune", "conv2"))
"""Operator and layer; widening doubles a layer, pruning halves it."""
_WIDEST, _NARROWEST, _MOST_DEEPENED = 64, 2, 2


def is_valid(path: str, start: tuple[int, int], action: int) -> bool:
    """Whether an action can follow those of `path` (a digit each), given the widths at the beginning."""
    operator, layer = ACTIONS[action]
    width = start[0] if layer == "conv1" else start[1]
    for digit in path:
        done, where = ACTIONS[int(digit)]
        if where == layer:
            width = {"widen": width * 2, "prune": width // 2}.get(done, width)
    if operator == "widen":
        return width * 2 <= _WIDEST
    if operator == "prune":
        return width // 2 >= _NARROWEST
    return operator != "deepen" or path.count(str(action)) < _MOST_DEEPENED


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
        evolve.widen(model, layer, by=width, seed=seed, **common)
    elif operator == "deepen":
        evolve.deepen(model, layer, seed=seed, **common)
    else:
        evolve.prune(model, layer, amount=width // 2, **common)
