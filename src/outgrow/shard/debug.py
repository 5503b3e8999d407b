"""Looking inside: the autograd tape of this program, and what the workers did."""

__all__ = ["get_tape", "get_worker_stats", "print_tape", "print_worker_stats", "tape_of"]

import sys
from typing import Any

from torch import Tensor

from outgrow.shard.interface.connecting import statistics
from outgrow.shard.interface.reference_tensor import ReferenceTensor
from outgrow.shard.interface.tape import tape_entries


def get_tape() -> list[dict[str, Any]]:
    """What has been recorded for `backward()` and is still alive, oldest first.

    Each entry has `output_id`, `output_shape`, `input_ids`, `grad_fn` (the op's name) and `requires_grad`.
    Tensors are those made by `gt.*` and what came of them; `tape_of(tensor)` gives that of any tensor.
    """
    return tape_entries(ReferenceTensor.recorded())


def tape_of(*tensors: Tensor) -> list[dict[str, Any]]:
    """What `tensors` were computed from, oldest first, as `get_tape` has it."""
    return tape_entries(tensors)


def print_tape(*tensors: Tensor) -> None:
    """Print the tape of these tensors, or all that `get_tape` gives."""
    tape = tape_of(*tensors) if tensors else get_tape()
    if not tape:
        sys.stdout.write("Autograd tape: empty (nothing was recorded)\n")
        return
    lines = [f"Autograd tape ({len(tape)} operations):", "-" * 60]
    for place, entry in enumerate(tape):
        inputs = ", ".join(f"Tensor[{one}]" for one in entry["input_ids"])
        lines.append(f"{place}: Tensor[{entry['output_id']}] = {entry['grad_fn']}({inputs})")
        lines.append(f"   shape={entry['output_shape']} requires_grad={entry['requires_grad']}")
    sys.stdout.write("\n".join(lines) + "\n")


def get_worker_stats() -> dict[str, Any]:
    """For each worker, by its number as text: operations, replays, memory and traffic so far."""
    return {str(worker): figures for worker, figures in enumerate(statistics()["workers"])}


def print_worker_stats() -> None:
    """Print them."""
    lines = ["Worker statistics:", "-" * 60]
    for worker, figures in get_worker_stats().items():
        lines.append(f"Worker {worker}:")
        lines.extend(f"  {name.replace('_', ' ')}: {value}" for name, value in figures.items())
    sys.stdout.write("\n".join(lines) + "\n")
