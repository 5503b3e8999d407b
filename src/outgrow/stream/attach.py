"""From a model and the places of its weights on disk to a running stream."""

__all__ = ["ATTRIBUTE", "attach", "live_weights", "stream_of"]

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from outgrow.errors import InputError
from outgrow.names import matches
from outgrow.store.checkpoint import FileIdentity
from outgrow.store.readers import make_reader
from outgrow.stream.backends import make_backend
from outgrow.stream.config import Config, MemoryPressureMode, PrefetchStrategy
from outgrow.stream.live_weight import LiveWeight, User
from outgrow.stream.resources import Resources
from outgrow.stream.source import WeightSource
from outgrow.stream.weight_stream import StreamOptions, WeightStream
from outgrow.stream.weights import Use, Weight

ATTRIBUTE = "_outgrow_stream"
"""Where a streamed model keeps its stream."""


def attach(
    model: nn.Module,
    sources: Mapping[str, WeightSource],
    *,
    config: Config,
    budget_bytes: int,
    device: torch.device,
    identities: Mapping[Path, FileIdentity],
    strides: Mapping[str, tuple[int, ...]] | None = None,
) -> WeightStream:
    """Let `model` run with the weights in `sources` on disk, within `budget_bytes`.

    Args:
        model: parameters named in `sources` may be on meta or in memory; what is in memory goes.
        sources: where the bytes of each streamed parameter lie, by its first qualified name.
        strides: strides of parameters that are dense but not row-major, by the same name.
        identities: the checkpoint files as they were opened.
        device: where the model computes.

    Raises:
        BudgetTooSmall: no plan fits. The model is as it was.
    """
    weights = live_weights(model, sources, strides or {}, device)
    if not weights:
        raise InputError(
            f"{type(model).__name__} has no parameters that could be streamed",
            hint="a model without parameters runs as it is",
        )
    keep = frozenset(
        weight.weight.index
        for weight in weights
        if any(matches(weight.name, pattern) for pattern in config.keep_resident)
    )
    assert isinstance(config.prefetch_strategy, PrefetchStrategy)
    assert isinstance(config.memory_pressure_mode, MemoryPressureMode)
    stream = WeightStream(
        model,
        weights,
        budget_bytes=budget_bytes,
        options=StreamOptions(
            io_threads=config.num_io_threads,
            strategy=config.prefetch_strategy,
            pressure_mode=config.memory_pressure_mode,
            keep_resident=keep,
            checks=config.debug_mode,
        ),
        identities=identities,
        resources=make_resources(config, device, next(iter(identities))),
    )
    model.__dict__[ATTRIBUTE] = stream
    return stream


def make_resources(config: Config, device: torch.device, file: Path) -> Resources:
    """What streaming needs on `device`; `file` is one of the checkpoint's, to see how its file system can be read.

    Raises:
        DeviceError: the backend asked for cannot work there.
    """
    reader = make_reader(config.reader, file)
    try:
        return Resources(make_backend(config.backend, device, reader), reader)
    except BaseException:
        reader.close()
        raise


def stream_of(model: nn.Module) -> WeightStream:
    """The stream of a model, or of the one streamed model inside it (an adapter's base model, for example).

    Raises:
        InputError: the model is not streamed.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"a model must be a torch.nn.Module, not {type(model).__name__}")
    for module in model.modules():
        stream = module.__dict__.get(ATTRIBUTE)
        if isinstance(stream, WeightStream):
            return stream
    raise InputError(
        f"this {type(model).__name__} is not streamed",
        hint="open it with outgrow.stream.load(path, budget=...) or outgrow.stream.offload(model, config)",
    )


def live_weights(
    model: nn.Module,
    sources: Mapping[str, WeightSource],
    strides: Mapping[str, tuple[int, ...]],
    device: torch.device,
) -> list[LiveWeight]:
    """The weights that `sources` name, in module order. Parameters on meta are replaced once, everywhere, on `device`."""
    named = dict(model.named_parameters(remove_duplicate=False))
    keys = {name: _key(named[name]) for name in sources if name in named}
    objects: dict[object, dict[int, nn.Parameter]] = {key: {} for key in keys.values()}
    users: dict[object, list[User]] = {key: [] for key in keys.values()}
    replaced: dict[int, nn.Parameter] = {}
    for module_name, module in model.named_modules():
        for attribute, parameter in list(module._parameters.items()):
            key = _key(parameter) if parameter is not None else None
            if parameter is None or key not in objects:
                continue
            if parameter.is_meta:
                # A meta parameter cannot be given data: replaced once, everywhere, before anything is bound.
                fresh = replaced.get(id(parameter))
                if fresh is None:
                    fresh = nn.Parameter(torch.empty(0, dtype=parameter.dtype, device=device), requires_grad=False)
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
    weights = []
    for name, key in keys.items():
        parameters = list(objects[key].values())
        dtype = named[name].dtype
        static = Weight(
            index=len(weights), source=sources[name], dtype=dtype, use=_use(users[key]), stride=strides.get(name)
        )
        weights.append(LiveWeight(static, parameters, users[key], device))
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
