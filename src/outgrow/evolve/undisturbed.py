"""Run a model without leaving a trace: buffers, modes and random numbers are put back."""

__all__ = ["undisturbed"]

import contextlib
import random
from collections.abc import Iterator

import torch
from torch import nn


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Put back, also after an exception, what calling `model` changes: its buffers' contents and the random
    state of torch, of each CUDA device and of Python."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    modes = [(module, module.training) for module in model.modules()]
    state, python = torch.get_rng_state(), random.getstate()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
        for module, mode in modes:
            module.training = mode
        torch.set_rng_state(state)
        random.setstate(python)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
