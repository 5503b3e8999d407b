"""Batch norm: its running statistics change, though the op's schema does not say so."""

__all__ = ["native_batch_norm", "native_batch_norm_out", "refuse_hidden_writes"]

from typing import Any

import torch

from outgrow.errors import InputError
from outgrow.shard.client.inference import op_name
from outgrow.shard.client.recording import record

_aten = torch.ops.aten


def refuse_hidden_writes(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Ops that write into arguments though their schema does not say so, and that no module of torch's calls.

    Raises:
        InputError: always.
    """
    raise InputError(
        f"{op_name(op)} changes its arguments unseen, so workers do not run it",
        hint="use torch.nn.functional.batch_norm, or do it on the CPU: .cpu()",
    )


def native_batch_norm_out(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """As `native_batch_norm`, then copied out."""
    outs = [kwargs[name] for name in ("out", "save_mean", "save_invstd")]
    given = {name: value for name, value in kwargs.items() if name not in ("out", "save_mean", "save_invstd")}
    results = native_batch_norm(_aten.native_batch_norm.default, args, given)
    for out, result in zip(outs, results, strict=True):
        if out.shape != result.shape:
            out.resize_(result.shape)
        out.copy_(result)
    return tuple(outs)


def native_batch_norm(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The same by the ops whose schema says what they write."""
    names = [argument.name for argument in op._schema.arguments]
    given = dict(zip(names, args, strict=False)) | kwargs
    data, weight, bias = given["input"], given["weight"], given["bias"]
    mean, variance = given["running_mean"], given["running_var"]
    training, momentum, eps = given["training"], given["momentum"], given["eps"]
    if mean is None and variance is None:
        return record(_aten._native_batch_norm_legit.no_stats, (data, weight, bias, training, momentum, eps))
    if training:
        return record(
            _aten._native_batch_norm_legit.default,
            (data, weight, bias, mean, variance, training, momentum, eps),
        )
    return record(
        _aten._native_batch_norm_legit_no_training.default,
        (data, weight, bias, mean, variance, momentum, eps),
    )
