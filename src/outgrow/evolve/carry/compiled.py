"""Compiled code after a change: compiled anew, and never run eagerly without a word."""

__all__ = ["eagerly", "forget_compiled"]

import contextlib
import sys
from contextlib import AbstractContextManager

import torch


def eagerly() -> AbstractContextManager[None]:
    """While it lasts, whatever is compiled runs as it was written: tracing has to see the operations."""
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance


def forget_compiled() -> None:
    """Let compiled code be compiled anew at the next call.

    Each change makes torch recompile, and after eight (`torch._dynamo.config.recompile_limit`) torch stops
    and runs the model eagerly. So all compiled code is forgotten, and the count begins anew. Torch can forget
    the code of the whole process only: other compiled models are compiled again, too.
    """
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()
