"""Two runs, tensor by tensor: whether they match, and if not, the first tensor that differs."""

__all__ = ["Comparison", "Limits", "Rules", "assert_same_run", "compare"]

from outgrow.compare.assertion import assert_same_run
from outgrow.compare.comparison import Comparison, compare
from outgrow.compare.judge import Rules
from outgrow.compare.readers.limits import Limits
