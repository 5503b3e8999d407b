"""Copies of tensors, and tensors in files: there they are of the CPU, and torch reads them without us."""

__all__ = ["deep_copy", "reduce_tensor", "refuse_storages", "shallow_copy"]

import copy
import functools
from typing import Any

import torch

from outgrow.errors import InputError
from outgrow.shard.client.device import DEVICE_TYPE
from outgrow.shard.client.special.contents import contents_of
from outgrow.shard.client.tensor import WorkersTensor, alias, fetched, wrap

_OURS = ("_cell", "_view")


@functools.cache
def refuse_storages() -> None:
    """Let `torch.load(..., map_location="workers")` say what to do instead: workers hold no storages."""
    torch.serialization.register_package(0, lambda storage: None, _refuse)


def _refuse(storage: Any, location: str) -> None:
    if str(location).partition(":")[0] == DEVICE_TYPE:
        raise InputError(
            f"torch.load cannot put tensors on {DEVICE_TYPE} while it reads them",
            hint="load with map_location='cpu', then call .to('workers') or load_state_dict",
        )


def reduce_tensor(tensor: WorkersTensor, protocol: Any) -> Any:
    """How pickle writes it: as a tensor, or a parameter, of the CPU."""
    with torch.no_grad():
        local: Any = fetched(tensor)
        local.requires_grad_(tensor.requires_grad)
        if isinstance(tensor, torch.nn.Parameter):
            local = torch.nn.Parameter(local, requires_grad=tensor.requires_grad)
        for name, value in tensor.__dict__.items():
            if name not in _OURS and name != "_is_param":
                setattr(local, name, value)
    return local.__reduce_ex__(protocol)


def deep_copy(tensor: WorkersTensor, memo: dict[int, Any]) -> Any:
    """A tensor with a storage of its own; nothing is sent, for values never change.

    Raises:
        RuntimeError: it is no leaf, as torch says.
    """
    if id(tensor) in memo:
        return memo[id(tensor)]
    if not tensor.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the"
            " moment."
        )
    with torch.no_grad():
        made = wrap(contents_of(tensor), tensor._form, tensor._session)
        made.__class__ = type(tensor)
        if tensor.requires_grad:
            made.requires_grad_()
        memo[id(tensor)] = made
        if tensor.grad is not None:
            made.grad = copy.deepcopy(tensor.grad, memo)
        _carry(tensor, made, lambda value: copy.deepcopy(value, memo))
    return made


def shallow_copy(tensor: WorkersTensor) -> Any:
    """Another tensor object for the same storage."""
    with torch.no_grad():
        made = alias(tensor)
        made.__class__ = type(tensor)
        if tensor.requires_grad:
            made.requires_grad_()
        _carry(tensor, made, lambda value: value)
    return made


def _carry(tensor: WorkersTensor, made: WorkersTensor, transfer: Any) -> None:
    for name, value in tensor.__dict__.items():
        if name not in _OURS:
            setattr(made, name, transfer(value))
