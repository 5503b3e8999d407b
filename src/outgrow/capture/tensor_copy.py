"""Copies of live tensors, made at once so that nobody can write into them, in memory that is used again.

Fresh memory costs several times as much as the copy itself, since the system must clear its pages first;
shapes come back at every step of a run, so that what one step gives back serves the next.
"""

__all__ = ["CopyMemory", "TensorCopy", "reason_to_refuse"]

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from outgrow.capture.ranked import HeldByRanks
from outgrow.store.header import DTYPES

_STORED = frozenset(DTYPES.values())
# What safetensors has no name for, kept as pairs of real numbers.
_PAIRS = {torch.complex128: torch.float64, torch.complex32: torch.float16}
_PLAIN_DISPATCH = torch._C._disabled_torch_dispatch_impl
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, slots=True, eq=False)
class TensorCopy:
    """What a tensor held when it was seen."""

    dtype: torch.dtype
    """Its dtype."""
    shape: tuple[int, ...]
    """Its shape; of a distributed tensor that of the part that this rank holds."""
    nbytes: int
    """Bytes of its numbers."""
    memory: Any
    """The bytes, `[nbytes]` of uint8 in numpy; None while they are on a device."""
    on_device: tuple[Tensor, Any] | None
    """The copy on its device, and the event after which it is complete."""
    placement: str | None
    """How the ranks hold the whole, where the tensor says so."""
    mesh: dict[str, int]
    """Coordinates of this rank by axis, where the tensor says so."""

    @property
    def stored_dtype(self) -> torch.dtype:
        """As safetensors holds it."""
        return _PAIRS.get(self.dtype, self.dtype)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """As safetensors holds it."""
        return (*self.shape, 2) if self.dtype in _PAIRS else self.shape

    def data(self) -> memoryview:
        """The bytes on the host; waits for a device where they come from one."""
        if self.on_device is None:
            return memoryview(self.memory)
        values, copied = self.on_device
        # A stream of its own: on the model's the copy would wait for all that is queued there, and hold up
        # what comes after.
        with torch.cuda.device(values.device), torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
            copied.wait()
            host = values.cpu()
        return _as_bytes(host).numpy().data


class CopyMemory:
    """Memory for copies that wait to be written: at most `limit_bytes` of it, or one tensor if that is
    larger."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._changed = threading.Condition()
        self._free: dict[int, list[Any]] = {}
        self._free_bytes = 0
        self._used_bytes = 0
        self._is_open = True

    def copy(self, tensor: Tensor) -> TensorCopy | None:
        """Copy `tensor`, for which there is no `reason_to_refuse`; waits for room. None once it is closed."""
        placement, mesh = _describe_placement(tensor)
        plain = _local(tensor)
        nbytes = plain.numel() * plain.dtype.itemsize
        memory, on_device = None, None
        if not self._reserve(nbytes):
            return None
        if plain.is_cuda:
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            values = plain.clone(memory_format=torch.contiguous_format).resolve_conj().resolve_neg()
            copied.record()
            on_device = (values, copied)
        else:
            memory = self._memory(nbytes)
            _fill(memory, plain)
        return TensorCopy(
            dtype=plain.dtype,
            shape=tuple(plain.shape),
            nbytes=nbytes,
            memory=memory,
            on_device=on_device,
            placement=placement,
            mesh=mesh,
        )

    def give_back(self, copy: TensorCopy) -> None:
        """The copy was written, its memory may be used again."""
        with self._changed:
            self._used_bytes -= copy.nbytes
            if copy.memory is not None and self._is_open:
                self._free.setdefault(copy.nbytes, []).append(copy.memory)
                self._free_bytes += copy.nbytes
            self._changed.notify_all()

    def close(self) -> None:
        """Let go of all memory, and of everybody who waits for some."""
        with self._changed:
            self._is_open = False
            self._free.clear()
            self._free_bytes = 0
            self._changed.notify_all()

    def _reserve(self, nbytes: int) -> bool:
        with self._changed:
            while self._is_open and self._used_bytes and self._used_bytes + nbytes > self.limit_bytes:
                self._changed.wait()
            self._used_bytes += nbytes
            return self._is_open

    def _memory(self, nbytes: int) -> Any:
        with self._changed:
            fitting = self._free.get(nbytes)
            if fitting:
                self._free_bytes -= nbytes
                return fitting.pop()
            if self._free_bytes + self._used_bytes > self.limit_bytes:
                self._free.clear()
                self._free_bytes = 0
        return np.empty(nbytes, dtype=np.uint8)


def reason_to_refuse(tensor: Tensor) -> str | None:
    """Why the values of a tensor cannot be copied; None where they can."""
    if nn.parameter.is_lazy(tensor):
        return "it is not initialised yet"
    if tensor.is_meta:
        return "it is on the meta device and has no values"
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return "it is inside a transformation of torch.func, where it has no values of its own"
    if isinstance(tensor, HeldByRanks):
        return None  # each rank's piece is a plain tensor
    if not hasattr(tensor, "to_local") and type(tensor).__torch_dispatch__ != _PLAIN_DISPATCH:
        return f"it is a {type(tensor).__module__}.{type(tensor).__qualname__}, which holds no plain values"
    if tensor.is_quantized:
        return "it is quantized; dequantize it first"
    if tensor.is_nested or tensor.layout != torch.strided:
        return f"its layout is {'nested' if tensor.is_nested else tensor.layout}; make it dense first"
    if tensor.dtype not in _STORED and tensor.dtype not in _PAIRS:
        return f"safetensors files cannot hold {tensor.dtype}"
    if tensor.dtype == getattr(torch, "float4_e2m1fn_x2", None) and not tensor.ndim:
        return "a pair of 4-bit numbers needs a dim of its own"
    return None


def _local(tensor: Tensor) -> Tensor:
    plain = tensor.detach()
    to_local = getattr(plain, "to_local", None)
    if to_local is not None:
        plain = to_local()
        wait = getattr(plain, "wait", None)  # a collective may still be under way
        plain = plain.detach() if wait is None else wait().detach()
    with torch._C.DisableTorchFunctionSubclass():
        return plain.as_subclass(Tensor)


def _fill(memory: Any, plain: Tensor) -> None:
    if not plain.numel():
        return
    # A tensor made here and now: one made under inference_mode could not be written to without it.
    target = torch.from_numpy(memory)
    if plain.is_complex() or plain.is_neg():
        target.view(plain.dtype).view(plain.shape).copy_(plain)
    else:
        # As bits, since torch cannot copy all of the small dtypes.
        bits = _BITS[plain.dtype.itemsize]
        target.view(bits).view(plain.shape).copy_(plain.view(bits))


def _as_bytes(plain: Tensor) -> Tensor:
    # One element is contiguous whatever its stride, but only one of stride 1 can be viewed as bytes.
    return plain.as_strided((plain.numel(),), (1,)).view(torch.uint8)


def _describe_placement(tensor: Tensor) -> tuple[str | None, dict[str, int]]:
    """By what a distributed tensor says of itself, whoever made it."""
    placements = getattr(tensor, "placements", None)
    if not isinstance(placements, tuple | list) or not hasattr(tensor, "to_local"):
        return None, {}
    mesh: Any = getattr(tensor, "device_mesh", None)
    coordinates = mesh.get_coordinate() if hasattr(mesh, "get_coordinate") else None
    names = getattr(mesh, "mesh_dim_names", None) or [str(axis) for axis in range(len(placements))]
    where = dict(zip(names, map(int, coordinates), strict=False)) if coordinates is not None else {}
    return ", ".join(map(_placement_text, placements)), where


def _placement_text(placement: Any) -> str:
    kind = type(placement).__name__.removeprefix("_")
    if hasattr(placement, "dim"):
        return f"{kind}({placement.dim})"
    return f"{kind}({getattr(placement, 'reduce_op', '')})"
