"""Cells of recurrent networks, by the ops that torch uses on the CPU; autograd goes through these."""

__all__ = ["gru_cell", "lstm_cell"]

from typing import Any

import torch
from torch import Tensor


def lstm_cell(op: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """From `[batch, 4 hidden]` gates and `[batch, hidden]` cells to the next hidden state and cells.

    Source: at::native::LSTMCell for a tensor on the CPU.
    """
    inner, outer, cells, inner_bias, outer_bias = (*args, None, None)[:5]
    gates = outer + inner if inner_bias is None else (outer + outer_bias) + (inner + inner_bias)
    entering, kept, candidate, leaving = gates.chunk(4, 1)
    next_cells = kept.sigmoid() * cells + entering.sigmoid() * candidate.tanh()
    hidden = leaving.sigmoid() * next_cells.tanh()
    return hidden, next_cells, torch.empty(0, dtype=hidden.dtype, device=hidden.device)


def gru_cell(op: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """From `[batch, 3 hidden]` gates and a `[batch, hidden]` state to the next state.

    Source: at::native::GRUCell for a tensor on the CPU.
    """
    inner, outer, hidden, inner_bias, outer_bias = (*args, None, None)[:5]
    if inner_bias is not None:
        inner, outer = inner + inner_bias, outer + outer_bias
    ours, theirs = inner.chunk(3, 1), outer.chunk(3, 1)
    reset = (theirs[0] + ours[0]).sigmoid()
    update = (theirs[1] + ours[1]).sigmoid()
    new = (ours[2] + theirs[2] * reset).tanh()
    return (hidden - new) * update + new, torch.empty(0, dtype=hidden.dtype, device=hidden.device)
