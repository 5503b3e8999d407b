"""Which outputs of an op may use the memory of its inputs."""

__all__ = ["is_view", "may_alias"]

import functools
from typing import Final

import torch

from outgrow.shard.instructions import Template
from outgrow.shard.ranks.kernels import resolve_op
from outgrow.shard.rules import Row

_FRESH: Final = frozenset(("outgrow.write_view",))
_UNTOLD: Final = frozenset(("aten._unsafe_view.default",))
"""Ops of torch that give views though their schema says nothing of it, beside the composite ones."""


def may_alias(template: Template, row: Row) -> bool:
    """Whether an output that is no written input may share memory with an input: True where unsure."""
    return row.kernel is not None or _may_alias(template.op)


@functools.cache
def is_view(name: str) -> bool:
    """Whether an op gives views of its first argument."""
    if name.startswith("outgrow."):
        return False
    returned = resolve_op(name)._schema.returns
    is_told = any(one.alias_info is not None and not one.alias_info.is_write for one in returned)
    return is_told or name in _UNTOLD


@functools.cache
def _may_alias(name: str) -> bool:
    if name in _FRESH:
        return False
    if is_view(name) or name.startswith("outgrow."):
        return True
    op = resolve_op(name)
    # Composite ops say nothing of the views they may give: einsum of one operand, broadcast_tensors, dropout
    # without training.
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(op.name(), "CompositeImplicitAutograd"))
