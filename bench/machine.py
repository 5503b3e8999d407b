"""Where and with what a result was measured; nothing that names a host, a user or a directory of theirs."""

__all__ = ["commit", "machine", "machine_name", "versions", "without_paths"]

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("torch", "transformers", "safetensors", "accelerate", "numpy", "outgrow")


def machine() -> dict[str, Any]:
    """CPU model, cores, memory, kernel, architecture."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "system": platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
    }


def machine_name(about: dict[str, Any]) -> str:
    """A short name for file names: CPU, cores, GiB of memory."""
    gib = round(about["memory_bytes"] / 2**30)
    return re.sub(r"[^a-z0-9]+", "-", f"{about['cpu']}-{about['cores']}c-{gib}g".lower()).strip("-")


def versions() -> dict[str, str]:
    """Python and the packages that decide the figures."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def commit() -> str:
    """The commit of this checkout, `+` where package or benchmarks differ; `unknown` outside git."""
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--", "src", "bench", ":!bench/results")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def without_paths(value: Any) -> Any:
    """The same JSON value with the checkout's path and the home directory cut out of every text."""
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(item) for item in value]
    if isinstance(value, str):
        return value.replace(str(_ROOT), ".").replace(str(Path.home()), "~")
    return value


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
