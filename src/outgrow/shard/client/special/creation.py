"""New tensors that look like another: nothing of the other is read."""

__all__ = ["like"]

from typing import Any

import torch
from torch import Tensor

from outgrow.shard.client.device import DEVICE_TYPE
from outgrow.shard.client.forms import Form
from outgrow.shard.client.special.contents import filled
from outgrow.shard.client.tensor import WorkersTensor, wrap
from outgrow.shard.instructions import INPUT

_LEFT_OUT = ("device", "pin_memory", "layout", "generator")


def like(op: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
    """`zeros_like`, `new_full` and so on; on another device where one is named."""
    source: WorkersTensor = args[0]
    device = kwargs.get("device")
    if device is not None and torch.device(device).type != DEVICE_TYPE:
        form = source._form
        blank = torch.empty_strided(form.shape, form.stride, dtype=form.dtype, device="meta")
        return op(blank, *args[1:], **kwargs)  # type: ignore[no-any-return]
    form = form_like(op, args, kwargs)
    name = op._opname
    if "empty" in name:
        return wrap(None, form, source._session)
    number = args[-1] if "full" in name else 1 if "ones" in name else 0
    return wrap(filled(source._session, form, number), form, source._session)


def form_like(op: Any, args: Any, kwargs: dict[str, Any]) -> Form:
    """The form of what the op gives."""
    source: WorkersTensor = args[0]
    inference = source._session.inference
    wanted = {name: value for name, value in kwargs.items() if name not in _LEFT_OUT and value is not None}
    rest = [tuple(one) if isinstance(one, (list, tuple)) else one for one in args[1:]]
    key = (op, source._form, *map(_hashable, rest), *wanted.items())
    known = inference.forms.get(key)
    if known is None:
        known = inference.forms[key] = inference.shape(op, [source._form], [INPUT, *args[1:]], wanted)
    return known


def _hashable(argument: Any) -> Any:
    return (type(argument), argument)
