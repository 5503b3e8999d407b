"""What one step of an evolution did."""

__all__ = ["EvolutionStep"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolutionStep:
    """One change that was kept."""

    epoch: int
    """How many changes there were before it."""
    action: str
    """The operator: `widen`, `prune`, ..."""
    target_layers: list[str]
    """Qualified names of the layers that it changed."""
    metrics_before: Mapping[str, Any]
    """The figures before it."""
    metrics_after: Mapping[str, Any]
    """The figures after it."""
    info_gain: float
    """Its reward."""
    parameters_before: int
    """Parameters of the model before it."""
    parameters_after: int
    """Parameters of the model after it."""

    def efficiency_gain(self) -> float:
        """The reward for each part of the parameters that was added or taken; 0 where none was."""
        change = abs(self.parameters_after - self.parameters_before) / max(1, self.parameters_before)
        return self.info_gain / change if change else 0.0
