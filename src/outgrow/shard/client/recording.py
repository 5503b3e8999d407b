"""One op of torch's as one instruction: found in the cache by all that decides it, or inferred once."""

__all__ = ["record"]

from typing import Any

import torch
from torch import Tensor
from torch._subclasses import fake_tensor

from outgrow.errors import InputError
from outgrow.shard.client.device import DEVICE_TYPE
from outgrow.shard.client.forms import form_of_tensor
from outgrow.shard.client.here import TorchRefusal, run_here
from outgrow.shard.client.inference import Entry, Kind, has_static_floats, op_name
from outgrow.shard.client.session import Session
from outgrow.shard.client.tensor import WorkersTensor, read, send, view_of, wrap, write
from outgrow.shard.instructions import INPUT

_aten = torch.ops.aten
_CANNOT_TELL = (
    fake_tensor.DynamicOutputShapeException,
    fake_tensor.DataDependentOutputException,
    fake_tensor.UnsupportedOperatorException,
    fake_tensor.UnsupportedFakeTensorException,
)
_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
_SEEDED = torch.Tag.nondeterministic_seeded
_ATTENTION = _aten._scaled_dot_product_flash_attention_for_cpu.default
"""Draws numbers only where it drops out, which torch refuses on the CPU."""
_NAMESPACES = ("aten", "prims", "outgrow")
_DROPPED = frozenset({"device", "pin_memory", "non_blocking"})
_TAKES_HOST_INDICES = frozenset(
    {
        _aten.index.Tensor,
        _aten._unsafe_index.Tensor,
        _aten.index_put.default,
        _aten.index_put_.default,
        _aten._index_put_impl_.default,
        _aten._unsafe_index_put.default,
    }
)
"""Ops whose index tensors may be on the CPU, as torch allows for tensors on other devices."""


def record(op: Any, args: Any, kwargs: Any = None) -> Any:
    """Turn one op into an instruction, and its results into tensors."""
    # By address: the op's own hash is a Python function. Ops live as long as torch.
    key: list[Any] = [id(op)]
    inputs: list[Any] = []
    floats: list[float] = []
    hosts: list[int] = []
    for argument in args:
        kind: Any = type(argument)
        if kind is WorkersTensor:
            view = argument._view
            key.append(argument._cell.form if view is None else view.form)
            inputs.append(argument)
        elif kind is int or argument is None:
            key.append(argument)
        elif kind is float:
            key.append(float)
            floats.append(argument)
        else:
            _encode(argument, key, inputs, floats, hosts)
    if kwargs:
        for name, argument in kwargs.items():
            if name not in _DROPPED:
                key.append(name)
                _encode(argument, key, inputs, floats, hosts)
    if hosts:
        hosted = [inputs[index] for index in hosts]
        _send_hosts(op, inputs, hosts)
    if floats and has_static_floats(op):
        key.append(tuple(value.hex() for value in floats))
        floats = []
    session: Session = inputs[0]._cell.session
    entry = session.inference.entries.get(tuple(key))
    if entry is None:
        entry = _missed(tuple(key), op, args, kwargs or {}, inputs, session)
    kind = entry.kind
    if kind >= Kind.HERE:
        if kind is Kind.HERE:
            return run_here(op, args, kwargs or {}, session)
        return op.decompose(*args, **(kwargs or {}))
    if hosts and kind is Kind.WRITE:
        for index, tensor in zip(hosts, hosted, strict=True):
            if index in entry.written:
                raise _meeting(op, tensor)
    values = []
    for tensor in inputs:
        cell, view = tensor._cell, tensor._view
        if cell.session is not session:
            raise _stranger(op)
        if view is None:
            values.append(cell.value or read(tensor))
        else:
            values.append(view.value if view.version == cell.version else read(tensor))
    if kind is Kind.ONE:
        return wrap(session.emit(entry.index, values, floats)[0], entry.forms[0], session)  # type: ignore[arg-type]
    assert entry.template is not None
    made = session.emit(entry.index, values, floats, len(entry.template.outputs))
    return _views(entry, inputs[0], made) if kind is Kind.VIEW else _results(entry, inputs, made, session)


def _views(entry: Entry, source: WorkersTensor, values: list[Any]) -> Any:
    offset = 0 if source._view is None else source._view.offset
    if not entry.is_list:
        form = entry.forms[0]
        assert form is not None
        if form.dtype is not source.dtype:
            offset = offset * source.dtype.itemsize // form.dtype.itemsize
        return view_of(source, (entry, 0), form, offset + entry.offsets[0], values[0])
    return [
        view_of(source, (entry, index), form, offset + own, value)
        for index, (value, form, own) in enumerate(zip(values, entry.forms, entry.offsets, strict=True))
        if form is not None
    ]


def _results(entry: Entry, inputs: list[WorkersTensor], values: list[Any], session: Session) -> Any:
    supply = iter(values)
    for index in entry.written:
        write(inputs[index], next(supply))
    results = [
        inputs[at] if at is not None else None if form is None else wrap(next(supply), form, session)
        for at, form in zip(entry.returns, entry.forms, strict=True)
    ]
    if entry.is_list:
        return results
    if entry.kind is Kind.WRITE and len(results) < 2:
        return results[0] if results else None
    return tuple(results)


def _encode(argument: Any, key: list[Any], inputs: list[Any], floats: list[float], hosts: list[int]) -> None:
    kind = type(argument)
    if kind is float:
        key.append(float)
        floats.append(argument)
    elif kind is bool:
        key.append(_BOOLS[argument])
    elif kind is list or kind is tuple:
        key.append(len(argument))
        for one in argument:
            _encode(one, key, inputs, floats, hosts)
    elif isinstance(argument, WorkersTensor):
        key.append(argument._form)
        inputs.append(argument)
    elif isinstance(argument, Tensor):
        hosts.append(len(inputs))
        key.append(form_of_tensor(argument) if argument.layout is torch.strided else argument.layout)
        inputs.append(argument)
    elif kind is complex:
        key.append((complex, argument.real.hex(), argument.imag.hex()))
    elif kind is int or argument is None:
        key.append(argument)
    else:
        key.append(kind)
        key.append(argument)


_BOOLS = (("bool", 0), ("bool", 1))
"""`True == 1`, so a key needs other words for them."""


def _send_hosts(op: Any, inputs: list[Any], hosts: list[int]) -> None:
    session = next(tensor._session for tensor in inputs if isinstance(tensor, WorkersTensor))
    for index in hosts:
        tensor = inputs[index]
        if tensor.dim() and not (op in _TAKES_HOST_INDICES and index and not tensor.is_floating_point()):
            raise _meeting(op, tensor)
        inputs[index] = send(tensor.cpu(), session)


def _meeting(op: Any, tensor: Tensor) -> InputError:
    return InputError(
        f"{op_name(op)} was given a tensor on the {tensor.device} of shape {tuple(tensor.shape)} and one on"
        f" {DEVICE_TYPE}",
        hint=f"move it there with .to({DEVICE_TYPE!r}), or the other one here with .cpu()",
    )


def _stranger(op: Any) -> InputError:
    return InputError(
        f"{op_name(op)} was given tensors of different sessions",
        hint="carry one over through this process: tensor.cpu().to('workers') within use_session(...)",
    )


def _missed(
    key: tuple[Any, ...], op: Any, args: Any, kwargs: dict[str, Any], inputs: list[Any], session: Session
) -> Entry:
    inference = session.inference
    if op.has_kernel_for_dispatch_key(_COMPOSITE):
        entry = Entry(Kind.COMPOSITE)
    elif op.namespace not in _NAMESPACES:
        entry = _here(f"{op.namespace} is no namespace that workers know")
    elif _SEEDED in op.tags and op is not _ATTENTION:
        entry = _here("it draws random numbers")
    else:
        for tensor in inputs:
            if tensor._cell.session is not session:
                raise _stranger(op)
        given = {name: _holes(value) for name, value in kwargs.items() if name not in _DROPPED}
        try:
            entry = inference.infer(op, [tensor._form for tensor in inputs], _holes(args), given)
        except _CANNOT_TELL:
            entry = _here("the shape of its results depends on numbers")
        except Exception as error:
            if op is _aten.view.default:  # refused for its strides, which what is fetched has not
                raise TorchRefusal(error) from error
            entry = _here(f"{type(error).__name__}: {error}")
    inference.entries[key] = entry
    return entry


def _here(why: str) -> Entry:
    entry = Entry(Kind.HERE)
    entry.details = why
    return entry


def _holes(arguments: Any) -> Any:
    if isinstance(arguments, Tensor):
        return INPUT
    if isinstance(arguments, (tuple, list)):
        return [_holes(argument) for argument in arguments]
    return arguments
