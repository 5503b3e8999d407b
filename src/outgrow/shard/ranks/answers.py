"""Replies: contents of values, and what is known about them, as plain JSON."""

__all__ = ["array_of", "contents", "described", "failed_reply"]

from typing import Any

import numpy as np
import torch
from torch import Tensor

from outgrow.shard.instructions import TensorMeta
from outgrow.shard.messages import Bytes, Reply
from outgrow.shard.ranks.held import Failure, Held

_NUMPY = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64, 16: np.complex128}


def contents(request: int, whole: Tensor | None, body: dict[str, Any]) -> Reply:
    """A reply with a tensor's bytes; `body` says what is to be known of them."""
    if whole is None:
        return Reply(request=request, body=body)
    dense = whole.detach().cpu().resolve_conj().resolve_neg().contiguous()
    # Not `reshape(-1)`: of one element, that keeps whatever stride it had.
    flat = dense.as_strided((dense.numel(),), (1,))
    data = bytes(flat.view(torch.uint8).numpy()) if dense.numel() else b""
    return Reply(request=request, body=body, data=data)


def failed_reply(request: int, failure: Failure) -> Reply:
    """The reply in place of a value that has no contents."""
    fields = ("kind", "message", "traceback", "call", "step")
    return Reply(request=request, body={"error": {field: getattr(failure, field) for field in fields}})


def described(held: Held) -> dict[str, Any]:
    """How a value is held."""
    shape = next((list(piece.shape) for piece in held.pieces if piece is not None), None)
    return {"placement": str(held.placement), "piece_shape": shape, "is_pinned": held.is_pinned}


def array_of(data: Bytes, meta: TensorMeta) -> np.ndarray[Any, Any]:
    """Dense bytes as an array of that shape, its elements as bits; shares the memory."""
    return np.frombuffer(data, dtype=_NUMPY[meta.dtype.itemsize]).reshape(meta.shape)
