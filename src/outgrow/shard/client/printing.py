"""Tensors as text: as torch prints them, with the device beside."""

__all__ = ["as_text"]

from typing import Any

import torch
from torch import Tensor, _tensor_str


def as_text(tensor: Any, contents: Tensor) -> str:
    """What `repr` of a tensor on another device gives. `contents` are its numbers on the CPU.

    Source: torch._tensor_str._str_intern, for tensors that have contents; its helpers do the numbers.
    """
    is_parameter = isinstance(tensor, torch.nn.Parameter)
    prefix = "Parameter containing:\n" if is_parameter else ""
    default = (torch.get_default_dtype(), torch.int64, torch.bool)
    complex_default = torch.complex128 if torch.get_default_dtype() == torch.float64 else torch.complex64
    has_default_dtype = contents.dtype in (*default, complex_default)
    suffixes = [f"device='{tensor.device}'"]
    if contents.numel() == 0:
        if contents.dim() != 1:
            suffixes.append(f"size={tuple(contents.shape)}")
        has_default_dtype = contents.dtype == torch.get_default_dtype()
        text = "[]"
    else:
        text = _tensor_str._tensor_str(contents, len("tensor("))  # type: ignore[no-untyped-call]
    if not has_default_dtype:
        suffixes.append(f"dtype={contents.dtype}")
    if tensor.grad_fn is not None:
        suffixes.append(f"grad_fn=<{type(tensor.grad_fn).__name__}>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    return prefix + str(
        _tensor_str._add_suffixes("tensor(" + text, suffixes, len("tensor("), force_newline=False)  # type: ignore[no-untyped-call]
    )
