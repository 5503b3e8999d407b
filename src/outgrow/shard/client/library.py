"""Kernels that torch calls where no argument is on the workers yet, and where it would choose by device."""

__all__ = ["register_kernels"]

import functools
from typing import Any

import torch
from torch import Tensor

from outgrow.shard.client.device import DEVICE
from outgrow.shard.client.forms import contiguous_stride, form_of, form_of_tensor
from outgrow.shard.client.inference import op_name
from outgrow.shard.client.session import default_session
from outgrow.shard.client.special.attention import attention
from outgrow.shard.client.special.contents import copy_
from outgrow.shard.client.special.recurrent import gru_cell, lstm_cell
from outgrow.shard.client.tensor import wrap
from outgrow.shard.instructions import Template

_aten = torch.ops.aten
_COUNTED = (
    "arange", "arange.start", "arange.start_step", "range", "range.step", "linspace", "logspace", "eye",
    "eye.m", "tril_indices", "triu_indices",
)  # fmt: skip
_COPIED_OUT = (
    "kron.out", "linalg_matrix_rank.out", "linalg_matrix_rank.out_tol_tensor",
    "linalg_matrix_rank.atol_rtol_tensor_out", "linalg_matrix_rank.atol_rtol_float_out",
)  # fmt: skip


@functools.cache
def register_kernels() -> torch.library.Library:
    """Register them with torch, once; they stay for the life of the process."""
    library: Any = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    library.impl("empty.memory_format", _empty, "PrivateUse1")
    library.impl("empty_strided", _empty_strided, "PrivateUse1")
    library.impl("_copy_from", _copy_from, "PrivateUse1")
    for name in _COUNTED:
        packet, _, overload = name.partition(".")
        op = getattr(getattr(_aten, packet), overload or "default")
        library.impl(name, functools.partial(_counted, op), "PrivateUse1")
    for name in ("randperm", "randperm.generator"):
        library.impl(name, _randperm, "PrivateUse1")
    for key in ("PrivateUse1", "AutogradPrivateUse1"):
        library.impl("dropout", _dropout, key)
        library.impl("scaled_dot_product_attention", attention, key)
        library.impl("_thnn_fused_lstm_cell", lambda *args: lstm_cell(None, args, {}), key)
        library.impl("_thnn_fused_gru_cell", lambda *args: gru_cell(None, args, {}), key)
        for name in _COPIED_OUT:
            library.impl(name, functools.partial(_copied_out, _without_out(name)), key)
        library.impl("tensor_split.tensor_indices_or_sections", _tensor_split, key)
    library.impl("_efficientzerotensor", _zeros, "PrivateUse1")
    registered: torch.library.Library = library
    return registered


def _empty(
    size: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: Any = None,
    memory_format: Any = None,
) -> Tensor:
    shape, dtype = tuple(size), dtype or torch.get_default_dtype()
    if memory_format in (None, torch.contiguous_format, torch.preserve_format):
        form = form_of(shape, contiguous_stride(shape), dtype)
    else:
        form = form_of_tensor(torch.empty(shape, dtype=dtype, memory_format=memory_format, device="meta"))
    return wrap(None, form, default_session())


def _empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: Any = None,
) -> Tensor:
    form = form_of(tuple(size), tuple(stride), dtype or torch.get_default_dtype())
    return wrap(None, form, default_session())


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    copy_(None, (target, source), {})
    return target


def _counted(op: Any, *args: Any, dtype: Any = None, **_: Any) -> Tensor:
    """`arange` and others that numbers alone decide: made by the workers, by the same op."""
    session = default_session()
    entries = session.inference.entries
    key = (op, *((type(one), repr(one)) for one in args), dtype, torch.get_default_dtype())
    entry = entries.get(key)
    if entry is None:
        wanted = {} if dtype is None else {"dtype": dtype}
        form = form_of_tensor(op(*args, **wanted, device="meta"))
        template = Template(op=op_name(op), args=args, kwargs=(("dtype", form.dtype),), outputs=(form.meta,))
        entry = session.inference.entry(key, lambda: template, form)
    return wrap(session.emit(entry.index, ())[0], entry.forms[0], session)  # type: ignore[arg-type]


def _randperm(n: int, *, generator: Any = None, dtype: Any = None, **_: Any) -> Tensor:
    return torch.randperm(n, generator=generator, dtype=dtype or torch.int64).to(DEVICE)


def _zeros(size: Any, *, dtype: Any = None, **_: Any) -> Tensor:
    return torch.zeros(size, dtype=dtype, device=DEVICE)


def _without_out(name: str) -> Any:
    """The overload that gives what `out` is given."""
    packet, _, overload = name.partition(".")
    other = {"out": "default", "out_tol_tensor": "tol_tensor"}.get(overload, overload.removesuffix("_out"))
    return getattr(getattr(_aten, packet), other)


def _copied_out(op: Any, *args: Any, out: Tensor, **kwargs: Any) -> Tensor:
    """Torch writes through a tensor that does not look like a view, or not at all: compute, then copy."""
    result = op(*args, **kwargs)
    if out.shape != result.shape:
        out.resize_(result.shape)
    return out.copy_(result)


def _tensor_split(tensor: Tensor, indices: Tensor, dim: int = 0) -> Any:
    """Where to cut must be known here."""
    local = indices.cpu()
    if local.dim() > 1:
        return torch.ops.aten.tensor_split.tensor_indices_or_sections(torch.empty(0), local, dim)
    return tensor.tensor_split(local.tolist(), dim)


def _dropout(data: Tensor, p: float, train: bool) -> Tensor:
    """As torch does it on the CPU, so that the numbers are the same.

    Source: at::native::_dropout_impl.
    """
    if p < 0 or p > 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if p == 0 or not train or data.numel() == 0:
        return data
    if p == 1:
        return data.mul(torch.zeros((), dtype=data.dtype))
    noise = torch.empty_like(data).bernoulli_(1 - p)
    return data * noise.div_(1 - p)
