"""The other way in which models of transformers compute attention: op by op instead of in one kernel."""

__all__ = ["has_fused_attention", "unfused_attention"]

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn

_SETTING = "_attn_implementation"


def has_fused_attention(model: nn.Module) -> bool:
    """Whether a configuration in the model chooses torch's fused attention."""
    return any(getattr(one, _SETTING, None) == "sdpa" for one in _configurations(model))


@contextlib.contextmanager
def unfused_attention(model: nn.Module) -> Iterator[None]:
    """Let attention be computed op by op, as it is with masks or for outputs that the kernel does not take.

    Both ways read other numbers of the modules (`num_key_value_groups`), and either may come up in training.
    """
    known = [(one, getattr(one, _SETTING)) for one in _configurations(model)]
    try:
        for one, _ in known:
            setattr(one, _SETTING, "eager")
        yield
    finally:
        for one, before in known:
            setattr(one, _SETTING, before)


def _configurations(model: nn.Module) -> list[Any]:
    """Every object called `config`, once, that has the setting; those that hold others first."""
    found: dict[int, Any] = {}
    for module in model.modules():
        configuration = vars(module).get("config")
        if configuration is not None and isinstance(getattr(configuration, _SETTING, None), str):
            found[id(configuration)] = configuration
    return list(found.values())
