"""What torch does around an op, on again within one: conjugate views, say, are read as what they mean."""

__all__ = ["outside"]

import contextlib
import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch


@functools.cache
def _fresh() -> tuple[Any, Any]:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(
            lambda: (torch._C._dispatch_tls_local_include_set(), torch._C._dispatch_tls_local_exclude_set())
        ).result()


@contextlib.contextmanager
def outside() -> Iterator[None]:
    """While inside, ops on tensors of the CPU run as they do in a program of their own, without autograd."""
    with torch._C._ForceDispatchKeyGuard(*_fresh()), torch.no_grad():
        yield
