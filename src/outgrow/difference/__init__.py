"""How far two tensors are apart: the one arithmetic that every room trusts."""

__all__ = ["Difference", "difference"]

from outgrow.difference.difference import Difference, difference
