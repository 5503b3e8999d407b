"""What a streamed model's own methods do differently: moving, copying, pickling, exchanging its weights.

The model keeps its class; a few attributes on the instances stand before the class's methods and go with the
stream.
"""

__all__ = ["MODULE_METHODS", "install_methods", "is_part", "remove_methods", "without_methods"]

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import InputError
from outgrow.interrupts import Uninterrupted
from outgrow.stream.exchange import Attached, load_state_dict
from outgrow.stream.handle import StreamedWeightError
from outgrow.stream.live_weight import LiveWeight
from outgrow.stream.weight_stream import WeightStream

MODULE_METHODS = ("_apply", "__deepcopy__", "load_state_dict")
"""What every module of a streamed model gets."""
MODEL_METHODS = ("__reduce_ex__", "cleanup_tensorstream")
"""What the model itself gets besides."""


def install_methods(model: nn.Module, attachment: Attached) -> None:
    """Put the methods before those of the classes."""
    stream = attachment.stream
    owned = _owned(stream)
    for module in model.modules():
        module.__dict__["_apply"] = _module_apply(module, owned)
        module.__dict__["__deepcopy__"] = _module_copy(module)
        module.__dict__["load_state_dict"] = functools.partial(_load_state_dict, module, attachment)
    model.__dict__["_apply"] = _model_apply(model, attachment)
    model.__dict__["__deepcopy__"] = lambda memo: attachment.copy(memo)
    model.__dict__["__reduce_ex__"] = lambda protocol: attachment.reduce()
    model.__dict__["cleanup_tensorstream"] = attachment.close


def is_part(module: nn.Module) -> bool:
    """Whether `module` is a streamed model or a part of one, be its own weights in memory or not."""
    return getattr(module.__dict__.get("load_state_dict"), "func", None) is _load_state_dict


def remove_methods(model: nn.Module) -> None:
    """Leave the methods of the classes alone again."""
    for module in model.modules():
        for name in (*MODULE_METHODS, *MODEL_METHODS):
            module.__dict__.pop(name, None)


@contextlib.contextmanager
def without_methods(module: nn.Module) -> Iterator[None]:
    """One module without what streaming put on it, for as long as it is copied."""
    kept = {
        name: module.__dict__.pop(name)
        for name in (*MODULE_METHODS, *MODEL_METHODS)
        if name in module.__dict__
    }
    forward = module.__dict__.get("forward")
    is_ours = getattr(forward, "_is_streamed", False)
    if is_ours:
        kept["forward"] = module.__dict__.pop("forward")
    try:
        yield
    finally:
        module.__dict__.update(kept)


def _load_state_dict(
    module: nn.Module,
    attachment: Attached,
    state_dict: Mapping[str, Any],
    strict: bool = True,
    assign: bool = False,
) -> Any:
    return load_state_dict(module, attachment, state_dict, strict=strict, assign=assign)


def _module_copy(module: nn.Module) -> Callable[[dict[int, Any]], nn.Module]:
    """A part of the model, copied by itself: a plain module with its weights in memory."""

    def deepcopy(memo: dict[int, Any]) -> nn.Module:
        with Uninterrupted(), without_methods(module):
            copied: nn.Module = copy.deepcopy(module, memo)
            return copied

    return deepcopy


def _module_apply(module: nn.Module, owned: Mapping[nn.Module, list[LiveWeight]]) -> Callable[..., nn.Module]:
    """`_apply` for a part of the model: right where it changes no streamed weight, refused where it would."""

    def apply(fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        for part in module.modules() if recurse else (module,):
            for weight in owned.get(part, ()):
                dtype, device = _converted(fn, weight.weight.dtype, weight.parameters[0].device)
                if dtype != weight.weight.dtype or device != weight.parameters[0].device:
                    raise StreamedWeightError(
                        f"weight {weight.name!r} is streamed: a part of the model cannot be moved to "
                        f"{device} or cast to {dtype} by itself",
                        hint="convert the whole model: model.to(...)",
                    )
        with Uninterrupted():
            return _apply_to_others(module, owned, fn, recurse=recurse)

    return apply


def _model_apply(model: nn.Module, attachment: Attached) -> Callable[..., nn.Module]:
    """`_apply` for the model: `to`, `half`, `cuda` and the like change how weights are brought from now
    on."""

    def apply(fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        stream = attachment.stream
        with stream.lock, Uninterrupted():
            dtypes: dict[torch.dtype, torch.dtype] = {}
            device = stream.device
            for dtype in {weight.weight.dtype for weight in stream.weights}:
                dtypes[dtype], device = _converted(fn, dtype, stream.device)
            if device != stream.device:
                attachment.move(device)
            _cast(stream, {old: new for old, new in dtypes.items() if old != new})
            return _apply_to_others(model, _owned(stream), fn, recurse=recurse)

    return apply


def _converted(
    fn: Callable[[Tensor], Tensor], dtype: torch.dtype, device: torch.device
) -> tuple[torch.dtype, torch.device]:
    """What `fn` makes of a tensor; torch's own error where it cannot, with nothing changed."""
    probe = fn(torch.empty(0, dtype=dtype, device=device))
    if probe.device.type == "meta":
        raise InputError(
            "a streamed model cannot be moved to the meta device", hint="outgrow.stream.restore(model) first"
        )
    return probe.dtype, probe.device


def _cast(stream: WeightStream, dtypes: Mapping[torch.dtype, torch.dtype]) -> None:
    statics = {}
    for weight in stream.weights:
        static = weight.weight
        wanted = dtypes.get(static.dtype)
        if wanted is None:
            continue
        if static.source.dtype not in (static.dtype, wanted) or (
            wanted == static.source.dtype and not _is_lossless(wanted, static.dtype)
        ):
            # From the file it would be rounded once; torch rounds what was rounded before. Other bits,
            # silently.
            raise StreamedWeightError(
                f"weight {weight.name!r} is stored as {static.source.dtype} and streamed as {static.dtype}: "
                f"casting it on to {wanted} would round twice in memory but once from disk",
                hint=f"open the model with dtype={wanted}, or outgrow.stream.restore(model) first",
            )
        statics[static.index] = replace(static, dtype=wanted, phase=0)
    if statics:
        stream.exchange(statics, {})


def _is_lossless(narrow: torch.dtype, wide: torch.dtype) -> bool:
    """Whether every value of `narrow` is one of `wide`."""
    return torch.promote_types(narrow, wide) == wide


def _apply_to_others(
    module: nn.Module,
    owned: Mapping[nn.Module, list[LiveWeight]],
    fn: Callable[[Tensor], Tensor],
    *,
    recurse: bool,
) -> nn.Module:
    """Apply `fn` as `nn.Module._apply` does, to everything but the weights of the stream."""
    for part in module.modules() if recurse else (module,):
        managed = {id(parameter) for weight in owned.get(part, ()) for parameter in weight.parameters}
        hidden = {name: value for name, value in part._parameters.items() if id(value) in managed}
        order = list(part._parameters)
        for name in hidden:
            del part._parameters[name]
        try:
            nn.Module._apply(part, fn, recurse=False)  # type: ignore[no-untyped-call]
        finally:
            others = dict(part._parameters)
            part._parameters.clear()
            part._parameters.update(
                {name: hidden[name] if name in hidden else others[name] for name in order}
            )
    return module


def _owned(stream: WeightStream) -> dict[nn.Module, list[LiveWeight]]:
    owned: dict[nn.Module, list[LiveWeight]] = {}
    for weight in stream.weights:
        for user in weight.users:
            owned.setdefault(user.module, []).append(weight)
    return owned
