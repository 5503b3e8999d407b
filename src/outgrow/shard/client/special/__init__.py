"""Ops that are not simply one instruction."""

__all__ = ["SPECIAL"]

from collections.abc import Callable
from typing import Any

import torch

from outgrow.shard.client.special.attention import special_attention
from outgrow.shard.client.special.contents import (
    copy_,
    copy_as,
    equal,
    fill_,
    fill_tensor_,
    is_exchangeable,
    item,
    same,
    to_copy,
    zero_,
)
from outgrow.shard.client.special.creation import like
from outgrow.shard.client.special.lists import each, each_whole
from outgrow.shard.client.special.normalization import (
    native_batch_norm,
    native_batch_norm_out,
    refuse_hidden_writes,
)
from outgrow.shard.client.special.random_numbers import drawn_in_place, drawn_like, native_dropout
from outgrow.shard.client.special.recurrent import gru_cell, lstm_cell
from outgrow.shard.client.special.reshaping import as_strided, change_view, resize_, set_tensor_

_aten = torch.ops.aten
Special = Callable[[Any, Any, dict[str, Any]], Any]


def _all(*names: str) -> list[Any]:
    """All overloads of ops of these names that write into no `out`."""
    found: list[Any] = []
    for name in names:
        packet = getattr(_aten, name)
        found.extend(getattr(packet, one) for one in packet.overloads() if not one.endswith("out"))
    return found


def _lists() -> list[Any]:
    known = torch._C._dispatch_get_all_op_names()
    names = {
        name.partition(".")[0].removeprefix("aten::") for name in known if name.startswith("aten::_foreach_")
    }
    return _all(*sorted(names))


SPECIAL: dict[Any, Special] = {
    _aten.detach.default: same,
    _aten.alias.default: same,
    _aten.lift_fresh.default: same,
    _aten.clone.default: copy_as,
    _aten.contiguous.default: copy_as,
    _aten._to_copy.default: to_copy,
    _aten.copy_.default: copy_,
    _aten._local_scalar_dense.default: item,
    _aten.equal.default: equal,
    _aten.zero_.default: zero_,
    _aten.fill_.Scalar: fill_,
    _aten.fill_.Tensor: fill_tensor_,
    _aten.as_strided.default: as_strided,
    _aten.resize_.default: resize_,
    _aten.set_.source_Tensor: set_tensor_,
    _aten._has_compatible_shallow_copy_type.default: is_exchangeable,
    _aten._thnn_fused_lstm_cell.default: lstm_cell,
    _aten._thnn_fused_gru_cell.default: gru_cell,
    _aten.scaled_dot_product_attention.default: special_attention,
    _aten.native_batch_norm.default: native_batch_norm,
    _aten.native_batch_norm.out: native_batch_norm_out,
    _aten.native_dropout.default: native_dropout,
    **dict.fromkeys(
        _all(
            "t_", "transpose_", "squeeze_", "unsqueeze_", "as_strided_", "swapdims_", "swapaxes_",
        ),
        change_view,
    ),
    **dict.fromkeys(
        _all(
            "empty_like", "zeros_like", "ones_like", "full_like",
            "new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided",
        ),
        like,
    ),
    **dict.fromkeys(_all("rand_like", "randn_like", "randint_like"), drawn_like),
    **dict.fromkeys(
        (
            _aten.normal_.default, _aten.uniform_.default, _aten.exponential_.default,
            _aten.geometric_.default, _aten.cauchy_.default, _aten.log_normal_.default,
            _aten.bernoulli_.float,
            _aten.random_.default, _aten.random_.to, getattr(_aten.random_, "from"),
        ),
        drawn_in_place,
    ),
    **dict.fromkeys(
        _all("batch_norm_update_stats", "cudnn_batch_norm", "miopen_batch_norm"), refuse_hidden_writes
    ),
    **dict.fromkeys(_lists(), each),
    **dict.fromkeys(_all("_foreach_zero_", "_foreach_copy_", "_foreach_copy", "_foreach_norm"), each_whole),
}  # fmt: skip
"""By op: what is done instead."""
