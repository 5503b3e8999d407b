"""A tensor that lives on the workers: torch's autograd, modules and optimizers run above it, unchanged."""

__all__ = ["WorkersTensor", "alias", "become", "fetched", "read", "send", "view_of", "wrap", "write"]

from typing import Any

import torch
from torch import Tensor

from outgrow.errors import InputError
from outgrow.shard.client.device import DEVICE, DEVICE_TYPE
from outgrow.shard.client.forms import Form, form_of_tensor
from outgrow.shard.client.pieces import fetch_pieces
from outgrow.shard.client.printing import as_text
from outgrow.shard.client.session import Session
from outgrow.shard.client.storage import CellStorage, address
from outgrow.shard.client.values import Cell, Link, Value, View
from outgrow.shard.client.views import regenerate, settle
from outgrow.shard.instructions import TensorMeta

_make = Tensor._make_wrapper_subclass
_MOST_DIMS = 64
_set_data = Tensor.data.__set__  # type: ignore[attr-defined]
_get_data = Tensor.data.__get__  # type: ignore[attr-defined]


class WorkersTensor(Tensor):
    """Has a shape, strides and a dtype; its elements are with the workers."""

    _cell: Cell
    _view: View | None = None

    # What ops mean is decided below autograd; above it, torch's own code sees an ordinary tensor.
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @property
    def _form(self) -> Form:
        return self._cell.form if self._view is None else self._view.form

    @property
    def _meta(self) -> TensorMeta:
        return self._form.meta

    @property
    def _session(self) -> Session:
        session: Session = self._cell.session
        return session

    def _read_value(self) -> Value:
        """The value that it is now."""
        return read(self)

    def rank_pieces(self) -> list[tuple[int, str, Tensor]]:
        """What each rank holds of it, as recordings want it; see `fetch_pieces`."""
        return fetch_pieces(self)

    @property
    def data(self) -> Any:
        """The same numbers, unknown to autograd. Assigning lets the tensor share another one's storage."""
        return _get_data(self)

    @data.setter
    def data(self, other: Any) -> None:
        if not isinstance(other, WorkersTensor):
            raise InputError(
                f"a tensor on {getattr(other, 'device', type(other).__name__)} cannot be the data of one on"
                f" {DEVICE_TYPE}",
                hint=f"move it there first with .to({DEVICE_TYPE!r})",
            )
        become(self, other)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return as_text(self, fetched(self))

    def __format__(self, format_spec: str) -> str:
        return self.item().__format__(format_spec) if self.dim() == 0 else super().__format__(format_spec)  # type: ignore[no-untyped-call]

    def numpy(self, *, force: bool = False) -> Any:
        """As of any tensor that is not in this process: refused, unless `force` is given."""
        if force:
            return self.detach().cpu().numpy()
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to"
            " host memory first."
        )

    def tolist(self) -> Any:
        """Nested lists of Python numbers; waits."""
        return self.detach().cpu().tolist()

    def untyped_storage(self) -> Any:
        """What says which tensors share a storage; see `CellStorage`."""
        return CellStorage(self._cell, self.device)

    def data_ptr(self) -> int:
        """A number that tells storages apart; nothing can be read there."""
        return address(self._cell) + int(self.storage_offset()) * self.dtype.itemsize

    def share_memory_(self) -> Any:
        """Refused: the numbers are in no memory of this process."""
        raise InputError(
            f"a tensor on {DEVICE_TYPE} cannot be shared with other processes",
            hint="share tensor.cpu() instead",
        )

    def __dlpack__(self, **_: Any) -> Any:
        raise BufferError(f"a tensor on {self.device} has no memory here; use tensor.cpu()")

    def __reduce_ex__(self, protocol: Any) -> Any:
        from outgrow.shard.client.saving import reduce_tensor

        return reduce_tensor(self, protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        from outgrow.shard.client.saving import deep_copy

        return deep_copy(self, memo)

    def __copy__(self) -> Any:
        from outgrow.shard.client.saving import shallow_copy

        return shallow_copy(self)

    def __tensor_flatten__(self) -> Any:
        raise InputError(
            "tensors on workers cannot be traced by torch.compile or torch.export",
            hint="call the module itself: repeated steps are compiled by the workers",
        )


def wrap(value: Value | None, form: Form, session: Session) -> WorkersTensor:
    """A tensor of its own storage; of zeros where there is no value yet."""
    tensor: WorkersTensor = _make(WorkersTensor, form.shape, form.stride, dtype=form.dtype, device=DEVICE)
    tensor._cell = Cell(session, form, value)
    return tensor


def view_of(source: WorkersTensor, link: Link, form: Form, offset: int, value: Value) -> WorkersTensor:
    """A tensor that shares the storage of another. `offset` is that of the storage, in elements of `form`."""
    tensor: WorkersTensor = _make(
        WorkersTensor, form.shape, form.stride, storage_offset=offset, dtype=form.dtype, device=DEVICE
    )
    cell, before = source._cell, source._view
    tensor._cell = cell
    tensor._view = View(
        (link,) if before is None else (*before.chain, link), form, offset, value, cell.version
    )
    return tensor


def alias(source: WorkersTensor) -> WorkersTensor:
    """Another tensor with the same storage, cut in the same way."""
    form = source._form
    tensor: WorkersTensor = _make(
        WorkersTensor,
        form.shape,
        form.stride,
        storage_offset=0 if source._view is None else source._view.offset,
        dtype=form.dtype,
        device=DEVICE,
    )
    tensor._cell = source._cell
    view = source._view
    if view is not None:
        tensor._view = View(view.chain, form, view.offset, view.value, view.version)
    return tensor


def become(tensor: WorkersTensor, other: WorkersTensor) -> None:
    """Let a tensor be another one from now on, shape, strides and storage; who holds it sees the change."""
    _set_data(tensor, other)
    tensor._cell = other._cell
    view = other._view
    tensor._view = (
        None if view is None else View(view.chain, view.form, view.offset, view.value, view.version)
    )


def read(tensor: WorkersTensor) -> Value:
    """The value that a tensor is now; an instruction where its storage was written through another tensor."""
    view, cell = tensor._view, tensor._cell
    if view is None:
        return cell.value or settle(cell)
    if view.version != cell.version:
        overlay = cell.overlay
        view.value = (
            overlay.value if overlay is not None and overlay.chain == view.chain else regenerate(cell, view)
        )
        view.version = cell.version
    return view.value


def write(tensor: WorkersTensor, value: Value) -> None:
    """The tensor's new contents; through its storage, every tensor that shares it sees them."""
    view, cell = tensor._view, tensor._cell
    if view is None:
        cell.value, cell.overlay, cell.under = value, None, None
        cell.version += 1
        return
    if cell.overlay is None or cell.overlay.chain != view.chain:
        cell.under = cell.value if cell.value is not None or cell.overlay is None else settle(cell)
    cell.version += 1
    view.value, view.version = value, cell.version
    cell.overlay, cell.value = View(view.chain, view.form, view.offset, value, cell.version), None


def send(tensor: Tensor, session: Session) -> WorkersTensor:
    """A CPU tensor's contents as a tensor of the session, with the strides that torch's `clone` gives."""
    if tensor.layout is not torch.strided or tensor.is_nested or tensor.is_quantized:
        kind = "nested" if tensor.is_nested else "quantized" if tensor.is_quantized else f"{tensor.layout}"
        raise InputError(
            f"a {kind} tensor cannot be sent to the workers: they hold dense tensors only",
            hint="make it dense first, for example with .to_dense() or .dequantize()",
        )
    if tensor.dim() > _MOST_DIMS:
        raise InputError(
            f"a tensor of {tensor.dim()} dims cannot be sent to the workers: they hold up to {_MOST_DIMS}",
            hint="flatten some of them first",
        )
    tensor = tensor.detach()
    if not tensor.is_contiguous():
        form = form_of_tensor(torch.empty_like(tensor, device="meta"))
    else:
        form = form_of_tensor(tensor)
    return wrap(session.put(tensor), form, session)


def fetched(tensor: WorkersTensor) -> Tensor:
    """Its contents as a CPU tensor, with its strides where it is dense; waits."""
    return tensor._session.fetch(read(tensor), form=tensor._form)
