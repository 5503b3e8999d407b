"""Models larger than memory: weights are streamed from disk while the model runs.

Two ways in: `load` opens a Hugging Face checkpoint without ever holding all of it; `offload` lets go of the
weights of a model that is in memory. Programs written for TensorStream run after `import outgrow.stream as
tensorstream`.
"""

__all__ = [
    "BackendType",
    "BudgetTooSmall",
    "Config",
    "Health",
    "MemoryPressureMode",
    "PassEnded",
    "PrefetchStrategy",
    "Statistics",
    "closing",
    "create_default_config",
    "estimate_model_memory",
    "get_model_statistics",
    "health",
    "load",
    "offload",
    "restore",
    "set_budget",
    "statistics",
]

from outgrow.stream.config import (
    BackendType,
    Config,
    MemoryPressureMode,
    PrefetchStrategy,
    create_default_config,
)
from outgrow.stream.model import closing, load, offload, restore, set_budget
from outgrow.stream.plan import BudgetTooSmall
from outgrow.stream.statistics import (
    Health,
    Statistics,
    estimate_model_memory,
    get_model_statistics,
    health,
    statistics,
)
from outgrow.stream.weight_stream import PassEnded
