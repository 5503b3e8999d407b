"""Two runs, tensor by tensor: whether they match, and if not, the first tensor that differs."""

__all__ = ["Comparison", "compare"]

from outgrow.compare.comparison import Comparison, compare
