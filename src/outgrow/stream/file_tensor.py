"""A tensor that knows where its bytes lie in files and holds none of them.

transformers renames, merges, splits and casts weights while it loads a checkpoint, differently for each
family. Instead of repeating its rules, the weights are handed to it as `FileTensor`: every operation of its
loading code then moves pieces of files about instead of bytes, and what comes out at the end says where the
model's weights lie. An operation whose result is not made of whole runs of bytes leaves its name behind in
`refusal`.
"""

__all__ = ["MAX_SEGMENTS", "FileTensor"]

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from outgrow.stream.source import Segment, WeightSource, cut, join, read_rows

MAX_SEGMENTS = 4096
"""Most runs of bytes that one weight may be scattered over, unless they are long."""
LONG_SEGMENT_BYTES = 65_536
"""Runs of this length on average cost a disk little more than one run, however many there are."""

_aten = torch.ops.aten


class FileTensor(Tensor):
    """A tensor by its place in files: shape and dtype are real, values are not there.

    It claims to be on the CPU, so that code which places tensors takes it for a loaded one. Operations that
    copy, cast, join, split or reorder return another FileTensor; any other one returns a FileTensor with
    `refusal` set.
    """

    stored: torch.dtype
    """Dtype in the files; `dtype` is what it is cast to after reading."""
    segments: tuple[Segment, ...]
    """Runs of bytes that make up the stored tensor, in row-major order."""
    losses: list[str]
    """The operations that made it something else than runs of bytes; one list for all views of a tensor."""

    @staticmethod
    def __new__(
        cls: "type[FileTensor]",
        shape: Sequence[int],
        dtype: torch.dtype,
        *,
        stored: torch.dtype,
        segments: tuple[Segment, ...] = (),
        losses: list[str] | None = None,
    ) -> "FileTensor":
        """A tensor of `shape` and `dtype` whose bytes are `segments`, in dtype `stored`."""
        make: Callable[..., FileTensor] = torch.Tensor._make_wrapper_subclass
        tensor = make(cls, tuple(shape), dtype=dtype, device="cpu", requires_grad=False)
        tensor.stored = stored
        tensor.segments = segments
        tensor.losses = [] if losses is None else losses
        return tensor

    def __init__(self, *_args: object, **_options: object) -> None:
        # Tensor's own initialiser takes no arguments; everything is done in __new__.
        super().__init__()

    @property
    def refusal(self) -> str | None:
        """The first operation that made it something else than runs of bytes; None where it is only that."""
        return self.losses[0] if self.losses else None

    def __repr__(self, **_options: object) -> str:  # type: ignore[override]
        """Name what it is; there are no values to print."""
        runs = self.refusal or f"{len(self.segments)} segments"
        return f"FileTensor({list(self.shape)}, {self.dtype}, stored {self.stored}, {runs})"

    @classmethod
    def of(cls, source: WeightSource) -> "FileTensor":
        """The tensor that `source` describes."""
        return cls(source.shape, source.dtype, stored=source.dtype, segments=source.segments)

    def source(self, name: str) -> WeightSource:
        """Where the stored bytes of this tensor lie, as the weight `name`. There must be no refusal."""
        return WeightSource(name=name, shape=tuple(self.shape), dtype=self.stored, segments=self.segments)

    def read(self) -> Tensor:
        """The values, read now and cast to `dtype`. There must be no refusal."""
        source = self.source("")
        return read_rows(source, 0, None).to(self.dtype)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        handler = _HANDLERS.get(func)
        result = NotImplemented if handler is None else handler(*args, **(kwargs or {}))
        return _refuse(func, args, kwargs or {}) if result is NotImplemented else result

    # Without this, every operation would wrap its result in this class a second time.
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]


def _derived(
    tensor: FileTensor, shape: Sequence[int], segments: tuple[Segment, ...] | None = None
) -> FileTensor:
    """A view of `tensor` in another shape, of other segments where given; what spoils one spoils the
    other."""
    return FileTensor(
        shape,
        tensor.dtype,
        stored=tensor.stored,
        segments=tensor.segments if segments is None else segments,
        losses=tensor.losses,
    )


def _refuse(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of `func` in shape and dtype alone, marked with the operation's name."""
    name = func.overloadpacket.__name__
    given = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, FileTensor)]
    if func._schema.is_mutable:
        # In place: the tensor is no longer what the files hold.
        for tensor in given[:1]:
            tensor.losses.append(name)
        return args[0]
    losses = [*(tensor.refusal for tensor in given if tensor.refusal), name]
    on_meta = tree_map_only(
        Tensor, _to_meta, (args, {**kwargs, "device": "meta"} if "device" in kwargs else kwargs)
    )
    return tree_map_only(
        Tensor,
        lambda result: FileTensor(result.shape, result.dtype, stored=result.dtype, losses=losses[:1]),
        func(*on_meta[0], **on_meta[1]),
    )


def _to_meta(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")


def _same(tensor: FileTensor, *_args: object, **_options: object) -> FileTensor:
    return _derived(tensor, tensor.shape)


def _copy(tensor: FileTensor, *_args: object, **_options: object) -> FileTensor:
    return FileTensor(
        tensor.shape, tensor.dtype, stored=tensor.stored, segments=tensor.segments, losses=[*tensor.losses]
    )


def _cast(tensor: FileTensor, *, dtype: torch.dtype | None = None, **_options: object) -> Any:
    if dtype is None or dtype == tensor.dtype:
        return _copy(tensor)
    if tensor.dtype != tensor.stored:
        # Two casts in a row round twice; a single cast after reading would give other bits.
        return NotImplemented
    return FileTensor(
        tensor.shape, dtype, stored=tensor.stored, segments=tensor.segments, losses=[*tensor.losses]
    )


def _view(tensor: FileTensor, shape: Sequence[int]) -> FileTensor:
    return _derived(tensor, _to_meta(tensor).reshape(shape).shape)


def _unsqueeze(tensor: FileTensor, dim: int) -> FileTensor:
    return _derived(tensor, _to_meta(tensor).unsqueeze(dim).shape)


def _squeeze(tensor: FileTensor, *dims: Any) -> FileTensor:
    return _derived(tensor, _to_meta(tensor).squeeze(*dims).shape)


def _cat(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    if not all(isinstance(tensor, FileTensor) for tensor in tensors):
        return NotImplemented
    files: list[FileTensor] = [tensor for tensor in tensors if isinstance(tensor, FileTensor)]
    first = files[0]
    if len({(tensor.dtype, tensor.stored) for tensor in files}) > 1:
        return NotImplemented
    # On meta torch checks the shapes and raises its own error where they do not fit.
    shape = torch.cat([_to_meta(tensor) for tensor in files], dim).shape
    dim %= len(shape)
    losses = [tensor.refusal for tensor in files if tensor.refusal]
    if losses:
        return FileTensor(shape, first.dtype, stored=first.stored, losses=losses)
    outer = math.prod(shape[:dim])
    if _is_scattered(outer * len(files), math.prod(shape) * first.stored.itemsize):
        return NotImplemented
    steps = [math.prod(tensor.shape[dim:]) * tensor.stored.itemsize for tensor in files]
    pieces = [
        cut(tensor.segments, row * step, (row + 1) * step)
        for row in range(outer)
        for tensor, step in zip(files, steps, strict=True)
    ]
    return FileTensor(shape, first.dtype, stored=first.stored, segments=join(pieces))


def _stack(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    if not all(isinstance(tensor, FileTensor) for tensor in tensors):
        return NotImplemented
    return _cat([_unsqueeze(tensor, dim) for tensor in tensors if isinstance(tensor, FileTensor)], dim)


def _slice(
    tensor: FileTensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    dim %= tensor.dim()
    first, last, _ = slice(start, end).indices(tensor.shape[dim])
    if step != 1:
        return NotImplemented
    last = max(first, last)
    shape = (*tensor.shape[:dim], last - first, *tensor.shape[dim + 1 :])
    outer, inner = math.prod(tensor.shape[:dim]), math.prod(tensor.shape[dim + 1 :]) * tensor.stored.itemsize
    if _is_scattered(outer, math.prod(shape) * tensor.stored.itemsize):
        return NotImplemented
    row = tensor.shape[dim] * inner
    pieces = [cut(tensor.segments, i * row + first * inner, i * row + last * inner) for i in range(outer)]
    return _derived(tensor, shape, join(pieces))


def _select(tensor: FileTensor, dim: int, index: int) -> Any:
    index %= tensor.shape[dim]
    piece = _slice(tensor, dim, index, index + 1)
    return piece if piece is NotImplemented else _squeeze(piece, dim)


def _split_sizes(tensor: FileTensor, sizes: Sequence[int], dim: int = 0) -> Any:
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    pieces = [_slice(tensor, dim, end - size, end) for size, end in zip(sizes, ends, strict=True)]
    return NotImplemented if NotImplemented in pieces else pieces


def _split(tensor: FileTensor, size: int, dim: int = 0) -> Any:
    total = tensor.shape[dim]
    return _split_sizes(tensor, [min(size, total - start) for start in range(0, total, size)] or [0], dim)


def _unbind(tensor: FileTensor, dim: int = 0) -> Any:
    pieces = [_select(tensor, dim, index) for index in range(tensor.shape[dim])]
    return NotImplemented if NotImplemented in pieces else pieces


def _permute(tensor: FileTensor, dims: Sequence[int]) -> Any:
    order = [dim % tensor.dim() for dim in dims]
    shape = [tensor.shape[dim] for dim in order]
    moved = max((i + 1 for i, dim in enumerate(order) if i != dim), default=0)
    run = math.prod(tensor.shape[moved:]) * tensor.stored.itemsize
    count = math.prod(shape[:moved])
    if _is_scattered(count, count * run):
        return NotImplemented
    # The numbers of the runs, permuted as the runs are.
    numbers = torch.arange(count, device="cpu").reshape(tensor.shape[:moved]).permute(order[:moved]).flatten()
    return _derived(
        tensor, shape, join([cut(tensor.segments, i * run, (i + 1) * run) for i in numbers.tolist()])
    )


def _transpose(tensor: FileTensor, dim0: int, dim1: int) -> Any:
    order = list(range(tensor.dim()))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return _permute(tensor, order)


def _t(tensor: FileTensor) -> Any:
    return _same(tensor) if tensor.dim() < 2 else _transpose(tensor, 0, 1)


def _pad(tensor: FileTensor, pad: Sequence[int], _value: float = 0) -> Any:
    return NotImplemented if any(pad) else _copy(tensor)


def _equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have equal values, read in pieces of a few MB; stops at the first difference."""
    if not isinstance(one, FileTensor) or not isinstance(other, FileTensor) or one.refusal or other.refusal:
        return False
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.segments == other.segments and one.stored == other.stored:
        return True
    sources = [tensor.source("") for tensor in (one, other)]
    rows = one.shape[0] if one.dim() else 1
    step = max(1, rows * 4_000_000 // max(1, *(source.nbytes for source in sources)))
    return all(
        torch.equal(*(read_rows(source, row, min(rows, row + step)).to(one.dtype) for source in sources))
        for row in range(0, rows, step)
    )


def _is_scattered(count: int, nbytes: int) -> bool:
    return count > MAX_SEGMENTS and nbytes < count * LONG_SEGMENT_BYTES


_HANDLERS: dict[Any, Callable[..., Any]] = {
    _aten.detach.default: _same,
    _aten.alias.default: _same,
    _aten.clone.default: _copy,
    _aten.lift_fresh.default: _same,
    _aten._to_copy.default: _cast,
    _aten.view.default: _view,
    _aten._unsafe_view.default: _view,
    _aten.unsqueeze.default: _unsqueeze,
    _aten.squeeze.default: _squeeze,
    _aten.squeeze.dim: _squeeze,
    _aten.squeeze.dims: _squeeze,
    _aten.cat.default: _cat,
    _aten.stack.default: _stack,
    _aten.slice.Tensor: _slice,
    _aten.select.int: _select,
    _aten.split.Tensor: _split,
    _aten.split_with_sizes.default: _split_sizes,
    _aten.unbind.int: _unbind,
    _aten.permute.default: _permute,
    _aten.transpose.int: _transpose,
    _aten.t.default: _t,
    _aten.constant_pad_nd.default: _pad,
    _aten.equal.default: _equal,
}
