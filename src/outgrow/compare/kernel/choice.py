"""Whether the compiled kernel or torch does the work."""

__all__ = ["SWITCH", "KernelStatus", "find_kernel", "kernel_status"]

import functools
import os
from dataclasses import dataclass

from outgrow.compare.kernel.build import (
    KernelUnavailable,
    built_kernel,
    find_compiler,
    is_built,
    kernel_path,
)
from outgrow.compare.kernel.compiled import CompiledKernel
from outgrow.compare.kernel.trial import check_kernel
from outgrow.errors import InputError

SWITCH = "OUTGROW_KERNEL"
"""The variable of the environment that says `torch` where no kernel is wanted; `auto` is the default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelStatus:
    """What does the work of `measure` on large tensors here."""

    is_compiled: bool
    """Whether the compiled kernel is there and does it."""
    path: str | None
    """Where the compiled kernel lies, or will."""
    reason: str
    """In a sentence, for readers."""


def _is_wanted() -> bool:
    switch = os.environ.get(SWITCH, "auto")
    if switch not in ("auto", "torch"):
        raise InputError(f"{SWITCH} is {switch!r}", hint="set it to 'auto' or to 'torch'")
    return switch == "auto"


@functools.cache
def _load() -> CompiledKernel | KernelUnavailable:
    """Once in a process: the kernel, or why there is none."""
    try:
        kernel = CompiledKernel(built_kernel())
        check_kernel(kernel)
    except KernelUnavailable as err:
        return err
    return kernel


def find_kernel() -> CompiledKernel | None:
    """The compiled kernel, made now if need be; None where torch has to do. `kernel_status` says why.

    Raises:
        InputError: `OUTGROW_KERNEL` is neither `auto` nor `torch`.
    """
    if not _is_wanted():
        return None
    found = _load()
    return found if isinstance(found, CompiledKernel) else None


def kernel_status(*, build: bool = False) -> KernelStatus:
    """What does the work here; with `build` the kernel is made now where it is not yet there.

    Raises:
        InputError: `OUTGROW_KERNEL` is neither `auto` nor `torch`.
    """
    if not _is_wanted():
        return KernelStatus(is_compiled=False, path=None, reason=f"torch does the work: {SWITCH} says so")
    try:
        path = kernel_path(find_compiler())
        is_there = is_built(path)
    except KernelUnavailable as err:
        return KernelStatus(is_compiled=False, path=None, reason=f"torch does the work: {err}")
    if not build and not is_there:
        return KernelStatus(
            is_compiled=False, path=str(path), reason="the kernel will be compiled at first need"
        )
    found = _load()
    if isinstance(found, KernelUnavailable):
        return KernelStatus(is_compiled=False, path=str(path), reason=f"torch does the work: {found}")
    return KernelStatus(is_compiled=True, path=str(found.path), reason="the compiled kernel does the work")
