"""How fast bytes move here, from disk to memory and on to a GPU. Probes, not promises: disks drift."""

__all__ = [
    "BandwidthSample",
    "ReadMode",
    "probe_copy_bandwidth",
    "probe_read_bandwidth",
    "supports_direct_reads",
]

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from outgrow.devices.staging import Slab
from outgrow.errors import DeviceError, InputError, hint_for
from outgrow.quantities import format_bytes, format_rate

ReadMode = Literal["direct", "buffered"]

_BLOCK_BYTES = 4 << 20
_REFUSED = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthSample:
    """How long it took to move some bytes, once."""

    bytes: int
    """Bytes moved."""
    seconds: float
    """Wall time, above zero."""
    mode: str
    """`direct` and `buffered` reads from disk; `pinned` and `pageable` copies to a GPU."""

    @property
    def bytes_per_second(self) -> float:
        """The bandwidth."""
        return self.bytes / self.seconds

    def __str__(self) -> str:
        return f"{format_rate(self.bytes_per_second)} ({self.mode}, {format_bytes(self.bytes)})"


def probe_read_bandwidth(
    path: Path,
    *,
    mode: ReadMode = "direct",
    nbytes: int = 256 << 20,
    num_threads: int = 2,
    is_cold: bool = True,
) -> BandwidthSample:
    """Read up to `nbytes` bytes from a file, or from a temporary one in a directory, with several threads.

    The temporary file has no name while it is read, so that nothing stays behind whatever happens. With
    `is_cold` the file's pages are dropped from the page cache first, which the kernel does for clean pages
    only.

    Raises:
        InputError: the path is missing or empty, or a number is not above zero.
        DeviceError: the file system refuses direct reads, or there is no room for the temporary file.
    """
    if nbytes < _BLOCK_BYTES or num_threads < 1:
        raise InputError(
            f"a probe needs at least {format_bytes(_BLOCK_BYTES)} and one thread",
            hint="ask for more bytes, and for one thread or more",
        )
    with _opened(path, mode, nbytes) as (descriptor, size):
        num_blocks = size // _BLOCK_BYTES
        if num_blocks == 0:
            raise InputError(
                f"{path} has {size} bytes; a probe needs {_BLOCK_BYTES}", hint="give its directory instead"
            )
        if is_cold and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        # Without positioned reads the threads would move one another's place in the file.
        workers = min(num_threads, num_blocks) if hasattr(os, "preadv") else 1
        shares = [range(first, num_blocks, workers) for first in range(workers)]
        with Slab(workers * _BLOCK_BYTES) as slab, ThreadPoolExecutor(workers) as pool:
            slab.tensor.zero_()  # page faults are not the disk's
            blocks = [slab.view[n * _BLOCK_BYTES : (n + 1) * _BLOCK_BYTES] for n in range(workers)]
            started = time.perf_counter()
            done = list(pool.map(lambda share, into: _read_share(descriptor, share, into), shares, blocks))
            seconds = time.perf_counter() - started
    return BandwidthSample(bytes=sum(done), seconds=max(seconds, 1e-9), mode=mode)


def supports_direct_reads(path: Path) -> bool:
    """Whether the file system of a file or directory takes O_DIRECT; tries it on a block and leaves nothing
    behind.

    Raises:
        InputError: the path is missing.
        DeviceError: the directory cannot be written to, so that nothing can be tried.
    """
    if not hasattr(os, "O_DIRECT"):
        return False
    try:
        with _opened(path, "direct", 1 << 16) as (descriptor, _), Slab(1 << 16) as slab:
            os.preadv(descriptor, [slab.view], 0)
    except DirectReadsRefused:
        return False
    except OSError as err:
        if err.errno in _REFUSED:
            return False
        raise
    return True


def probe_copy_bandwidth(
    device: torch.device | str = "cuda", *, nbytes: int = 256 << 20, pinned: bool = True, repeats: int = 5
) -> BandwidthSample:
    """Copy `nbytes` from memory to a CUDA device; the best of `repeats`.

    Raises:
        DeviceError: there is no CUDA device, it refuses (its memory is full), or memory cannot be pinned.
    """
    if not torch.cuda.is_available():
        raise DeviceError("there is no CUDA device to copy to", hint="`outgrow doctor` shows what torch sees")
    try:
        seconds = _time_copies(torch.device(device), nbytes, pinned, repeats)
    except RuntimeError as err:  # what torch raises for all that CUDA refuses, memory included
        reason = (str(err).splitlines() or ["no reason given"])[0]
        raise DeviceError(
            f"copying {format_bytes(nbytes)} to {device} failed: {reason}",
            hint="`outgrow doctor` shows what torch sees; a full memory needs fewer nbytes",
        ) from err
    return BandwidthSample(bytes=nbytes, seconds=seconds, mode="pinned" if pinned else "pageable")


def _time_copies(device: torch.device, nbytes: int, pinned: bool, repeats: int) -> float:
    """Seconds of the fastest of `repeats` copies."""
    target = torch.empty(nbytes, dtype=torch.uint8, device=device)
    best = float("inf")
    with Slab(nbytes, pinned=pinned) as slab:
        source = slab.tensor[:nbytes]
        source.zero_()
        for _ in range(repeats + 1):  # one more, to warm up
            torch.cuda.synchronize(target.device)
            started = time.perf_counter()
            target.copy_(source, non_blocking=pinned)
            torch.cuda.synchronize(target.device)
            best = min(best, time.perf_counter() - started)
    return best


class DirectReadsRefused(DeviceError):
    """The file system does not take O_DIRECT."""


@contextmanager
def _opened(path: Path, mode: ReadMode, nbytes: int) -> Iterator[tuple[int, int]]:
    """A descriptor and how many bytes to read from it: the file's, or a temporary one's in the directory."""
    if path.is_dir():
        with _temporary(path, mode, nbytes) as descriptor:
            yield descriptor, nbytes
        return
    if not path.is_file():
        raise InputError(
            f"{path} is neither a file nor a directory", hint="give one on the disk to be measured"
        )
    descriptor = _open(path, mode)
    try:
        yield descriptor, min(nbytes, path.stat().st_size)
    finally:
        os.close(descriptor)


@contextmanager
def _temporary(directory: Path, mode: ReadMode, nbytes: int) -> Iterator[int]:
    free = shutil.disk_usage(directory).free
    if free < 2 * nbytes:
        raise DeviceError(
            f"{directory} has {format_bytes(free)} free; a probe of {format_bytes(nbytes)} wants twice that",
            hint="choose another directory with --path",
        )
    try:
        writer, name = tempfile.mkstemp(prefix=".outgrow-probe-", dir=directory)
    except OSError as err:
        raise DeviceError(
            f"cannot write in {directory}: {err.strerror}", hint="choose another directory with --path"
        ) from err
    reader = None
    try:
        try:
            reader = _open(Path(name), mode)
        finally:
            # Gone from the directory before the first byte is written: the space returns when the descriptors
            # close, also after a kill. Windows keeps open files, therefore not there.
            if os.name == "posix":
                Path(name).unlink()
        _fill(writer, nbytes)
        yield reader
    finally:
        os.close(writer)
        if reader is not None:
            os.close(reader)
        if os.name != "posix":
            Path(name).unlink()


def _open(path: Path, mode: ReadMode) -> int:
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    if mode == "direct":
        if not hasattr(os, "O_DIRECT"):
            raise DirectReadsRefused("this system has no direct reads", hint="measure buffered reads")
        flags |= os.O_DIRECT
    try:
        return os.open(path, flags)
    except OSError as err:
        if mode == "direct" and err.errno in _REFUSED:
            raise DirectReadsRefused(
                f"the file system of {path.parent} refuses direct reads", hint="measure buffered reads"
            ) from err
        raise DeviceError(f"cannot open {path}: {err.strerror}", hint=hint_for(err)) from err


def _fill(descriptor: int, nbytes: int) -> None:
    """Write bytes that neither compress nor repeat at block size, down to the disk."""
    noise = os.urandom(1 << 20)
    written = 0
    while written < nbytes:
        chunk = written.to_bytes(8, "little") + noise[8:]
        written += os.write(descriptor, chunk[: nbytes - written])
    os.fsync(descriptor)


def _read_share(descriptor: int, blocks: range, into: memoryview) -> int:
    done = 0
    for block in blocks:
        count = _read_at(descriptor, into, block * _BLOCK_BYTES)
        if count == 0:
            break
        done += count
    return done


def _read_at(descriptor: int, into: memoryview, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [into], offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    data = os.read(descriptor, len(into))
    into[: len(data)] = data
    return len(data)
