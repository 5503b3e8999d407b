"""Page-aligned memory to read into, which really goes back to the system when it is closed."""

__all__ = ["Slab"]

import errno
import mmap
import weakref
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from outgrow.errors import DeviceError, InputError
from outgrow.quantities import format_bytes


class Slab:
    """Page-aligned anonymous memory, one mapping, as bytes and as a tensor.

    Unlike memory from torch's allocator it is aligned for O_DIRECT, holds exactly the bytes it says, is
    counted as RssAnon, and is given back at once by `close`, whoever still holds a view.

    Pages become resident when they are first written, except with `pinned`, where all of them are from the
    start.
    """

    nbytes: int
    """Size in bytes: what was asked for, rounded up to a whole number of pages."""
    is_pinned: bool
    """Whether the memory is page-locked for CUDA, so that copies to a GPU run asynchronously."""

    def __init__(self, nbytes: int, *, pinned: bool = False) -> None:
        """Map at least `nbytes` (> 0) bytes; with `pinned`, register them with CUDA.

        Raises:
            InputError: `nbytes` is not above zero.
            DeviceError: the system has not that much address space or memory, or pinning failed; nothing
            stays mapped.
        """
        if nbytes <= 0:
            raise InputError(
                f"a slab needs more than zero bytes, not {nbytes}", hint="ask for one byte at least"
            )
        self.nbytes = -(-nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self.is_pinned = False
        self._mapping: mmap.mmap | None = _map_anonymous(self.nbytes)
        self._view: memoryview | None = memoryview(self._mapping)
        self._tensor: Tensor | None = torch.frombuffer(self._view, dtype=torch.uint8)
        self._unpin: weakref.finalize[[int], Slab] | None = None
        if pinned:
            try:
                _pin(self._tensor)
            except DeviceError:
                self.close()
                raise
            # Registered memory must be unregistered before it is unmapped, also where nobody calls close().
            self._unpin = weakref.finalize(self, _unpin, self._tensor.data_ptr())
            self._unpin.atexit = False  # by then CUDA may be gone, and the process takes the memory with it
            self.is_pinned = True

    @property
    def tensor(self) -> Tensor:
        """All bytes, shape `[nbytes]`, uint8, sharing memory. Views read zeros once the slab is closed."""
        if self._tensor is None:
            raise DeviceError("this slab is closed", hint="make a new Slab, or close it after its last use")
        return self._tensor

    @property
    def view(self) -> memoryview:
        """All bytes, writable; shares memory."""
        if self._view is None:
            raise DeviceError("this slab is closed", hint="make a new Slab, or close it after its last use")
        return self._view

    @property
    def is_closed(self) -> bool:
        """Whether the memory was given back."""
        return self._mapping is None

    def close(self) -> None:
        """Give the memory back. No copy from or to it may be under way; calling it again does nothing."""
        if self._mapping is None:
            return
        if self._unpin is not None:
            self._unpin()
            self.is_pinned = False
        mapping = self._mapping
        self._mapping = self._view = self._tensor = None
        # Not mapping.close(): torch holds the memoryview but no export of it, so that the mapping would go
        # while tensors still point into it. The pages go at once; such a tensor then reads zeros, and the
        # address space follows when the last one dies.
        if hasattr(mapping, "madvise") and hasattr(mmap, "MADV_DONTNEED"):
            mapping.madvise(mmap.MADV_DONTNEED)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "pinned" if self.is_pinned else "pageable"
        return f"<Slab {format_bytes(self.nbytes)} {state}>"


def _map_anonymous(nbytes: int) -> mmap.mmap:
    try:
        if hasattr(mmap, "MAP_PRIVATE"):
            # Private: shared anonymous memory counts as shmem, and madvise would not free it.
            return mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        return mmap.mmap(-1, nbytes)
    except (OSError, OverflowError, ValueError) as err:
        if isinstance(err, OSError) and err.errno not in (errno.ENOMEM, errno.EINVAL, errno.EAGAIN):
            raise
        raise DeviceError(
            f"the system has no {format_bytes(nbytes)} of memory to map", hint="ask for a smaller budget"
        ) from err


def _pin(tensor: Tensor) -> None:
    if not torch.cuda.is_available():
        raise DeviceError(
            "pinned memory needs a CUDA device and there is none",
            hint="`outgrow doctor` shows what torch sees; without a GPU use pageable memory",
        )
    torch.cuda.init()  # type: ignore[no-untyped-call]
    runtime = torch.cuda.cudart()  # type: ignore[no-untyped-call]
    code = int(runtime.cudaHostRegister(tensor.data_ptr(), tensor.numel(), 0))
    if code != 0:
        raise DeviceError(
            f"CUDA could not pin {format_bytes(tensor.numel())} of memory (error {code})",
            hint="raise `ulimit -l`, or give the container more locked memory, or use a smaller window",
        )


def _unpin(address: int) -> None:
    torch.cuda.cudart().cudaHostUnregister(address)  # type: ignore[no-untyped-call]
