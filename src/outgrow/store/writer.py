"""Writes safetensors files so that a name never stands for half a file."""

__all__ = [
    "TensorSpec",
    "make_directory",
    "make_private_directory",
    "replacing",
    "sync_directory",
    "write_json",
    "write_safetensors",
]

import contextlib
import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import torch
from torch import Tensor

from outgrow.cache import cache_directory
from outgrow.errors import InputError, StoreError, hint_for
from outgrow.events import Listener, Progress, ignore
from outgrow.interrupts import let_interrupts_through
from outgrow.quantities import format_bytes
from outgrow.store.header import encode_header

TensorSpec = tuple[str, tuple[int, ...], torch.dtype, Callable[[], Tensor]]
"""A tensor that is not there yet: name, shape, dtype, and what makes it when its turn has come."""

# Small enough that Ctrl-C is answered at once and progress moves, large enough to cost nothing.
_PART_BYTES = 2**25


def write_safetensors(
    path: Path | str,
    tensors: Mapping[str, Tensor] | Iterable[TensorSpec],
    metadata: Mapping[str, str] | None = None,
    listener: Listener = ignore,
) -> None:
    """Write one safetensors file, one tensor at a time; `path` appears complete or not at all.

    The data begins at a whole page, so that a direct reader can read it in place. Tensors lie in the order
    given, but those first whose bytes are a multiple of 64 and those last whose are an odd number, so that
    all are aligned. The file is readable by its owner alone (0600), as is a directory made for it (0700).
    `listener` hears `Progress` in bytes.

    A failure or Ctrl-C leaves neither the file nor a temporary one; a file that was at `path` before stays as
    it was.

    Raises:
        InputError: a name twice, a dtype that safetensors has not, a tensor without data, or one that is not
            what its spec says.
        StoreError: the disk is full or cannot be written.
    """
    path = Path(path)
    if isinstance(tensors, Mapping):
        specs = [(name, tuple(tensor.shape), tensor.dtype, _same(tensor)) for name, tensor in tensors.items()]
    else:
        specs = [(name, tuple(shape), dtype, make) for name, shape, dtype, make in tensors]
    specs.sort(key=lambda spec: -_alignment(spec[1], spec[2]))
    header, places = encode_header(((name, shape, dtype) for name, shape, dtype, _ in specs), metadata)
    total = sum(nbytes for _, nbytes in places.values())
    make_private_directory(path.parent)
    with replacing(path, len(header) + total) as file:
        _write_all(file, memoryview(header))
        done = 0
        for name, shape, dtype, make in specs:
            data = _bytes_of(name, make(), shape, dtype)
            for start in range(0, data.nbytes, _PART_BYTES):
                let_interrupts_through()
                listener(Progress(task="writing", done=done, total=total, item=name))
                part = data[start : start + _PART_BYTES]
                _write_all(file, part)
                done += part.nbytes
        listener(Progress(task="writing", done=done, total=total))


def write_json(path: Path, content: object) -> None:
    """Write `content` as a JSON file that appears complete or not at all, for its owner alone (0600).

    Raises:
        StoreError: it cannot be written.
    """
    text = (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
    make_private_directory(path.parent)
    with replacing(path, len(text)) as file:
        _write_all(file, memoryview(text))


def make_private_directory(path: Path) -> None:
    """Make `path` and its missing parents, each for its owner alone (0700); what is there stays as it is.

    Raises:
        StoreError: it cannot be made, or is not a directory.
    """
    _make(path, 0o700)


def make_directory(path: Path) -> None:
    """Make `path` and its missing parents, as anybody's may be that the user named.

    Raises:
        StoreError: it cannot be made, or is not a directory.
    """
    _make(path, 0o777)


def _make(path: Path, mode: int) -> None:
    try:
        missing = [part for part in (path, *path.parents) if not part.exists()]
        for part in reversed(missing):
            part.mkdir(mode=mode, exist_ok=True)
    except OSError as err:
        raise StoreError(
            f"cannot make the directory {str(path)!r}: {err.strerror or err}",
            hint=_what_helps(path, err),
        ) from err
    if not path.is_dir():
        raise StoreError(
            f"{str(path)!r} is in the way: it is not a directory",
            hint="remove it, or choose another path",
        )


def _what_helps(path: Path, err: OSError) -> str:
    # Its parents would have been made: there are places, such as /proc, where nothing can be.
    hint = "nothing can be made there: choose another place" if err.errno == errno.ENOENT else hint_for(err)
    try:
        is_cache = path.absolute().is_relative_to(cache_directory().absolute())
    except InputError:  # nobody knows where it would be
        is_cache = False
    return f"{hint}; OUTGROW_CACHE says where the cache is" if is_cache else hint


def _same(tensor: Tensor) -> Callable[[], Tensor]:
    return lambda: tensor


def _bytes_of(name: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> memoryview:
    if tuple(tensor.shape) != shape or tensor.dtype != dtype:
        raise InputError(
            f"tensor {name!r} should be {dtype} of {shape} but is {tensor.dtype} of {tuple(tensor.shape)}",
            hint="give each tensor as its TensorSpec says, or write the spec anew",
        )
    if tensor.layout != torch.strided or tensor.is_meta:
        kind = "on the meta device" if tensor.is_meta else f"of layout {tensor.layout}"
        raise InputError(
            f"tensor {name!r} is {kind} and has no bytes to write",
            hint="give to_dense() of a sparse tensor, and real memory instead of a meta one",
        )
    plain = tensor.detach().resolve_conj().resolve_neg().to("cpu").contiguous()
    # One element is contiguous whatever its stride, but only one of stride 1 can be viewed as bytes.
    return plain.as_strided((plain.numel(),), (1,)).view(torch.uint8).numpy().data


@contextmanager
def replacing(path: Path, nbytes: int) -> Iterator[FileIO]:
    """A temporary file beside `path` that takes its place when the block ends well, and else is removed.

    The file is its owner's alone (0600) and on the disk before it is renamed.

    Raises:
        StoreError: fewer than `nbytes` are free, or the directory cannot be written.
    """
    temporary: Path | None = None
    try:
        free = shutil.disk_usage(path.parent).free
        if free < nbytes:
            raise _disk_full(path, nbytes, free)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        temporary = Path(name)
        with FileIO(descriptor, "wb") as file:
            yield file
            os.fsync(file.fileno())
        temporary.replace(path)
        temporary = None
        sync_directory(path.parent)
    except OSError as err:
        if err.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(path, nbytes, shutil.disk_usage(path.parent).free) from err
        raise StoreError(
            f"cannot write {str(path)!r}: {err.strerror or err}", hint="is the directory writable?"
        ) from err
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()


def _alignment(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    """What the bytes of a tensor are a multiple of, at most 64. Written in falling order of it, every tensor
    begins at a multiple of its own, as readers and kernels like it."""
    if dtype.itemsize == 1:
        return 1  # anything goes, and bytes may well be parts of something that is read in order
    nbytes = math.prod(shape) * dtype.itemsize
    return min(nbytes & -nbytes, 64) if nbytes else 64


def _write_all(file: FileIO, data: memoryview) -> None:
    while data.nbytes:
        data = data[file.write(data) :]


def sync_directory(path: Path) -> None:
    """Make sure that names put into the directory survive a power cut."""
    # Windows cannot open a directory; its rename is durable by itself.
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _disk_full(path: Path, nbytes: int, free: int) -> StoreError:
    return StoreError(
        f"no space for {str(path)!r}: it needs {format_bytes(nbytes)} and {format_bytes(free)} are free",
        hint="free some space or choose another directory",
    )
