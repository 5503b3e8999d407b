"""Whatever has to learn of a change: optimizers, schedulers, averages."""

__all__ = ["Followers"]

from dataclasses import dataclass
from typing import Any

from outgrow.evolve.surgery import Surgery


@dataclass(frozen=True, slots=True, kw_only=True)
class Followers:
    """What is trained together with a model and holds tensors of its shapes."""

    optimizer: Any = None
    """A `torch.optim.Optimizer`, or None."""
    scheduler: Any = None
    """A learning-rate scheduler of that optimizer, or None."""
    ema: Any = None
    """A `torch.optim.swa_utils.AveragedModel` of the model, or None."""

    def follow(self, surgery: Surgery) -> None:
        """Make them fit the model as it is now; takes itself back where that cannot be done."""
