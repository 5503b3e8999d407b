"""Every random number generator of the process that training draws from."""

__all__ = ["RandomState"]

import random
import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomState:
    """Where torch's generators (CPU and each CUDA device), Python's and numpy's stand."""

    cpu: Tensor
    """torch's on the CPU."""
    cuda: tuple[Tensor, ...]
    """torch's on each CUDA device; none where CUDA has not been used."""
    python: Any
    """Of the module `random`."""
    numpy: Any
    """numpy's global one; None where numpy has not been imported."""

    @classmethod
    def now(cls) -> "RandomState":
        """Where they stand now."""
        numpy = sys.modules.get("numpy")
        return cls(
            cpu=torch.get_rng_state(),
            cuda=_cuda_states(),
            python=random.getstate(),
            numpy=numpy.random.get_state() if numpy is not None else None,
        )

    def put_back(self) -> None:
        """Let them all stand there again."""
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(list(self.cuda))
        random.setstate(self.python)
        if self.numpy is not None:
            sys.modules["numpy"].random.set_state(self.numpy)


def _cuda_states() -> tuple[Tensor, ...]:
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return ()
    return tuple(torch.cuda.get_rng_state_all())
