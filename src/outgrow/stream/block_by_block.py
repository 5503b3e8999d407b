"""A model with the weights of one module in memory at a time: slow, and plain enough to check against."""

__all__ = ["open_block_by_block"]

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from outgrow.stream.huggingface import open_huggingface
from outgrow.stream.source import WeightSource, read_rows


@contextlib.contextmanager
def open_block_by_block(
    path: Path | str, *, dtype: torch.dtype, device: torch.device, trust_remote_code: bool = False
) -> Iterator[nn.Module]:
    """The model at `path`, whose modules read their weights whole when called and drop them when done.

    It shares nothing with the stream but how names come to places in files: no window, no tiles, no threads,
    no prefetching. Weights that a module reads of another one are on the meta device, so that torch refuses
    to compute with them.

    Raises:
        InputError: there is no such model, or it cannot be read in place.
        StoreError: a file is damaged or cannot be read.
    """
    opened = open_huggingface(path, dtype=dtype, trust_remote_code=trust_remote_code)
    model = opened.model
    places = {
        id(weight): opened.sources[name]
        for name, weight in model.named_parameters()
        if name in opened.sources
    }
    hooks = []
    for module in model.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.to(device)
        own = {
            name: (weight, places[id(weight)])
            for name, weight in module._parameters.items()
            if weight is not None and id(weight) in places
        }
        for weight in module._parameters.values():
            if weight is not None and not weight.is_meta:
                weight.data = weight.data.to(device)
        if own:
            hooks.append(module.register_forward_pre_hook(_bring(own, device), prepend=True))
            hooks.append(module.register_forward_hook(_drop(own), always_call=True))
    try:
        yield model
    finally:
        for hook in hooks:
            hook.remove()


_Own = dict[str, tuple[nn.Parameter, WeightSource]]


def _bring(own: _Own, device: torch.device) -> Any:
    def bring(module: nn.Module, _arguments: Any) -> None:
        for name, (weight, source) in own.items():
            whole = read_rows(source, 0, None).to(dtype=weight.dtype, device=device)
            module._parameters[name] = nn.Parameter(whole, requires_grad=False)

    return bring


def _drop(own: _Own) -> Any:
    def drop(module: nn.Module, _arguments: Any, _result: Any) -> None:
        for name, (weight, _) in own.items():
            module._parameters[name] = weight

    return drop
