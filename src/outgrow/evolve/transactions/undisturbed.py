"""Run a model without leaving a trace: buffers, modes and random numbers are put back."""

__all__ = ["undisturbed"]

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from outgrow.evolve.carry.compiled import eagerly
from outgrow.evolve.transactions.random_state import RandomState


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Put back, also after an exception, what calling `model` changes: its buffers and their contents, its
    modes and all random numbers. Whatever is compiled runs eagerly meanwhile."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    held = [(module, dict(module._buffers)) for module in model.modules()]
    modes = [(module, module.training) for module in model.modules()]
    state = RandomState.now()
    try:
        with eagerly():
            yield
    finally:
        for module, own in held:  # `self.mean = 0.9 * self.mean + ...` puts another tensor in its place
            if list(map(id, module._buffers.values())) != list(map(id, own.values())):
                module._buffers.clear()
                module._buffers.update(own)
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
        for module, mode in modes:
            module.training = mode
        state.put_back()
