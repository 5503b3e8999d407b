"""What is about contents as a whole: copying, filling, fetching, sending."""

__all__ = [
    "contents_of",
    "copy_",
    "copy_as",
    "equal",
    "fill_",
    "fill_tensor_",
    "filled",
    "is_exchangeable",
    "item",
    "same",
    "to_copy",
    "zero_",
]

from typing import Any

import torch
from torch import Tensor

from outgrow.shard.client.device import DEVICE_TYPE
from outgrow.shard.client.forms import Form
from outgrow.shard.client.outside import outside
from outgrow.shard.client.recording import record
from outgrow.shard.client.session import Session
from outgrow.shard.client.tensor import WorkersTensor, alias, fetched, read, send, wrap, write
from outgrow.shard.client.values import Value
from outgrow.shard.instructions import FLOAT, INPUT, Template

_aten = torch.ops.aten


def same(op: Any, args: Any, kwargs: dict[str, Any]) -> WorkersTensor:
    """Another tensor object for the same storage."""
    return alias(args[0])


def copy_as(op: Any, args: Any, kwargs: dict[str, Any]) -> WorkersTensor:
    """A storage of its own. Values never change, so the new one starts as the same value: nothing is sent."""
    source: WorkersTensor = args[0]
    session, form = source._session, source._form
    memory_format = kwargs.get("memory_format")
    if memory_format is not None or not form.is_dense():
        key = ("copy", form, memory_format)
        known = session.inference.forms.get(key)
        if known is None:
            known = session.inference.shape(
                _aten.clone.default, [form], [INPUT], {"memory_format": memory_format}
            )
            session.inference.forms[key] = known
        form = known
    return wrap(contents_of(source), form, session)


def contents_of(source: WorkersTensor) -> Value:
    """What a copy of a tensor starts as: the same value, but where what is done now is to be done again."""
    value, session, form = read(source), source._session, source._form
    if session.is_sharing:
        return value
    entry = session.inference.entry(
        ("clone", form),
        lambda: Template(op="aten.clone.default", args=(INPUT,), inputs=(form.meta,), outputs=(form.meta,)),
        form,
    )
    return session.emit(entry.index, (value,))[0]


def to_copy(op: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
    """To another dtype, device or memory format."""
    source: WorkersTensor = args[0]
    device = kwargs.get("device")
    if device is not None and torch.device(device).type != DEVICE_TYPE:
        return op(fetched(source), **kwargs)  # type: ignore[no-any-return]
    dtype = kwargs.get("dtype") or source.dtype
    memory_format = kwargs.get("memory_format")
    if kwargs.get("layout") not in (None, torch.strided):
        return record(op, args, kwargs)  # type: ignore[no-any-return]
    if dtype == source.dtype:
        return copy_as(op, args, {"memory_format": memory_format})
    wanted = {"dtype": dtype} if memory_format is None else {"dtype": dtype, "memory_format": memory_format}
    return record(op, (source,), wanted)  # type: ignore[no-any-return]


def copy_(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Contents of one tensor into another, from and to the workers too."""
    target, source = args[0], args[1]
    if not isinstance(target, WorkersTensor):
        local = fetched(source)
        with outside():
            return target.copy_(local)
    session, form = target._session, target._form
    if not isinstance(source, WorkersTensor):
        source = send(source.detach().to("cpu", form.dtype), session)
    other = source._form
    if other.shape != form.shape or source._session is not session or _overlaps(form):
        return record(op, (target, source))
    if other.dtype != form.dtype:
        source = record(_aten._to_copy.default, (source,), {"dtype": form.dtype})
    write(target, contents_of(source))
    return target


def fill_(op: Any, args: Any, kwargs: dict[str, Any]) -> WorkersTensor:
    """One number everywhere."""
    target: WorkersTensor = args[0]
    if _overlaps(target._form):
        return record(op, args, kwargs)  # type: ignore[no-any-return]
    write(target, filled(target._session, target._form, args[1]))
    return target


def fill_tensor_(op: Any, args: Any, kwargs: dict[str, Any]) -> WorkersTensor:
    """The one number of a tensor everywhere."""
    target, value = args
    if not isinstance(value, WorkersTensor) and value.dim() == 0 and isinstance(target, WorkersTensor):
        return fill_(op, (target, value.item()), kwargs)
    return record(op, args, kwargs)  # type: ignore[no-any-return]


def zero_(op: Any, args: Any, kwargs: dict[str, Any]) -> WorkersTensor:
    """Zero everywhere."""
    return fill_(op, (args[0], 0), kwargs)


def filled(session: Session, form: Form, number: Any) -> Value:
    """A value of one number."""
    if type(number) is float:
        key: tuple[Any, ...] = ("full", form.shape, form.dtype)
        floats: tuple[float, ...] = (number,)
        held: Any = FLOAT
    else:
        key, floats, held = ("full", form.shape, form.dtype, type(number), number), (), number
    if number == 0 and type(number) is int:
        arguments: tuple[Any, ...] = (form.shape,)
        name = "aten.zeros.default"
    else:
        arguments, name = (form.shape, held), "aten.full.default"
    entry = session.inference.entry(
        key,
        lambda: Template(op=name, args=arguments, kwargs=(("dtype", form.dtype),), outputs=(form.meta,)),
        form,
    )
    return session.emit(entry.index, (), floats)[0]


def item(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The one number; waits."""
    return fetched(args[0]).item()


def equal(op: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether shapes and numbers are the same; fetches one bool."""
    left, right = args
    if left.shape != right.shape:
        return False
    return bool(fetched(record(_aten.all.default, (record(_aten.eq.Tensor, (left, right)),))).item())


def is_exchangeable(op: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether one may become the other in place."""
    return all(isinstance(one, WorkersTensor) for one in args)


def _overlaps(form: Form) -> bool:
    return 0 in form.stride and any(
        stride == 0 and size > 1 for stride, size in zip(form.stride, form.shape, strict=True)
    )
