"""Who decides what to change."""

__all__ = ["POLICIES"]

from collections.abc import Callable

from outgrow.evolve.policies.attention import AttentionPolicy
from outgrow.evolve.policies.expand_with_mi import ExpandWithMI
from outgrow.evolve.policies.greedy import Greedy
from outgrow.evolve.policies.policy import Policy
from outgrow.evolve.policies.schedule import Schedule
from outgrow.evolve.policies.uniform import Uniform

POLICIES: dict[str, Callable[..., Policy]] = {
    "greedy": Greedy,
    "uniform": Uniform,
    "schedule": Schedule,
    "expand_with_mi": ExpandWithMI,
    "attention": AttentionPolicy,
}
"""Name -> what makes the policy; each can be made without arguments."""
