"""Running one template on what one rank holds."""

__all__ = ["OWN_OPS", "Kernel", "plain_op", "resolve_op", "template_kernel"]

import functools
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from outgrow.shard.instructions import INPUT, Template, TensorMeta, fill
from outgrow.shard.ranks.block_ops import BLOCK_OPS

Kernel = Callable[[list[Tensor], Sequence[float]], tuple[Tensor, ...]]
"""Takes one rank's inputs and the floats; gives its outputs in the order of `Template.outputs`. It may
write into the inputs that the template mutates, and only these: the caller hands a copy of each whose old
contents are still needed. Outputs may share memory with inputs."""


@functools.cache
def resolve_op(name: str) -> Any:
    """The torch op of a qualified name, `aten.add.Tensor`."""
    namespace, packet, overload = name.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), packet), overload)


def plain_op(name: str) -> Any:
    """The torch op itself where a template's kernel is just that, whatever its inputs are laid out like;
    None elsewhere.
    """
    if name in OWN_OPS or name in _DENSE or name in _AS_LAID_OUT:
        return None
    if name in _ANY_LAYOUT:
        return _ANY_LAYOUT[name]
    op = resolve_op(name)
    return None if _gives_list(op) else op._op


def _gives_list(op: Any) -> bool:
    """Even one tensor comes in a list."""
    return any(isinstance(one.type, torch.ListType) for one in op._schema.returns)


def template_kernel(template: Template, device: torch.device) -> Kernel:
    """The op itself, with the template's own arguments, on pieces that may be laid out in another order
    than the template says.
    """
    if template.op in OWN_OPS:
        return functools.partial(OWN_OPS[template.op], template)
    op = resolve_op(template.op)
    kwargs = dict(template.kwargs)
    if any(argument.name == "device" for argument in op._schema.arguments):
        kwargs["device"] = device
    if template.op in _DENSE:
        return _prepared(template, op, kwargs, _dense)
    if template.op in _AS_LAID_OUT:
        return _prepared(template, op, kwargs, _as_laid_out)
    gives_list = _gives_list(op)
    op = _ANY_LAYOUT.get(template.op, op)
    if (
        not kwargs
        and all(argument is INPUT for argument in template.args)
        and not template.mutates
        and len(template.outputs) == 1
        and not gives_list
    ):
        return lambda inputs, floats: (op(*inputs),)
    return _filled(template, op, kwargs)


def _filled(template: Template, op: Any, kwargs: dict[str, Any]) -> Kernel:
    args, mutates = template.args, template.mutates

    def kernel(inputs: list[Tensor], floats: Sequence[float]) -> tuple[Tensor, ...]:
        next_input, next_float = iter(inputs).__next__, iter(floats).__next__
        filled = fill(args, next_input, next_float)
        filled_kwargs = {name: fill(value, next_input, next_float) for name, value in kwargs.items()}
        result = op(*filled, **filled_kwargs)
        written = tuple(inputs[index] for index in mutates)
        return written + tuple(made for made in _tensors(result) if not any(made is one for one in written))

    return kernel


def _prepared(
    template: Template, op: Any, kwargs: dict[str, Any], prepare: Callable[[Tensor, TensorMeta], Tensor]
) -> Kernel:
    run, metas = _filled(template, op, kwargs), template.inputs

    def kernel(inputs: list[Tensor], floats: Sequence[float]) -> tuple[Tensor, ...]:
        return run([prepare(one, meta) for one, meta in zip(inputs, metas, strict=True)], floats)

    return kernel


def _dense(tensor: Tensor, meta: TensorMeta) -> Tensor:
    return tensor.contiguous()


def _as_laid_out(tensor: Tensor, meta: TensorMeta) -> Tensor:
    """The tensor from the start of its memory on, with the strides that the client sees. Elements that share
    memory there are held once.
    """
    if tuple(tensor.shape) != meta.shape or (
        tuple(tensor.stride()) == meta.stride and not tensor.storage_offset()
    ):
        return tensor
    laid_out = torch.empty_strided(meta.shape, meta.stride, dtype=tensor.dtype, device=tensor.device)
    target = laid_out
    for dim, stride in enumerate(meta.stride):
        if stride == 0 and meta.shape[dim] > 1:
            target, tensor = target.narrow(dim, 0, 1), tensor.narrow(dim, 0, 1)
    target.copy_(tensor)
    return laid_out


_ANY_LAYOUT: Final[dict[str, Any]] = {
    "aten.view.default": torch.reshape,
    "aten._unsafe_view.default": torch.reshape,
    "aten._reshape_alias.default": lambda tensor, size, stride: tensor.reshape(size),
    # What is left in memory by whoever had it before would differ from rank to rank, and from run to run.
    "aten.empty.memory_format": lambda size, memory_format=None, **options: torch.zeros(size, **options),
    "aten.empty_strided.default": lambda size, stride, **options: torch.zeros(size, **options),
    "aten.empty_like.default": torch.zeros_like,
    "aten.new_empty.default": lambda tensor, size, **options: tensor.new_zeros(size, **options),
    "aten.new_empty_strided.default": lambda tensor, size, stride, **options: tensor.new_zeros(
        size, **options
    ),
}
"""Ops that need the strides which the client sees, in a form that does not."""

_AS_LAID_OUT: Final = (
    "aten.as_strided.default",
    "aten.as_strided_.default",
    "aten.as_strided_scatter.default",
    "aten.view.dtype",
    "aten.view_as_complex.default",
    "aten.view_as_real.default",
)
"""Ops that read memory in the order in which the client sees it."""

_DENSE: Final = (
    "aten._fused_adam_.default",
    "aten._fused_adam_.tensor_lr",
    "aten._fused_adamw_.default",
    "aten._fused_adamw_.tensor_lr",
    "aten._fused_sgd_.default",
    "aten._fused_sgd_.tensor_lr",
    "aten._fused_adagrad_.default",
    "aten._fused_adagrad_.tensor_lr",
    "aten.native_layer_norm_backward.default",
    "aten._scaled_dot_product_flash_attention_for_cpu.default",
    "aten._scaled_dot_product_flash_attention_for_cpu_backward.default",
    "aten.native_group_norm.default",
    "aten.native_group_norm_backward.default",
    "aten.nll_loss2d_forward.default",
    "aten.nll_loss2d_backward.default",
    "aten.adaptive_max_pool2d_backward.default",
    "aten.adaptive_max_pool3d_backward.default",
)
"""Ops that take for granted that all their tensors are laid out alike: wrong numbers otherwise (torch
2.13, CPU).
"""


def read_chain(whole: Tensor, chain: Any) -> Tensor:
    """A view cut out by links `(op name, args, kwargs, index)`; shares memory with the whole unless torch
    refuses.
    """
    for name, args, kwargs, index in chain:
        whole = resolve_op(name)(whole, *args, **dict(kwargs))
        whole = whole if index is None else whole[index]
    return whole


def _read_view(template: Template, inputs: list[Tensor], floats: Sequence[float]) -> tuple[Tensor, ...]:
    return (read_chain(_as_laid_out(inputs[0], template.inputs[0]), template.args[-1]),)


def _write_view(template: Template, inputs: list[Tensor], floats: Sequence[float]) -> tuple[Tensor, ...]:
    meta = template.inputs[0]
    whole = torch.empty_strided(meta.shape, meta.stride, dtype=inputs[0].dtype, device=inputs[0].device)
    whole.copy_(inputs[0])
    read_chain(whole, template.args[-1]).copy_(inputs[1])
    return (whole,)


def _place(template: Template, inputs: list[Tensor], floats: Sequence[float]) -> tuple[Tensor, ...]:
    return (inputs[0],)


def _power_sum(template: Template, inputs: list[Tensor], floats: Sequence[float]) -> tuple[Tensor, ...]:
    _, order, dim, keepdim, dtype = template.args
    return (torch.linalg.vector_norm(inputs[0], order, dim, keepdim, dtype=dtype) ** order,)


def _power_root(template: Template, inputs: list[Tensor], floats: Sequence[float]) -> tuple[Tensor, ...]:
    _, order, dtype = template.args
    root = inputs[0].sqrt() if order == 2 else inputs[0] ** (1 / order)
    return (root.to(dtype),)


OWN_OPS: dict[str, Callable[[Template, list[Tensor], Sequence[float]], tuple[Tensor, ...]]] = {
    "outgrow.read_view": _read_view,
    "outgrow.write_view": _write_view,
    "outgrow.power_sum": _power_sum,
    "outgrow.power_root": _power_root,
    **BLOCK_OPS,
    "outgrow.place.default": _place,
}
"""Ops that torch has no name for."""


def _tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, (tuple, list)):
        return [made for part in result for made in _tensors(part)]
    return []
