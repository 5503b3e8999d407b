"""Errors within a backward pass: torch 2.13 ends the process where an op of a Python device raises there."""

__all__ = ["guard_backward", "is_in_backward", "keep_error", "run_in_own_thread"]

import functools
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import autograd
from torch.autograd import graph

_errors: dict[int, BaseException] = {}
"""By the graph task in which they arose, until its `backward` ends."""


class _NoTensor:
    """What an op gives in place of an error: torch refuses it without unwinding a Python error."""


def is_in_backward() -> bool:
    """Whether this thread runs a node of an autograd graph."""
    return bool(torch._C._current_graph_task_id() != -1)


def keep_error(error: BaseException) -> Any:
    """Keep the first error of a backward pass; gives what the op that raised it returns instead."""
    _errors.setdefault(torch._C._current_graph_task_id(), error)
    return _NoTensor()


@functools.cache
def guard_backward() -> None:
    """Let `backward` and `grad` raise what an op within them raised."""
    for module in (autograd, graph):
        module._engine_run_backward = _raising(module._engine_run_backward)  # type: ignore[attr-defined]


def _raising(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def raising(*args: Any, **kwargs: Any) -> Any:
        known = set(_errors)
        try:
            return run(*args, **kwargs)
        except RuntimeError:
            for task in [task for task in list(_errors) if task not in known]:
                raise _errors.pop(task) from None
            raise

    return raising


_threads = threading.local()


def run_in_own_thread() -> None:
    """Let this thread run its backward passes itself: no change of thread for each op, and its own lines."""
    if not getattr(_threads, "is_set", False):
        _threads.is_set = True
        torch._C._set_multithreading_enabled(False)
