"""How fast this disk gives the very files of a checkpoint: the physical floor under every streamed token."""

__all__ = ["VARIANTS", "Probe", "probe_disk"]

import mmap
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# (threads, bytes a read). 4 x 4 MB is what a streaming reader uses; the others see whether the disk has more,
# and the first comes again at the end, because a disk with a token bucket is fastest after a rest.
VARIANTS = ((4, 4 << 20), (2, 16 << 20), (8, 2 << 20), (4, 4 << 20))
_PAGE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One sweep over the files for each variant."""

    bytes_per_second: dict[str, float]
    """By place and variant, such as `0:4x4MiB`, in the order measured."""
    bytes_read: int
    """By each variant."""
    direct: bool
    """False where O_DIRECT is refused and reads went through a page cache dropped beforehand."""

    @property
    def best(self) -> float:
        """The fastest variant: what the disk proved able to do."""
        return max(self.bytes_per_second.values())

    @property
    def sustained(self) -> float:
        """The fastest variant after the first: what is left where a disk lends a burst at first."""
        rates = tuple(self.bytes_per_second.values())
        return max(rates[1:] or rates)


def probe_disk(
    paths: Sequence[Path],
    *,
    at_most_bytes: int = 1 << 30,
    variants: Sequence[tuple[int, int]] = VARIANTS,
) -> Probe:
    """Read the files once for each variant, at most `at_most_bytes` each time, and time it.

    Whole pages only; the last partial page of a file is left out. A probe of under 256 MB measures too low.
    """
    direct = _takes_direct(paths[0])
    rates: dict[str, float] = {}
    amount = 0
    for number, (threads, chunk) in enumerate(variants):
        pieces = _pieces(paths, chunk, at_most_bytes)
        if not direct:
            _forget(paths)
        amount = sum(length for _, _, length in pieces)
        rates[f"{number}:{threads}x{chunk >> 20}MiB"] = amount / _sweep(pieces, threads, chunk, direct=direct)
    return Probe(bytes_per_second=rates, bytes_read=amount, direct=direct)


def _pieces(paths: Sequence[Path], chunk: int, at_most: int) -> list[tuple[Path, int, int]]:
    pieces: list[tuple[Path, int, int]] = []
    left = at_most
    for path in paths:
        size = path.stat().st_size // _PAGE * _PAGE
        for offset in range(0, size, chunk):
            length = min(chunk, size - offset)
            if left < length:
                return pieces
            pieces.append((path, offset, length))
            left -= length
    return pieces


def _sweep(pieces: Sequence[tuple[Path, int, int]], threads: int, chunk: int, *, direct: bool) -> float:
    """Seconds to read all pieces, taken from one queue by threads that each have a buffer."""
    flags = os.O_RDONLY | (os.O_DIRECT if direct else 0)
    files = {path: os.open(path, flags) for path in {path for path, _, _ in pieces}}
    queue = iter(pieces)  # next() on a list iterator is atomic under the GIL
    buffers = [mmap.mmap(-1, chunk) for _ in range(threads)]
    for buffer in buffers:
        buffer[::_PAGE] = b"\1" * len(range(0, chunk, _PAGE))  # fault the pages in before the clock starts

    def work(buffer: mmap.mmap) -> None:
        view = memoryview(buffer)
        for path, offset, length in queue:
            done = 0
            while done < length:
                got = os.preadv(files[path], [view[done:length]], offset + done)
                if not got:
                    raise OSError(f"{path} ended at byte {offset + done:,} while it was being probed")
                done += got

    try:
        with ThreadPoolExecutor(threads) as pool:
            started = time.perf_counter()
            for future in [pool.submit(work, buffer) for buffer in buffers]:
                future.result()
            return time.perf_counter() - started
    finally:
        for descriptor in files.values():
            os.close(descriptor)


def _takes_direct(path: Path) -> bool:
    if not hasattr(os, "O_DIRECT"):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        return False
    try:
        os.preadv(descriptor, [mmap.mmap(-1, _PAGE)], 0)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _forget(paths: Sequence[Path]) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
