"""The arithmetic of `measures`: sums over parts of two tensors, by torch or by compiled code."""

__all__ = ["KernelStatus", "SideTally", "Tally", "find_kernel", "kernel_status", "torch_tally"]

from outgrow.compare.kernel.choice import KernelStatus, find_kernel, kernel_status
from outgrow.compare.kernel.tally import SideTally, Tally
from outgrow.compare.kernel.torch_path import torch_tally
