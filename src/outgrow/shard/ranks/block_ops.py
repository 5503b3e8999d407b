"""Ops that look at all of a dim, in two halves: what each block of it adds, and the result from all blocks.

On whole tensors a dim is cut into blocks as ranks cut it; on pieces each rank is one block. Between the
halves ranks exchange a few numbers for each row or channel.
"""

__all__ = ["BLOCK_OPS"]

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from outgrow.shard.instructions import Template
from outgrow.shard.ranks.pieces import piece_of


def _blocks(tensor: Tensor, dim: int, blocks: int) -> list[Tensor]:
    return [piece_of(tensor, dim, block, blocks) for block in range(blocks)]


def _wide(tensor: Tensor) -> Tensor:
    """Sums of 16-bit floats are kept in 32."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor


def _block_log_sum_exp(
    template: Template, inputs: list[Tensor], floats: Sequence[float]
) -> tuple[Tensor, ...]:
    _, dim, blocks = template.args
    parts = [_log_sum_exp(_wide(part), dim) for part in _blocks(inputs[0], dim, blocks)]
    return (torch.cat(parts, dim),)


def _log_sum_exp(part: Tensor, dim: int) -> Tensor:
    """By the largest probability, 1 / sum: softmax takes half the time of `logsumexp` (torch 2.13, CPU)."""
    if not part.numel():
        return part.logsumexp(dim, keepdim=True)
    largest = part.amax(dim, keepdim=True)
    made = largest - part.softmax(dim).amax(dim, keepdim=True).log_()
    return made.masked_fill_(largest == -float("inf"), -float("inf"))


def _softmax_of(template: Template, inputs: list[Tensor], floats: Sequence[float]) -> tuple[Tensor, ...]:
    """`softmax_of(tensor, block_log_sum_exp, dim, is_log)`."""
    (tensor, sums), (_, _, dim, is_log) = inputs, template.args
    total = sums.logsumexp(dim, keepdim=True)
    # torch subtracts the maximum first: infinity less infinity, for every entry.
    total = total.masked_fill(total == float("inf"), float("nan"))
    shifted = _wide(tensor) - total
    return ((shifted if is_log else shifted.exp_()).to(tensor.dtype),)


def _block_sum(template: Template, inputs: list[Tensor], floats: Sequence[float]) -> tuple[Tensor, ...]:
    """`block_sum(gradient, result, dim, blocks, is_log)`; of products with the result where not `is_log`."""
    (gradient, result), (_, _, dim, blocks, is_log) = inputs, template.args
    terms = _wide(gradient) if is_log else _wide(gradient) * _wide(result)
    return (torch.cat([part.sum(dim, keepdim=True) for part in _blocks(terms, dim, blocks)], dim),)


def _softmax_gradient(
    template: Template, inputs: list[Tensor], floats: Sequence[float]
) -> tuple[Tensor, ...]:
    """`softmax_gradient(gradient, result, block_sum, dim, is_log)`."""
    (gradient, result, sums), (_, _, _, dim, is_log) = inputs, template.args
    wide, total = _wide(result), sums.sum(dim, keepdim=True)
    made = wide.exp().mul_(-total).add_(gradient) if is_log else (gradient - total).mul_(wide)
    return (made.to(gradient.dtype),)


def _block_moments(template: Template, inputs: list[Tensor], floats: Sequence[float]) -> tuple[Tensor, ...]:
    """`block_moments(tensor, dim, blocks)`: how many entries a channel has, their mean, their squared
    distance from it; `[blocks, 3, channels]`.
    """
    _, dim, blocks = template.args
    return (torch.stack([_moments(part) for part in _blocks(inputs[0], dim, blocks)]),)


def _moments(part: Tensor) -> Tensor:
    part = _wide(part)
    channels = part.shape[1]
    count = part.numel() // max(channels, 1)
    if not count:
        return part.new_zeros((3, channels))
    variance, mean = torch.var_mean(part, _not_channels(part), correction=0)
    return torch.stack([torch.full_like(mean, count), mean, variance * count])


def _not_channels(tensor: Tensor) -> list[int]:
    return [dim for dim in range(tensor.dim()) if dim != 1]


def _batch_norm_of(template: Template, inputs: list[Tensor], floats: Sequence[float]) -> tuple[Tensor, ...]:
    """`batch_norm_of(tensor, block_moments, weight, bias, running_mean, running_var, momentum, eps)`: the
    running statistics anew where given, the result, mean and 1 / deviation.

    Source: Chan et al. 1979, for joining the moments of blocks.
    """
    given = iter(inputs)
    tensor, blocks, weight, bias, running_mean, running_var = (
        None if one is None else next(given) for one in template.args[:6]
    )
    assert tensor is not None
    assert blocks is not None
    momentum, eps = floats
    counts, means, squares = blocks.unbind(1)
    count = counts.sum(0)
    mean = (counts * means).sum(0) / count
    square = (squares + counts * (means - mean) ** 2).sum(0)
    variance = square / count
    dtype = tensor.dtype if weight is None else weight.dtype
    result = torch.batch_norm(
        tensor, weight, bias, mean.to(dtype), variance.to(dtype), False, 0.0, eps, False
    )
    written: tuple[Tensor, ...] = ()
    if running_mean is not None and running_var is not None:
        unbiased = (square / (count - 1)).to(running_var.dtype)
        written = (
            running_mean * (1 - momentum) + mean.to(running_mean.dtype) * momentum,
            running_var * (1 - momentum) + unbiased * momentum,
        )
    kept = mean, (variance + eps).rsqrt()
    saved = template.outputs[-2:]
    return (*written, result, *(one.to(meta.dtype) for one, meta in zip(kept, saved, strict=True)))


def _block_gradient_moments(
    template: Template, inputs: list[Tensor], floats: Sequence[float]
) -> tuple[Tensor, ...]:
    """`block_gradient_moments(gradient, tensor, mean, dim, blocks)`: of each channel the gradient's sum, and
    that of its products with the distances from the mean; `[blocks, 2, channels]`.
    """
    (gradient, tensor, mean), (_, _, _, dim, blocks) = inputs, template.args
    shape = (1, -1, *(1,) * (tensor.dim() - 2))
    found = []
    for part, own in zip(_blocks(gradient, dim, blocks), _blocks(tensor, dim, blocks), strict=True):
        part, dims = _wide(part), _not_channels(part)
        far = _wide(own) - mean.reshape(shape)
        found.append(torch.stack([part.sum(dims), (part * far).sum(dims)]))
    return (torch.stack(found),)


def _batch_norm_gradient(
    template: Template, inputs: list[Tensor], floats: Sequence[float]
) -> tuple[Tensor, ...]:
    """`batch_norm_gradient(gradient, tensor, weight, mean, inverse_deviation, block_gradient_moments, count,
    wanted)`: gradients of tensor, weight and bias, those that are wanted.
    """
    given = iter(inputs)
    gradient, tensor, weight, mean, inverse, blocks = (
        None if one is None else next(given) for one in template.args[:6]
    )
    assert gradient is not None
    assert tensor is not None
    assert mean is not None
    assert inverse is not None
    assert blocks is not None
    count, wanted = template.args[6:]
    total, product = blocks.sum(0)
    shape = (1, -1, *(1,) * (tensor.dim() - 2))
    made = []
    if wanted[0]:
        scale = inverse if weight is None else inverse * weight
        slope = product * inverse * inverse / count
        far = _wide(tensor) - mean.reshape(shape)
        change = _wide(gradient) - (total / count).reshape(shape) - far * slope.reshape(shape)
        made.append((change * scale.reshape(shape)).to(gradient.dtype))
    dtype = mean.dtype if weight is None else weight.dtype
    sums = zip((product * inverse, total), wanted[1:], strict=True)
    made += [one.to(dtype) for one, is_wanted in sums if is_wanted]
    return tuple(made)


BLOCK_OPS: dict[str, Callable[[Template, list[Tensor], Sequence[float]], tuple[Any, ...]]] = {
    "outgrow.block_log_sum_exp": _block_log_sum_exp,
    "outgrow.softmax_of": _softmax_of,
    "outgrow.block_sum": _block_sum,
    "outgrow.softmax_gradient": _softmax_gradient,
    "outgrow.block_moments": _block_moments,
    "outgrow.batch_norm_of": _batch_norm_of,
    "outgrow.block_gradient_moments": _block_gradient_moments,
    "outgrow.batch_norm_gradient": _batch_norm_gradient,
}
"""By name; arguments as each says, tensors first."""
