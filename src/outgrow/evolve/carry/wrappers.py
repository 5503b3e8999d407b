"""Wrappers around a model: those that are seen through, and those that no change can reach."""

__all__ = ["check_changeable", "replicated", "unwrapped"]

import torch
from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.carry.refused import CannotFollow


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside `DistributedDataParallel`, `DataParallel` and `torch.compile`.

    Raises:
        InputError: it is no model.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"model is a {type(model).__name__}", hint="give a torch.nn.Module")
    while True:
        if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            model = model.module
        elif isinstance(inner := model.__dict__.get("_modules", {}).get("_orig_mod"), nn.Module):
            model = inner
        else:
            return model


def replicated(model: nn.Module) -> nn.parallel.DistributedDataParallel | None:
    """The `DistributedDataParallel` around a model, None where there is none."""
    while not isinstance(model, nn.parallel.DistributedDataParallel):
        inner = model.__dict__.get("_modules", {}).get("_orig_mod")
        if not isinstance(inner, nn.Module):
            return None
        model = inner
    return model


def check_changeable(model: nn.Module) -> None:
    """See that nothing about a model speaks against any change of it.

    Raises:
        CannotFollow: it is scripted, or its weights are spread over ranks.
    """
    for name, module in model.named_modules():
        where = f"{name!r}" if name else "the model"
        if isinstance(module, torch.jit.ScriptModule):
            raise CannotFollow(
                f"{where} is scripted: its code and shapes are fixed",
                hint="change the model that it was made from, and script it again",
            )
        kinds = {kind.__name__ for kind in type(module).__mro__}
        if kinds & {"FullyShardedDataParallel", "FSDPModule"}:
            raise CannotFollow(
                f"{where} is sharded by FSDP: no rank holds its weights whole",
                hint="change the model before it is sharded, or use DistributedDataParallel",
            )
    for name, parameter in model.named_parameters():
        if type(parameter).__name__ == "DTensor" or type(parameter.data).__name__ == "DTensor":
            raise CannotFollow(
                f"{name!r} is a DTensor: no rank holds it whole",
                hint="change the model before it is distributed",
            )
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise CannotFollow(
                f"{name!r} has no shape yet", hint="run the model once, so that its lazy layers take shape"
            )
