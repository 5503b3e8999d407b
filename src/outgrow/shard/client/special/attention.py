"""Attention: the kernel that torch takes for it on the CPU, where workers compute there."""

__all__ = ["attention", "special_attention"]

import functools
from typing import Any

import torch
from torch import Tensor

from outgrow.shard.client.forms import Form
from outgrow.shard.client.outside import outside
from outgrow.shard.client.tensor import WorkersTensor

_aten = torch.ops.aten
_FLASH = 1
"""torch.nn.attention.SDPBackend.FLASH_ATTENTION"""


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`scaled_dot_product_attention` of `[..., heads, seq, dim]`: in one op where torch has one for the CPU.

    Source: at::native::scaled_dot_product_attention.
    """
    given = (query, key, value) if attn_mask is None else (query, key, value, attn_mask)
    if all(isinstance(one, WorkersTensor) for one in given) and not torch.cuda.is_available():
        forms = tuple(one._form for one in given)  # type: ignore[attr-defined]
        has_gradient = attn_mask is not None and attn_mask.requires_grad
        is_allowed = torch._C._get_flash_sdp_enabled()
        choice = _choice(forms, has_gradient, dropout_p, is_causal, scale, enable_gqa)
        if is_allowed and choice == _FLASH:
            if attn_mask is not None and attn_mask.dtype is torch.bool:
                blocked = torch.full((), float("-inf"), dtype=query.dtype, device=query.device)
                attn_mask = torch.where(attn_mask, torch.zeros_like(blocked), blocked)
            result: Tensor = _aten._scaled_dot_product_flash_attention_for_cpu(
                query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale
            )[0]
            return result
    decomposed: Tensor = _aten.scaled_dot_product_attention.default.decompose(
        query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
    )
    return decomposed


@functools.lru_cache(1024)
def _choice(
    forms: tuple[Form, ...],
    has_gradient: bool,
    dropout_p: float,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> int:
    """What torch chooses on the CPU, asked with tensors that hold next to nothing; 0 where it refuses."""
    with outside():
        probes: list[Any] = [_probe(form) for form in forms]
        mask = probes[3].requires_grad_(has_gradient) if len(probes) > 3 else None
        try:
            return int(
                _aten._fused_sdp_choice(
                    *probes[:3], mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
                )
            )
        except RuntimeError:
            return 0  # torch says it again, on the tensors themselves


def _probe(form: Form) -> Tensor:
    """A tensor of this shape: the last dim laid out alike, the others without memory of their own."""
    if not form.shape:
        return torch.empty((), dtype=form.dtype)
    row = torch.empty_strided(form.shape[-1:], form.stride[-1:], dtype=form.dtype)
    return row.expand(form.shape)


def special_attention(op: Any, args: Any, kwargs: dict[str, Any]) -> Tensor:
    """The same, where torch asks for it within an op."""
    return attention(*args, **kwargs)
