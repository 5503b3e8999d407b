"""Random numbers: drawn by the client on the CPU, so that one seed gives what it gives on one device."""

__all__ = ["drawn_in_place", "drawn_like", "native_dropout"]

from typing import Any

import torch
from torch import Tensor

from outgrow.shard.client.device import DEVICE_TYPE
from outgrow.shard.client.forms import form_of_tensor
from outgrow.shard.client.here import TorchRefusal
from outgrow.shard.client.recording import record
from outgrow.shard.client.special.contents import copy_as
from outgrow.shard.client.special.creation import form_like, like
from outgrow.shard.client.tensor import WorkersTensor, wrap, write

_aten = torch.ops.aten


def drawn_in_place(op: Any, args: Any, kwargs: dict[str, Any]) -> WorkersTensor:
    """`normal_` and the like. Strides matter: torch draws in the order of memory."""
    target: WorkersTensor = args[0]
    form = target._form
    local = torch.empty_strided(form.shape, form.stride, dtype=form.dtype)
    try:
        op(local, *args[1:], **kwargs)
    except Exception as error:
        raise TorchRefusal(error) from error
    write(target, target._session.put(local))
    return target


def drawn_like(op: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
    """`randn_like` and the like."""
    source: WorkersTensor = args[0]
    device = kwargs.get("device")
    form = source._form
    if any(isinstance(one, Tensor) for one in args[1:]):
        return record(op, args, kwargs)  # type: ignore[no-any-return]
    blank = torch.empty_strided(form.shape, form.stride, dtype=form.dtype)
    try:
        local: Tensor = op(blank, *args[1:], **{**kwargs, "device": torch.device("cpu")})
    except Exception as error:
        raise TorchRefusal(error) from error
    if device is not None and torch.device(device).type != DEVICE_TYPE:
        return local.to(device)
    return wrap(source._session.put(local), form_of_tensor(local), source._session)


def native_dropout(op: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """As torch on the CPU: a mask of bools, the input times the mask, times a scale."""
    data, p, train = tuple(args) + tuple(kwargs.values())
    source: WorkersTensor = data
    if train is False:
        ones = like(_aten.ones_like.default, (source,), {"dtype": torch.bool})
        return copy_as(op, (source,), {}), ones
    keep = 1.0 - p
    form = source._form
    local = torch.empty_strided(form.shape, form.stride, dtype=torch.bool)
    try:
        local.bernoulli_(keep)
    except Exception as error:
        raise TorchRefusal(error) from error
    mask = wrap(
        source._session.put(local),
        form_like(_aten.empty_like.default, (source,), {"dtype": torch.bool}),
        source._session,
    )
    scaled = record(
        _aten.mul.Tensor, (record(_aten.mul.Tensor, (source, mask)), 0.0 if keep == 0.0 else 1.0 / keep)
    )
    return scaled, mask
