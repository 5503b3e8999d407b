"""Whether GPUDirect or pinned memory is the faster way to the GPU, for the files that a model really has."""

__all__ = ["WORTH_IT", "Choice", "choose_for_gpu", "time_backend"]

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from outgrow.devices.gpudirect import GpuDirectState, gpudirect_state
from outgrow.errors import OutgrowError
from outgrow.quantities import format_rate
from outgrow.stream.backends.backend import Backend, Carrier
from outgrow.stream.residency import Ticket
from outgrow.stream.source import Segment, WeightSource
from outgrow.stream.weights import Chunk, Piece, Use, Weight, chunks_of, footprint, staging_for

PROBE_BYTES = 128 << 20
"""Read by each way, each time."""
LEAST_BYTES = 16 << 20
"""A smaller file shows nothing."""
ROUNDS = 3
WORTH_IT = 1.05
"""GPUDirect must be faster by this factor: the pinned way runs everywhere and overlaps with any
computation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A way to the GPU."""

    name: str
    """`cuda` or `gpudirect`."""
    reason: str
    """Why, in one sentence."""


def choose_for_gpu(
    path: Path | None,
    make: Callable[[str], Backend],
    *,
    probe: Callable[[], GpuDirectState] = gpudirect_state,
    clock: Callable[[Backend, Path, int], float] | None = None,
) -> Choice:
    """Measure both ways where GPUDirect works at all. `make` gives the backend of a name; both are closed
    again.

    `path` is one of the files that will be read; without one nothing can be measured.
    """
    if path is None:
        return Choice(name="cuda", reason="no file is known to measure GPUDirect with")
    state = probe()
    if not state.is_usable:
        return Choice(name="cuda", reason=state.reason)
    clock = clock or time_backend
    rates: dict[str, list[float]] = {"cuda": [], "gpudirect": []}
    backends: dict[str, Backend] = {}
    try:
        for name in rates:
            backends[name] = make(name)
        for turn in range(ROUNDS):
            # Interleaved, since disks drift.
            for name, backend in backends.items():
                rates[name].append(clock(backend, path, turn))
    except OutgrowError as err:
        return Choice(name="cuda", reason=f"GPUDirect could not be measured: {err.message}")
    finally:
        for backend in backends.values():
            backend.close()
    return _judge(rates["cuda"], rates["gpudirect"])


def _judge(pinned: Sequence[float], direct: Sequence[float]) -> Choice:
    """From rates in bytes per second, measured in pairs."""
    gain = median(one / other for one, other in zip(direct, pinned, strict=True))
    figures = (
        f"{format_rate(median(direct))} by GPUDirect, {format_rate(median(pinned))} through pinned memory"
    )
    return Choice(name="gpudirect" if gain >= WORTH_IT else "cuda", reason=figures)


def time_backend(backend: Backend, path: Path, turn: int, *, num_threads: int = 4) -> float:
    """Bytes per second from a file to the window of `backend`, through its own carriers. Each `turn` reads
    another part.

    Raises:
        StoreError: the file cannot be read.
        DeviceError: the device has no room.
        OutgrowError: the file is too small to show anything.
    """
    size = path.stat().st_size
    nbytes = min(PROBE_BYTES, size) // (1 << 20) * (1 << 20)
    if nbytes < LEAST_BYTES:
        raise OutgrowError(
            f"{path} has {size:,} bytes, too few to measure with",
            hint="name the backend yourself: Config(backend=...)",
        )
    offset = turn * nbytes % max(size - nbytes + 1, 1) // 4096 * 4096
    segment = Segment(path=path, offset=offset, nbytes=nbytes, begin=0)
    source = WeightSource(name="probe", shape=(nbytes,), dtype=torch.uint8, segments=(segment,))
    weight = Weight(index=0, source=source, dtype=torch.uint8, use=Use.WHOLE)
    piece = Piece(index=0, weight=weight, first_row=0, last_row=nbytes)
    staged = backend.staged_chunk_bytes or 1 << 20
    chunks = chunks_of(piece, in_place=backend.in_place, staged_bytes=staged)
    print_of = footprint(piece, in_place=backend.in_place)
    backend.open_window(print_of.nbytes)
    try:
        ticket = Ticket(0, begin=0)
        ticket.payload["reservation"] = backend.reservation(0, print_of.nbytes)
        staging_bytes = 0 if print_of.is_in_place else staging_for([piece], staged)
        return _carry_all(backend, piece, chunks, ticket, staging_bytes, num_threads)
    finally:
        backend.close_window()


def _carry_all(
    backend: Backend, piece: Piece, chunks: list[Chunk], ticket: Ticket, staging_bytes: int, num_threads: int
) -> float:
    """Carry `chunks` with several threads; bytes per second."""
    into = ticket.payload["reservation"]
    assert isinstance(into, torch.Tensor)
    carriers: list[Carrier] = []

    def work(first: int) -> None:
        for chunk in chunks[first::num_threads]:
            carriers[first].carry(chunk, piece, into, ticket)
        # Waits for the copies out of its memory: these count.
        carriers[first].close()

    try:
        # Before the clock starts: pinning takes long, and happens once.
        carriers.extend(backend.make_carrier(staging_bytes) for _ in range(num_threads))
        with ThreadPoolExecutor(num_threads, thread_name_prefix="outgrow-probe") as pool:
            began = time.perf_counter()
            for _ in pool.map(work, range(num_threads)):
                pass
            return piece.nbytes / (time.perf_counter() - began)
    finally:
        for carrier in carriers:
            carrier.close()
