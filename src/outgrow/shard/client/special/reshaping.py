"""Views by strides, and ops that change the shape of a tensor in place."""

__all__ = ["as_strided", "change_view", "resize_", "set_tensor_"]

from typing import Any

import torch

from outgrow.errors import InputError
from outgrow.shard.client.forms import Form, contiguous_stride, form_of
from outgrow.shard.client.here import TorchRefusal
from outgrow.shard.client.inference import Entry, Kind, op_name
from outgrow.shard.client.tensor import WorkersTensor, alias, become, read, view_of, wrap
from outgrow.shard.client.views import settle
from outgrow.shard.instructions import INPUT, Template

_aten = torch.ops.aten


def as_strided(op: Any, args: Any, kwargs: dict[str, Any]) -> WorkersTensor:
    """A view of the whole storage, whatever view it is asked of; offsets count from the storage's start."""
    source: WorkersTensor = args[0]
    size, stride, offset = (*args[1:], *(kwargs[name] for name in kwargs), None)[:3]
    offset = int(source.storage_offset() if offset is None else offset)
    form = form_of(tuple(size), tuple(stride), source.dtype)
    cell, view = source._cell, source._view
    if form is source._form and offset == source.storage_offset():
        return alias(source)
    whole = cell.form
    if form is whole and offset == 0:
        return _whole(source)
    _check_bounds(form, offset, whole)
    entry = _entry(source, form, offset)
    base = _whole(source) if view is not None else source
    value = cell.session.emit(entry.index, (cell.value or settle(cell),))[0]
    return view_of(base, (entry, 0), form, offset, value)


def _whole(source: WorkersTensor) -> WorkersTensor:
    made = wrap(None, source._cell.form, source._session)
    made._cell = source._cell
    return made


def _check_bounds(form: Form, offset: int, whole: Form) -> None:
    if len(form.shape) != len(form.stride):
        raise TorchRefusal(
            RuntimeError(
                f"mismatch in length of strides and shape: {len(form.shape)} sizes,"
                f" {len(form.stride)} strides"
            )
        )
    if min((*form.stride, offset, 0)) < 0:
        raise TorchRefusal(
            RuntimeError(
                "as_strided: Negative strides and offsets are not supported at the moment, got strides:"
                f" {list(form.stride)}, offset: {offset}"
            )
        )
    last = offset + sum((size - 1) * step for size, step in zip(form.shape, form.stride, strict=True))
    held = whole.elements * whole.dtype.itemsize
    needed = 0 if 0 in form.shape else (last + 1) * form.dtype.itemsize
    if needed > held:
        raise TorchRefusal(
            RuntimeError(
                f"setStorage: sizes {list(form.shape)}, strides {list(form.stride)}, storage offset {offset},"
                f" and itemsize {form.dtype.itemsize} requiring a storage size of {needed} are out of bounds"
                f" for storage of size {held}"
            )
        )
    if not whole.is_dense():
        raise InputError(
            f"as_strided of a storage with gaps or overlaps: {whole.shape}, strides {whole.stride}",
            hint="make a dense one first with .contiguous()",
        )


def _entry(source: WorkersTensor, form: Form, offset: int) -> Entry:
    whole, inference = source._cell.form, source._session.inference
    key = ("strided", whole, form, offset)
    known = inference.entries.get(key)
    if known is not None:
        return known
    links: list[tuple[Any, ...]] = []
    order = sorted(range(len(whole.shape)), key=lambda dim: (-whole.stride[dim], whole.shape[dim] == 1, dim))
    if order != list(range(len(order))):
        links.append(("aten.permute.default", (tuple(order),), ()))
    if whole.dtype != form.dtype:
        links.append(("aten.reshape.default", ((-1,),), ()))
        links.append(("aten.view.dtype", (form.dtype,), ()))
    links.append(("aten.as_strided.default", (form.shape, form.stride, offset), ()))
    entry = Entry(Kind.VIEW)
    entry.link = tuple(links)
    entry.forms = (form,)
    entry.template = Template(
        op="outgrow.read_view",
        args=(INPUT, tuple((*link, None) for link in links)),
        inputs=(whole.meta,),
        outputs=(form.meta,),
    )
    entry.index = inference.add(entry.template)
    inference.entries[key] = entry
    return entry


def change_view(op: Any, args: Any, kwargs: dict[str, Any]) -> WorkersTensor:
    """`t_`, `squeeze_` and the like: the tensor becomes the view that the op without `_` gives."""
    target: WorkersTensor = args[0]
    overload = op._overloadname
    packet = getattr(_aten, op._opname.removesuffix("_"))
    view = getattr(packet, "int" if op._opname == "transpose_" else overload)
    become(target, view(*args, **kwargs))
    return target


def resize_(op: Any, args: Any, kwargs: dict[str, Any]) -> WorkersTensor:
    """To a row-major shape within the storage that is there, or to any where there is nothing to keep."""
    target, size = args[0], tuple(args[1])
    form = form_of(size, contiguous_stride(size), target.dtype)
    if form.shape == target._form.shape:
        return target  # type: ignore[no-any-return]
    whole = target._cell.form
    if form.elements * form.dtype.itemsize <= whole.elements * whole.dtype.itemsize:
        become(target, as_strided(_aten.as_strided.default, (target, size, form.stride, 0), {}))
        return target  # type: ignore[no-any-return]
    if whole.elements:
        raise InputError(
            f"{op_name(op)} from {tuple(target.shape)} to {size} would enlarge a storage on the workers",
            hint="make a tensor of the new size and copy into a slice of it",
        )
    become(target, wrap(None, form, target._session))
    return target  # type: ignore[no-any-return]


def set_tensor_(op: Any, args: Any, kwargs: dict[str, Any]) -> WorkersTensor:
    """The tensor becomes the other one, storage and all."""
    target, source = args
    if not isinstance(source, WorkersTensor) or not isinstance(target, WorkersTensor):
        raise InputError(
            "set_ between a tensor on the workers and one that is not", hint="move both to one device first"
        )
    read(source)
    become(target, source)
    return target
