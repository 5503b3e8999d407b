"""What a streamed model has done so far, against what the machine allows."""

__all__ = ["Health", "Statistics", "estimate_model_memory", "get_model_statistics", "health", "statistics"]

import threading
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from outgrow.errors import InputError
from outgrow.stream.attachment import stream_of

SLOW_SHARE = 0.5
"""A model that runs at less than this share of the floor's speed has a problem worth naming."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Figures since the model was opened. Bytes and seconds."""

    budget_bytes: int
    """The budget given."""
    effective_budget_bytes: int
    """The budget kept now; smaller while memory is short outside."""
    weights_bytes: int
    """All weights, as they would be in memory."""
    buffers_bytes: int
    """Buffers, which are always in memory and not part of the budget."""
    resident_bytes: int
    """Weights in memory now."""
    window_bytes: int
    """Memory that streamed weights pass through."""
    staging_bytes: int
    """Memory of reads that cannot go straight to their place."""
    peak_bytes: int
    """Most that resident weights, window and staging memory took at any time; never above the budget."""
    streamed_bytes_per_pass: int
    """What one pass reads, single rows of embeddings not counted."""
    weights: int
    """How many weights there are."""
    resident_weights: int
    """How many of them are in memory whole."""
    bytes_read: int
    """Bytes that came from files."""
    fetches: int
    """Pieces of weights that were fetched."""
    misses: int
    """Pieces that nobody had fetched when they were needed."""
    wasted: int
    """Pieces that were fetched and not used."""
    stalls: int
    """How often a module waited for a piece."""
    stall_seconds: float
    """How long modules waited."""
    passes: int
    """Complete forward passes of the model."""
    pass_seconds: float
    """Time in them."""
    disk_busy_seconds: float
    """Time in which reads were under way."""
    bytes_per_second: float
    """Bytes read per second of a busy disk; zero where nothing was read."""
    floor_seconds: float
    """The least that the passes could have taken: the longer of computing alone and of reading alone at
    `bytes_per_second`, and never above `pass_seconds`. Computing is what was not waiting, so it holds our own
    overhead too."""
    floor_ratio: float
    """`pass_seconds / floor_seconds`; 1.0 is perfect. Zero before the first pass."""
    replans: int
    """How often the plan was made anew: another budget, another window, another order."""

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a streamed model is in order."""

    is_healthy: bool
    """Whether nothing is wrong."""
    problems: tuple[str, ...]
    """What is wrong, a sentence each."""


def statistics(model: nn.Module) -> Statistics:
    """The figures of a streamed model.

    Raises:
        InputError: the model is not streamed.
    """
    stream = stream_of(model)
    with stream.lock:
        counts, plan, held = stream.counts(), stream.plan, stream.account.held
        rate = counts.bytes_read / counts.busy_seconds if counts.busy_seconds else 0.0
        computing = max(stream.pass_seconds - stream.stalled_in_passes, 0.0)
        reading = stream.read_in_passes / rate if rate else 0.0
        # What was done is possible: the passes themselves may have read faster than all reads did on average.
        floor = min(max(computing, reading), stream.pass_seconds)
        return Statistics(
            budget_bytes=stream.budget_bytes,
            effective_budget_bytes=stream.effective_bytes,
            weights_bytes=plan.weights_bytes,
            buffers_bytes=sum(buffer.numel() * buffer.element_size() for buffer in model.buffers()),
            resident_bytes=held.get("resident", 0),
            window_bytes=held.get("window", 0),
            staging_bytes=held.get("staging", 0),
            peak_bytes=stream.account.peak_bytes,
            streamed_bytes_per_pass=plan.pass_bytes,
            weights=len(stream.weights),
            resident_weights=sum(not weight.is_streamed for weight in stream.weights),
            bytes_read=counts.bytes_read,
            fetches=counts.fetches,
            misses=stream.misses,
            wasted=stream.wasted,
            stalls=counts.stalls,
            stall_seconds=counts.stall_seconds,
            passes=stream.passes,
            pass_seconds=stream.pass_seconds,
            disk_busy_seconds=counts.busy_seconds,
            bytes_per_second=rate,
            floor_seconds=floor,
            floor_ratio=stream.pass_seconds / floor if floor else 0.0,
            replans=stream.replans,
        )


def health(model: nn.Module) -> Health:
    """Look whether a streamed model is in order: files, threads, memory, invariants, speed.

    Raises:
        InputError: the model is not streamed.
    """
    problems = stream_of(model).problems()
    figures = statistics(model)
    if figures.peak_bytes > figures.budget_bytes:
        problems.append(f"weights took {figures.peak_bytes:,} bytes of a budget of {figures.budget_bytes:,}")
    if figures.passes > 3 and figures.floor_ratio > 1 / SLOW_SHARE:
        problems.append(
            f"passes take {figures.floor_ratio:.1f} times as long as disk and processor allow; "
            f"{figures.misses} pieces came late and {figures.wasted} in vain"
        )
    return Health(is_healthy=not problems, problems=tuple(problems))


def estimate_model_memory(model: nn.Module) -> int:
    """Bytes that all parameters and buffers of `model` take in memory, shared ones once; streamed or not.

    Raises:
        InputError: `model` is not a module.
    """
    if not isinstance(model, nn.Module):
        raise InputError(
            f"a model must be a torch.nn.Module, not {type(model).__name__}",
            hint="give the model itself, not its state_dict or its path",
        )
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def get_model_statistics(model: nn.Module) -> dict[str, Any]:
    """`statistics` as a dict, with the names that users of TensorStream look for besides."""
    figures = statistics(model)
    used = figures.fetches - figures.wasted
    return {
        **figures.as_dict(),
        "vram_usage_gb": (figures.resident_bytes + figures.window_bytes + figures.staging_bytes) / 2**30,
        "vram_budget_gb": figures.budget_bytes / 2**30,
        "offloaded_layers": figures.weights - figures.resident_weights,
        "cache_hit_rate": 1 - figures.misses / used if used > 0 else 1.0,
        "io_threads": sum(thread.name.startswith("outgrow-read") for thread in threading.enumerate()),
    }
