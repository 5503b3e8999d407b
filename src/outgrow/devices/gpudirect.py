"""Whether GPUDirect Storage (reads from disk straight into GPU memory) works here, found out safely."""

__all__ = ["GpuDirectState", "gpudirect_state"]

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass

import torch

# In a process of its own: where the driver is half installed, loading libcufile can abort the interpreter.
_PROBE = """
import json
import kvikio
import kvikio.cufile_driver
usable = bool(kvikio.cufile_driver.get("is_gds_available"))
print(json.dumps({"version": kvikio.__version__, "usable": usable}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuDirectState:
    """The outcome of the probe."""

    is_usable: bool
    """Whether reads would go to the GPU without a stop in main memory."""
    reason: str
    """Why, or why not, in one sentence."""


def gpudirect_state(*, timeout_seconds: float = 60.0) -> GpuDirectState:
    """Look for a GPU, for kvikio, and for the driver behind it; never raises."""
    if not torch.cuda.is_available():
        return GpuDirectState(is_usable=False, reason="there is no CUDA device")
    if importlib.util.find_spec("kvikio") is None:
        return GpuDirectState(is_usable=False, reason="kvikio is not installed (pip install 'outgrow[gds]')")
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        return GpuDirectState(is_usable=False, reason=f"kvikio could not be tried: {err}")
    return _judge(done.returncode, done.stdout, done.stderr)


def _judge(code: int, output: str, errors: str) -> GpuDirectState:
    lines = output.strip().splitlines()
    if code != 0 or not lines:
        last = (errors.strip().splitlines() or [f"exit code {code}"])[-1]
        return GpuDirectState(is_usable=False, reason=f"kvikio does not load: {last}")
    try:
        found = json.loads(lines[-1])
        version, usable = str(found["version"]), bool(found["usable"])
    except (ValueError, KeyError, TypeError) as err:
        return GpuDirectState(is_usable=False, reason=f"kvikio gave an unexpected answer: {err!r}")
    if usable:
        return GpuDirectState(is_usable=True, reason=f"kvikio {version} finds the nvidia-fs driver")
    return GpuDirectState(
        is_usable=False, reason=f"kvikio {version} finds no nvidia-fs driver and would copy through memory"
    )
