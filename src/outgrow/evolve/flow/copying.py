"""Copy a part of a model: its weights, but not its hooks, nor what it shares with the rest."""

__all__ = ["copy_block"]

import copy
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

_OF_TORCH = frozenset(vars(nn.Module()))
"""What every module keeps for itself."""

_PLAIN = (bool, int, float, complex, str, bytes, tuple, Tensor, nn.Module)

_HOOKS = tuple(name for name in sorted(_OF_TORCH) if name.endswith("_hooks"))


def copy_block(model: nn.Module, block: nn.Module) -> nn.Module:
    """A copy of `block`, a part of `model`, with weights of its own.

    Configurations, functions and modules without weights that the rest of the model holds, too, are shared as
    before. Hooks stay where they are, but for those of torch's own (a norm of a weight), which belong to the
    layer. `requires_grad`, dtype, device, mode and memory format are those of the block.
    """
    inside = set(block.modules())
    outside = {id(value) for module in model.modules() if module not in inside for value in _kept(module)}
    memo: dict[int, Any] = {}
    for module in inside:
        for value in _kept(module):
            if id(value) in outside:
                memo[id(value)] = value
        for name in _HOOKS:
            hooks = getattr(module, name)
            if hooks and not all(_is_torchs(hook) for hook in hooks.values()):
                own = OrderedDict((key, hook) for key, hook in hooks.items() if _is_torchs(hook))
                memo[id(hooks)] = copy.deepcopy(own)
    return copy.deepcopy(block, memo)


def _kept(module: nn.Module) -> Iterator[Any]:
    """What a module holds that could be shared: objects that are no weights, and modules without weights."""
    for name, value in vars(module).items():
        if name not in _OF_TORCH and value is not None and not isinstance(value, _PLAIN):
            yield value
    for child in module._modules.values():
        if child is not None and not any(True for _ in child.parameters()):
            yield child


def _is_torchs(hook: Any) -> bool:
    home = getattr(hook, "__module__", None) or type(hook).__module__
    return home.startswith("torch.nn.utils")
