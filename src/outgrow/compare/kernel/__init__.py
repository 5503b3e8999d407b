"""The arithmetic of `measures`: sums over parts of two tensors."""

__all__ = ["SideTally", "Tally", "torch_tally"]

from outgrow.compare.kernel.tally import SideTally, Tally
from outgrow.compare.kernel.torch_path import torch_tally
