"""Two runs, tensor by tensor: whether they match, and if not, the first tensor that differs."""

__all__ = ["Comparison", "Limits", "Rules", "assert_same_run", "compare"]

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outgrow.compare.assertion import assert_same_run
    from outgrow.compare.comparison import Comparison, compare
    from outgrow.compare.judge import Rules
    from outgrow.compare.readers.limits import Limits

# Looked up when asked for: the page is served before torch, which takes more than a second, has loaded.
_places = {
    "Comparison": "outgrow.compare.comparison",
    "Limits": "outgrow.compare.readers.limits",
    "Rules": "outgrow.compare.judge",
    "assert_same_run": "outgrow.compare.assertion",
    "compare": "outgrow.compare.comparison",
}


def __getattr__(name: str) -> object:
    if name not in _places:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_places[name]), name)
    return value
