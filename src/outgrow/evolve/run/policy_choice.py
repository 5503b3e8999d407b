"""The policy that a run is asked for, by name."""

__all__ = ["POLICY_NAMES", "make_policy"]

import importlib
from collections.abc import Mapping
from typing import Any

from outgrow.errors import InputError, nearest_names
from outgrow.evolve.policies.policy import Policy

POLICY_NAMES: Mapping[str, str] = {
    "attention": "outgrow.evolve.policies.attention:AttentionPolicy",
    "greedy": "outgrow.evolve.policies.greedy:Greedy",
    "schedule": "outgrow.evolve.policies.schedule:Schedule",
    "uniform": "outgrow.evolve.policies.uniform:Uniform",
}
"""Where each policy lives; it is imported only to be used."""

_ROUNDS = (0.05, 0.3)
"""Shares of the budget from which on the policy `schedule` widens every site by half, one a decision."""


def make_policy(name: str) -> Policy:
    """The policy called `name`, with its defaults.

    Raises:
        InputError: no policy has that name.
    """
    if name not in POLICY_NAMES:
        near = ", ".join(nearest_names(name, POLICY_NAMES) or POLICY_NAMES)
        raise InputError(f"there is no policy {name!r}", hint=f"did you mean {near}?")
    module, _, kind = POLICY_NAMES[name].partition(":")
    found: Any = importlib.import_module(module)
    if name == "schedule":
        policy: Policy = found.Schedule([found.Growth(at=at, share=0.5) for at in _ROUNDS])
    else:
        policy = getattr(found, kind)()
    return policy
