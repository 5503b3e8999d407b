"""From which age on a number of steps no longer matters to an optimizer."""

__all__ = ["is_saturated"]

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import optim

_NEGLIGIBLE = 2.0**-27
"""An eighth of the rounding of single precision: an update differs by less than that, relatively."""

Group = Mapping[str, Any]


def _power(factor: Any, exponent: float) -> float:
    return float(float(factor) ** exponent)


def _adam(group: Group, step: float) -> bool:
    return _power(max(group["betas"]), step) < _NEGLIGIBLE


def _nadam(group: Group, step: float) -> bool:
    return _adam(group, step) and _power(0.96, step * float(group["momentum_decay"])) < _NEGLIGIBLE


def _radam(group: Group, step: float) -> bool:
    return step * _power(max(group["betas"]), step) < _NEGLIGIBLE


def _adamax(group: Group, step: float) -> bool:
    return _power(group["betas"][0], step) < _NEGLIGIBLE


def _adagrad(group: Group, step: float) -> bool:
    return float(group["lr_decay"]) == 0.0


def _at_once(group: Group, step: float) -> bool:
    return True


_SATURATED: dict[type, Callable[[Group, float], bool]] = {
    optim.Adam: _adam,
    optim.AdamW: _adam,
    optim.NAdam: _nadam,
    optim.RAdam: _radam,
    optim.Adamax: _adamax,
    optim.Adagrad: _adagrad,
    # Their first step may differ from the later ones, and nothing else depends on how many there were.
    optim.SGD: _at_once,
    optim.RMSprop: _at_once,
    optim.Adadelta: _at_once,
    optim.Rprop: _at_once,
}


def is_saturated(optimizer: optim.Optimizer, group: Group, scalars: Mapping[str, Any]) -> bool:
    """Whether entries of this age are treated as all older ones are, up to rounding.

    Where nothing is known of the optimizer it never is, unless it keeps no scalars.

    Args:
        optimizer: whose rule counts.
        group: the parameter's group.
        scalars: those of the entries: `step`, and so on.
    """
    rule = _SATURATED.get(type(optimizer))
    if rule is None:
        return not scalars
    step = scalars.get("step", 0)
    return rule(group, float(step.item() if isinstance(step, torch.Tensor) else step))
