"""A tensor that lives on the workers: torch's autograd, modules and optimizers run above it, unchanged."""

__all__ = ["WorkersTensor"]

from typing import Any

import torch
from torch import Tensor

from outgrow.errors import InputError
from outgrow.shard.client.device import DEVICE, DEVICE_TYPE
from outgrow.shard.client.inference import Entry, Kind
from outgrow.shard.client.pieces import fetch_pieces
from outgrow.shard.client.session import Session, default_session
from outgrow.shard.client.values import Cell, Value, View
from outgrow.shard.instructions import INPUT, TensorMeta

_aten = torch.ops.aten
_make = Tensor._make_wrapper_subclass  # type: ignore[attr-defined]


class WorkersTensor(Tensor):
    """Has a shape, strides and a dtype; its elements are with the workers."""

    _cell: Cell
    _view: View | None
    _meta: TensorMeta
    _session: Session

    @classmethod
    def __torch_dispatch__(cls, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatch(op, args, kwargs or {})

    def _read_value(self) -> Value:
        """The value that it is now."""
        return self._cell.value if self._view is None else _read(self)

    def rank_pieces(self) -> list[tuple[int, str, Tensor]]:
        """What each rank holds of it, as recordings want it; see `fetch_pieces`."""
        return fetch_pieces(self)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"{fetched(self)!r}".replace("tensor(", "workers(", 1)


def dispatch(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Turn one op into an instruction, or do it here where nothing needs to run."""
    special = _SPECIAL.get(op)
    if special is not None:
        return special(op, args, kwargs)
    session = default_session()
    key: list[Any] = [op]
    inputs: list[WorkersTensor] = []
    floats: list[float] = []
    for argument in args:
        _encode(argument, key, inputs, floats, session)
    if kwargs:
        kwargs.pop("device", None)
        kwargs.pop("pin_memory", None)
        for name, argument in kwargs.items():
            key.append(name)
            _encode(argument, key, inputs, floats, session)
    cache_key = tuple(key)
    inference = session.inference
    entry = inference.entries.get(cache_key)
    if entry is None:
        entry = inference.infer(
            op,
            [tensor._meta for tensor in inputs],
            _holes(args),
            {name: _holes(value) for name, value in kwargs.items()},
        )
        inference.entries[cache_key] = entry
    numbers = [(tensor._cell.value if tensor._view is None else _read(tensor)).number for tensor in inputs]
    if entry.kind is Kind.ONE:
        value = session.new_value()
        session.steps.append((entry.index, numbers, (value.number,), tuple(floats)))
        meta = entry.metas[0]
        assert meta is not None
        return wrap(value, meta, session)
    return _finish(op, entry, args, kwargs, inputs, numbers, tuple(floats), session)


def wrap(value: Value, meta: TensorMeta, session: Session) -> WorkersTensor:
    """A tensor of its own storage."""
    tensor: WorkersTensor = _make(
        WorkersTensor, meta.shape, strides=meta.stride, dtype=meta.dtype, device=DEVICE
    )
    tensor._cell = Cell(value, meta)
    tensor._view = None
    tensor._meta = meta
    tensor._session = session
    return tensor


def fetched(tensor: WorkersTensor) -> Tensor:
    """Its contents as a CPU tensor; waits."""
    value = tensor._cell.value if tensor._view is None else _read(tensor)
    return tensor._session.fetch(value)


def _finish(
    op: Any,
    entry: Entry,
    args: Any,
    kwargs: dict[str, Any],
    inputs: list[WorkersTensor],
    numbers: list[int],
    floats: tuple[float, ...],
    session: Session,
) -> Any:
    values = [session.new_value() for _ in entry.template.outputs]
    session.steps.append((entry.index, numbers, tuple(value.number for value in values), floats))
    if entry.kind is Kind.VIEW:
        made = [
            _view_of(inputs[0], op, args[1:], kwargs, index if entry.returns else None, value, meta, offset)
            for index, (value, meta, offset) in enumerate(
                zip(values, entry.metas, entry.offsets, strict=True)
            )
            if meta is not None
        ]
        return made if entry.returns else made[0]
    if entry.kind is Kind.MANY:
        supply = iter(values)
        results = [None if meta is None else wrap(next(supply), meta, session) for meta in entry.metas]
        return results if entry.returns else tuple(results)
    for index, value in zip(entry.written, values, strict=False):
        _write(inputs[index], value)
    fresh = iter(values[len(entry.written) :])
    results = [
        inputs[at] if at is not None else None if meta is None else wrap(next(fresh), meta, session)
        for at, meta in zip(entry.returns, entry.metas, strict=True)
    ]
    if not results:
        return None
    return results[0] if len(results) == 1 else tuple(results)


def _view_of(
    source: WorkersTensor,
    op: Any,
    args: Any,
    kwargs: Any,
    index: int | None,
    value: Value,
    meta: TensorMeta,
    offset: int,
) -> WorkersTensor:
    tensor: WorkersTensor = _make(
        WorkersTensor,
        meta.shape,
        strides=meta.stride,
        storage_offset=source.storage_offset() + offset,
        dtype=meta.dtype,
        device=DEVICE,
    )
    link = (f"{op.namespace}.{op._opname}.{op._overloadname}", args, tuple(kwargs.items()), index)
    before = () if source._view is None else source._view.chain
    tensor._cell = source._cell
    tensor._view = View((*before, link), value, source._cell.version)
    tensor._meta = meta
    tensor._session = source._session
    return tensor


def _read(tensor: WorkersTensor) -> Value:
    """The value of a view, made anew where its storage was written since."""
    view, cell = tensor._view, tensor._cell
    assert view is not None
    if view.version != cell.version:
        from outgrow.shard.client.views import regenerate

        view.value, view.version = regenerate(tensor), cell.version
    return view.value


def _write(tensor: WorkersTensor, value: Value) -> None:
    """The tensor's new contents; through its storage, every tensor that shares it sees them."""
    view, cell = tensor._view, tensor._cell
    if view is None:
        cell.value = value
        cell.version += 1
        return
    from outgrow.shard.client.views import write_back

    cell.value = write_back(tensor, value)
    cell.version += 1
    view.value, view.version = value, cell.version


def _encode(
    argument: Any, key: list[Any], inputs: list[WorkersTensor], floats: list[float], session: Session
) -> None:
    kind = type(argument)
    if kind is WorkersTensor:
        key.append(argument._meta)
        inputs.append(argument)
    elif kind is float:
        key.append(float)
        floats.append(argument)
    elif kind is list or kind is tuple:
        key.append(len(argument))
        for one in argument:
            _encode(one, key, inputs, floats, session)
    elif isinstance(argument, WorkersTensor):  # of a kind of its own, as those that `outgrow.shard` makes
        key.append(argument._meta)
        inputs.append(argument)
    elif isinstance(argument, Tensor):
        if argument.dim():
            raise InputError(
                f"a tensor on {argument.device} of shape {tuple(argument.shape)} meets one on {DEVICE_TYPE}",
                hint=f"move it there with .to({DEVICE_TYPE!r})",
            )
        moved = wrap(session.put(argument), TensorMeta((), (), argument.dtype), session)
        key.append(moved._meta)
        inputs.append(moved)
    else:
        key.append(kind)
        key.append(argument)


def _holes(arguments: Any) -> Any:
    if isinstance(arguments, Tensor):
        return INPUT
    if isinstance(arguments, (tuple, list)):
        return type(arguments)(_holes(argument) for argument in arguments)
    return arguments


# What runs here


def _detach(op: Any, args: Any, kwargs: Any) -> WorkersTensor:
    source = args[0]
    tensor: WorkersTensor = _make(
        WorkersTensor,
        source._meta.shape,
        strides=source._meta.stride,
        storage_offset=source.storage_offset(),
        dtype=source._meta.dtype,
        device=DEVICE,
    )
    view = source._view
    tensor._cell = source._cell
    tensor._view = None if view is None else View(view.chain, view.value, view.version)
    tensor._meta = source._meta
    tensor._session = source._session
    return tensor


def _item(op: Any, args: Any, kwargs: Any) -> Any:
    return fetched(args[0]).item()


def _to_copy(op: Any, args: Any, kwargs: Any) -> Tensor:
    source, options = args[0], dict(kwargs)
    device = options.pop("device", None)
    device = source.device if device is None else torch.device(device)
    options.pop("non_blocking", None)
    options.pop("pin_memory", None)
    options.pop("layout", None)
    if isinstance(source, WorkersTensor) and device.type != DEVICE_TYPE:
        return fetched(source).to(device, **options)
    if not isinstance(source, WorkersTensor):
        session, local = default_session(), source.detach().to("cpu", **options)
        return wrap(
            session.put(local), TensorMeta(tuple(local.shape), tuple(local.stride()), local.dtype), session
        )
    dtype = options.pop("dtype", source.dtype)
    if dtype == source.dtype:
        return torch.clone(source, **options)
    out = torch.empty_strided(source.shape, source.stride(), dtype=dtype, device=DEVICE)
    return out.copy_(source)


def _copy(op: Any, args: Any, kwargs: Any) -> Any:
    target, source = args[0], args[1]
    if not isinstance(target, WorkersTensor):
        return target.copy_(fetched(source))
    session = target._session
    if not isinstance(source, WorkersTensor):
        local = source.detach().to("cpu")
        source = wrap(
            session.put(local), TensorMeta(tuple(local.shape), tuple(local.stride()), local.dtype), session
        )
    _SPECIAL.pop(_aten.copy_.default)
    try:
        return dispatch(_aten.copy_.default, (target, source), {})
    finally:
        _SPECIAL[_aten.copy_.default] = _copy


_SPECIAL: dict[Any, Any] = {
    _aten.detach.default: _detach,
    _aten._local_scalar_dense.default: _item,
    _aten._to_copy.default: _to_copy,
    _aten.copy_.default: _copy,
}
"""Ops that are no instruction."""


# Factories: what torch calls where no argument is on the device yet


def _empty(
    size: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: Any = None,
    memory_format: Any = None,
) -> Tensor:
    return dispatch(_aten.empty.memory_format, (list(size),), {"dtype": dtype or torch.get_default_dtype()})


def _empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: Any = None,
) -> Tensor:
    return dispatch(
        _aten.empty_strided.default, (list(size), list(stride)), {"dtype": dtype or torch.get_default_dtype()}
    )


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    _copy(None, (target, source), {})
    return target


_library = torch.library.Library("aten", "IMPL")
_library.impl("empty.memory_format", _empty, "PrivateUse1")
_library.impl("empty_strided", _empty_strided, "PrivateUse1")
_library.impl("_copy_from", _copy_from, "PrivateUse1")
