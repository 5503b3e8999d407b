"""How long a token would take: the disk measured for a moment, computing estimated from one product."""

__all__ = ["Prediction", "predict", "probe_disk"]

import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from outgrow.devices.measure import BandwidthSample, probe_read_bandwidth, supports_direct_reads
from outgrow.errors import DeviceError, InputError
from outgrow.stream.plan import Plan

_PROBE_SECONDS = 0.2
_PROBE_BYTES = (16 << 20, 1 << 30)
_PROBE_THREADS = 4
_PRODUCT_BYTES = 48 << 20
_PRODUCT_ROUNDS = 4
# What Python and torch take for one module besides its arithmetic: 20 to 50 µs on the CPUs that were tried.
_MODULE_SECONDS = 30e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """How long one token would take: the longer of computing and reading, which run side by side."""

    compute_seconds: float
    """Estimated: products of the model's own shape and dtype, timed here, scaled to all its weights."""
    read_seconds: float | None
    """Bytes of a pass by the disk's bandwidth; None where no bandwidth is known."""
    bytes_per_second: float | None
    """The disk's bandwidth; None where it was neither measured nor given."""
    bandwidth_source: str
    """`measured` on the model's own files just now, `given` by the caller, or why there is none."""

    @property
    def seconds_per_token(self) -> float | None:
        """The prediction; None where something streams and no bandwidth is known."""
        return None if self.read_seconds is None else max(self.compute_seconds, self.read_seconds)

    @property
    def limit(self) -> str:
        """Which of both takes longer: `disk`, `compute`, or `unknown`."""
        if self.read_seconds is None:
            return "unknown"
        return "disk" if self.read_seconds > self.compute_seconds else "compute"


def predict(
    model: nn.Module, plan: Plan, files: tuple[Path, ...], *, is_probed: bool, bytes_per_second: float | None
) -> Prediction:
    """How long a token of `model` (which may be on meta) would take under `plan`.

    `files` are the model's own: with `is_probed` the largest is read for a moment, unless
    `bytes_per_second` is given.
    """
    rate, source = bytes_per_second, "given"
    if rate is None:
        rate, source = probe_disk(files) if is_probed else (None, "not measured: not asked for")
    reading = 0.0 if not plan.pass_bytes else None if rate is None else plan.pass_bytes / rate
    return Prediction(
        compute_seconds=_estimate_compute(model, plan),
        read_seconds=reading,
        bytes_per_second=rate,
        bandwidth_source=source,
    )


def probe_disk(files: tuple[Path, ...]) -> tuple[float | None, str]:
    """Bytes per second of the disk under the largest of `files`, and `measured` or why there is no figure.

    Takes about 0.3 s and reads cold; drops the file's pages from the page cache.
    """
    if not files:
        return None, "not measured: the weights are not here"
    file = max(files, key=lambda file: file.stat().st_size)
    state = file.stat()
    if getattr(state, "st_blocks", state.st_size) * 512 < state.st_size // 2:
        return None, "not measured: the files are mostly holes"
    try:
        # A short read says how much can be read in the time there is.
        first = _read(file, _PROBE_BYTES[0])
        nbytes = min(max(int(first.bytes_per_second * _PROBE_SECONDS), _PROBE_BYTES[0]), _PROBE_BYTES[1])
        second = _read(file, nbytes)
    except (DeviceError, InputError) as err:
        return None, f"not measured: {err.message}"
    return max(first.bytes_per_second, second.bytes_per_second), "measured"


def _read(file: Path, nbytes: int) -> BandwidthSample:
    mode = "direct" if supports_direct_reads(file) else "buffered"
    return probe_read_bandwidth(file, mode=mode, nbytes=nbytes, num_threads=_PROBE_THREADS)  # type: ignore[arg-type]


def _estimate_compute(model: nn.Module, plan: Plan) -> float:
    """Seconds that one token computes: every weight takes part in one product with a vector."""
    shapes: dict[tuple[tuple[int, ...], torch.dtype], int] = {}
    for weights in plan.pieces_of.values():
        weight = weights[0].weight
        if weight.use.is_tileable and len(weight.shape) == 2:
            key = (weight.shape, weight.dtype)
            shapes[key] = shapes.get(key, 0) + weight.nbytes
    calls = sum(1 for _ in model.modules()) * _MODULE_SECONDS
    if not shapes:
        return calls
    (shape, dtype), _ = max(shapes.items(), key=lambda entry: entry[1])
    used = sum(piece.nbytes for piece in plan.pieces if piece.weight.index not in plan.gathered)
    return used / _product_bytes_per_second(shape, dtype) + calls


def _product_bytes_per_second(shape: tuple[int, ...], dtype: torch.dtype) -> float:
    """How many bytes of weights a product with one vector goes through in a second, out of main memory."""
    row_bytes = shape[1] * dtype.itemsize
    rows = max(1, min(shape[0], _PRODUCT_BYTES // max(row_bytes, 1)))
    nbytes = rows * row_bytes
    # Several copies, which together are larger than caches; filled, since untouched memory is one page.
    copies = [
        torch.zeros(rows, shape[1], dtype=dtype) for _ in range(math.ceil(_PRODUCT_BYTES / max(nbytes, 1)))
    ]
    vector = torch.ones(1, shape[1], dtype=dtype)
    best = [math.inf] * len(copies)
    with torch.inference_mode():
        for _ in range(_PRODUCT_ROUNDS):
            for place, weight in enumerate(copies):
                started = time.perf_counter()
                F.linear(vector, weight)
                best[place] = min(best[place], time.perf_counter() - started)
    # The best of each: what other processes take of the processor is not the model's.
    return len(copies) * nbytes / max(sum(best), 1e-9)
