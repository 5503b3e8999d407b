"""Self-attention that can be put behind a module."""

__all__ = ["Followed", "ResidualAttention"]

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from outgrow.errors import InputError
from outgrow.evolve.layers.around import Around, with_first


class ResidualAttention(nn.Module):
    """`x + out_proj(attention(norm(x)))` over the positions of `x`.

    `x` is `[batch, seq, channels]` or `[batch, channels, height, width]`, whose positions are taken row by
    row. It knows no positions of its own. The number of heads is that of `q_proj`'s outputs by `head_dim`, so
    that heads can be added and removed.
    """

    def __init__(
        self,
        norm: nn.Module | None,
        projections: dict[str, nn.Linear],
        *,
        head_dim: int,
        is_causal: bool,
    ) -> None:
        super().__init__()
        self.norm = nn.Identity() if norm is None else norm
        self.q_proj = projections["q_proj"]
        self.k_proj = projections["k_proj"]
        self.v_proj = projections["v_proj"]
        self.out_proj = projections["out_proj"]
        self.head_dim = head_dim
        self.is_causal = is_causal

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from each position to all, or, where it is causal, to those up to it.

        Args:
            x: `[batch, seq, channels]` or `[batch, channels, height, width]`.
            mask: `[batch or 1, heads or 1, seq or 1, seq]`: bool, True where to look, or floats to be added.
        """
        rows = x.flatten(2).transpose(1, 2) if x.dim() == 4 else x
        batch, seq, _ = rows.shape
        normed = self.norm(rows)
        q, k, v = (
            projection(normed).view(batch, seq, -1, self.head_dim).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        if mask is not None and self.is_causal:
            ahead = torch.ones(seq, seq, dtype=torch.bool, device=x.device).triu(1)
            mask = mask.masked_fill(ahead, False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min)
        mixed = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=self.is_causal and mask is None
        )
        beside = self.out_proj(mixed.transpose(1, 2).reshape(batch, seq, -1))
        result: Tensor = x + (beside.transpose(1, 2).reshape(x.shape) if x.dim() == 4 else beside)
        return result


class Followed(Around):
    """`attention` behind `trunk`, with the mask that the trunk gets.

    Attention keeps no keys and values of earlier calls: decoding with a cache that holds some is refused.
    """

    attention: ResidualAttention

    def __init__(self, trunk: nn.Module, attention: ResidualAttention) -> None:
        super().__init__(trunk)
        self.attention = attention

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the trunk, and attend over what it gives.

        Raises:
            InputError: a cache holds tokens of earlier calls.
        """
        output = self.trunk(*args, **kwargs)
        given = inspect.signature(self.trunk.forward).bind(*args, **kwargs).arguments
        given.update(given.pop("kwargs", {}))
        return with_first(output, lambda x: self.attention(x, self._mask(x, given)))

    def _mask(self, x: Tensor, given: dict[str, Any]) -> Tensor | None:
        seq = x.shape[1]
        for name, value in given.items():
            length = getattr(value, "get_seq_length", None)
            # The trunk has already put what it was called with into the cache.
            if self.attention.is_causal and length is not None and int(length()) > seq:
                raise InputError(
                    f"{name} holds {int(length())} tokens, and inserted attention sees the last {seq} only",
                    hint="it keeps no cache: call the model, or generate(), with use_cache=False",
                )
        mask = given.get("attention_mask")
        if not isinstance(mask, Tensor) or mask.dim() != 4 or x.dim() != 3:
            return None
        if mask.shape[-1] != seq or mask.shape[-2] not in (1, seq) or mask.shape[1] != 1:
            return None
        if mask.dtype == torch.bool or mask.is_floating_point():
            return mask if mask.dtype == torch.bool else mask.to(x.dtype)
        return None
