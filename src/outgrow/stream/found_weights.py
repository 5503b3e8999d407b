"""The weights of a model as they are found in its modules: who uses each, and how."""

__all__ = ["file_phases", "live_weights"]

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from outgrow.stream.live_weight import LiveWeight, User
from outgrow.stream.source import WeightSource
from outgrow.stream.weights import PHASE_BYTES, Use, Weight


def file_phases(model: nn.Module, sources: Mapping[str, WeightSource]) -> dict[str, int]:
    """Where weights lie modulo `PHASE_BYTES` when transformers opens a checkpoint: at their place in the
    mapped file, or at the start of memory of their own where it has to convert or to merge."""
    named = dict(model.named_parameters(remove_duplicate=False))
    return {
        name: source.segments[0].offset % PHASE_BYTES
        for name, source in sources.items()
        if len(source.segments) == 1
        and source.codec is None
        and named[name].dtype == source.dtype
        and source.segments[0].offset % source.dtype.itemsize == 0
    }


def live_weights(
    model: nn.Module,
    sources: Mapping[str, WeightSource],
    strides: Mapping[str, tuple[int, ...]],
    device: torch.device,
    phases: Mapping[str, int] = MappingProxyType({}),
) -> list[LiveWeight]:
    """The weights that `sources` name, in module order. Parameters on meta are replaced once, everywhere, on
    `device`."""
    named = dict(model.named_parameters(remove_duplicate=False))
    keys = {name: _key(named[name]) for name in sources if name in named}
    objects: dict[object, dict[int, nn.Parameter]] = {key: {} for key in keys.values()}
    users: dict[object, list[User]] = {key: [] for key in keys.values()}
    replaced: dict[int, nn.Parameter] = {}
    trained = {key: named[name].requires_grad for name, key in keys.items()}
    for module_name, module in model.named_modules():
        for attribute, parameter in list(module._parameters.items()):
            key = _key(parameter) if parameter is not None else None
            if parameter is None or key not in objects:
                continue
            if parameter.is_meta:
                # A meta parameter cannot be given data: replaced once, everywhere, before anything is bound.
                fresh = replaced.get(id(parameter))
                if fresh is None:
                    fresh = nn.Parameter(
                        torch.empty(0, dtype=parameter.dtype, device=device), requires_grad=False
                    )
                    fresh.__dict__.update(parameter.__dict__)
                    replaced[id(parameter)] = fresh
                # Through setattr: recurrent modules keep a list of their parameters besides.
                setattr(module, attribute, fresh)
                parameter_object = fresh
            else:
                parameter_object = parameter
            objects[key][id(parameter_object)] = parameter_object
            table = isinstance(module, nn.Embedding) and attribute == "weight"
            users[key].append(User(module, module_name, attribute, table))
    weights: list[LiveWeight] = []
    for name, key in keys.items():
        parameters = list(objects[key].values())
        dtype = named[name].dtype
        static = Weight(
            index=len(weights),
            source=sources[name],
            dtype=dtype,
            use=_use(users[key]),
            stride=strides.get(name),
            phase=phases.get(name, 0),
        )
        live = LiveWeight(static, parameters, users[key], device, was_trained=trained[key])
        weights.append(live)
    return weights


def _key(parameter: Tensor) -> object:
    """Equal for parameters that are the same bytes in the same shape."""
    if parameter.is_meta or not parameter.numel():
        return id(parameter)
    return parameter.data_ptr(), parameter.shape, parameter.stride(), parameter.dtype


def _use(users: list[User]) -> Use:
    tables = [user.is_table for user in users]
    linears = [isinstance(user.module, nn.Linear) and user.attribute == "weight" for user in users]
    if all(tables):
        return Use.GATHER
    if all(table or linear for table, linear in zip(tables, linears, strict=True)):
        return Use.GATHER_AND_ROWS if any(tables) else Use.ROWS
    return Use.WHOLE
