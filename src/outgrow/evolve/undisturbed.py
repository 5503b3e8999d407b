"""Run a model without leaving a trace: buffers, modes and random numbers are put back."""

__all__ = ["undisturbed"]

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from outgrow.evolve.carry.compiled import eagerly
from outgrow.evolve.random_state import RandomState


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Put back, also after an exception, what calling `model` changes: its buffers' contents, its modes and
    all random numbers. Whatever is compiled runs eagerly meanwhile."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    modes = [(module, module.training) for module in model.modules()]
    state = RandomState.now()
    try:
        with eagerly():
            yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
        for module, mode in modes:
            module.training = mode
        state.put_back()
