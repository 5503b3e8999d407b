"""Running one template on what one rank holds."""

__all__ = ["OWN_OPS", "Kernel", "resolve_op", "template_kernel"]

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from outgrow.shard.instructions import INPUT, Template, fill

Kernel = Callable[[list[Tensor], Sequence[float]], tuple[Tensor, ...]]
"""Takes one rank's inputs and the floats; gives its outputs in the order of `Template.outputs`. It writes into the inputs that
the template mutates: the caller hands a copy of each whose old contents are still needed."""


def resolve_op(name: str) -> Any:
    """The torch op of a qualified name, `aten.add.Tensor`."""
    namespace, packet, overload = name.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), packet), overload)


def template_kernel(template: Template, device: torch.device) -> Kernel:
    """The op itself, with the template's own arguments."""
    if template.op in OWN_OPS:
        own, chain = OWN_OPS[template.op], template.args[-1]
        return lambda inputs, floats: (own(inputs, chain),)
    op = resolve_op(template.op)
    kwargs = dict(template.kwargs)
    if any(argument.name == "device" for argument in op._schema.arguments):
        kwargs["device"] = device
    args, mutates = template.args, template.mutates
    if (
        not kwargs
        and all(argument is INPUT for argument in args)
        and not mutates
        and len(template.outputs) == 1
    ):
        return lambda inputs, floats: (op(*inputs),)

    def kernel(inputs: list[Tensor], floats: Sequence[float]) -> tuple[Tensor, ...]:
        next_input, next_float = iter(inputs).__next__, iter(floats).__next__
        filled = fill(args, next_input, next_float)
        filled_kwargs = {name: fill(value, next_input, next_float) for name, value in kwargs.items()}
        result = op(*filled, **filled_kwargs)
        written = tuple(inputs[index] for index in mutates)
        return written + tuple(made for made in _tensors(result) if not any(made is one for one in written))

    return kernel


def _read_view(inputs: list[Tensor], chain: Any) -> Tensor:
    whole = inputs[0]
    for name, args, kwargs, index in chain:
        whole = resolve_op(name)(whole, *args, **dict(kwargs))
        whole = whole if index is None else whole[index]
    return whole


def _write_view(inputs: list[Tensor], chain: Any) -> Tensor:
    whole = inputs[0].clone()
    _read_view([whole], chain).copy_(inputs[1])
    return whole


OWN_OPS: dict[str, Callable[[list[Tensor], Any], Tensor]] = {
    "outgrow.read_view": _read_view,
    "outgrow.write_view": _write_view,
}
"""Ops that torch has no name for, from the inputs and the last argument."""


def _tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, (tuple, list)):
        return [made for part in result for made in _tensors(part)]
    return []
