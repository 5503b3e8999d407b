"""What this machine is: Python, torch, CPU, memory, GPUs."""

__all__ = ["CpuInfo", "GpuInfo", "Inventory", "read_cpu", "read_gpus", "take_inventory"]

import math
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from outgrow.devices.control_groups import cpu_quota
from outgrow.devices.memory import MemoryState, memory_state


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuInfo:
    """The processor, and how much of it this process may use."""

    model: str
    """As the processor names itself; the architecture where it does not."""
    count: int
    """Logical CPUs of the machine."""
    usable: int
    """Logical CPUs that this process may keep busy by affinity and quota, rounded up, at least 1."""
    quota: float | None
    """CPUs' worth of time that control groups grant; None where they set no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuInfo:
    """One CUDA device."""

    index: int
    """As in `cuda:<index>`."""
    name: str
    """As the driver names it."""
    total_bytes: int
    """Its memory in bytes."""
    capability: tuple[int, int]
    """CUDA compute capability, major and minor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """The machine as one value."""

    python: str
    """Version of the interpreter."""
    system: str
    """Operating system, its release and the architecture."""
    torch: str
    """Version of torch, with its build."""
    torch_cuda: str | None
    """The CUDA version that torch was built for; None for a CPU build."""
    torch_threads: int
    """Threads that torch computes with."""
    cpu: CpuInfo
    """The processor."""
    memory: MemoryState
    """Main memory."""
    gpus: tuple[GpuInfo, ...]
    """CUDA devices that torch can use."""


def take_inventory(root: Path = Path("/")) -> Inventory:
    """Look around; reads a few small files under `root` and asks torch, and starts no CUDA context."""
    return Inventory(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        torch=torch.__version__,
        torch_cuda=torch.version.cuda,
        torch_threads=torch.get_num_threads(),
        cpu=read_cpu(root),
        memory=memory_state(root),
        gpus=read_gpus(),
    )


def read_cpu(root: Path = Path("/")) -> CpuInfo:
    """The processor by `/proc/cpuinfo`, this process's affinity and its control groups' quota."""
    count = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else count
    quota = cpu_quota(root)
    usable = allowed if quota is None else min(allowed, math.ceil(quota))
    return CpuInfo(model=_cpu_model(root), count=count, usable=max(1, usable), quota=quota)


def read_gpus() -> tuple[GpuInfo, ...]:
    """CUDA devices; empty where torch was built without CUDA or finds no driver."""
    if not torch.cuda.is_available():
        return ()
    found = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found.append(
            GpuInfo(
                index=index,
                name=properties.name,
                total_bytes=properties.total_memory,
                capability=(properties.major, properties.minor),
            )
        )
    return tuple(found)


def _cpu_model(root: Path) -> str:
    try:
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()
