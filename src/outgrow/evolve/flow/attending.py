"""Insert self-attention behind a module, whose last layer is zero."""

__all__ = ["Attention", "attended_places"]

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from outgrow.evolve.flow.chain import maker_of
from outgrow.evolve.flow.insertion import Inserted, insert_into, is_numbered, renamed_below
from outgrow.evolve.flow.recording import Call, Flow
from outgrow.evolve.flow.wrapping import draw, layer_like, set_mode
from outgrow.evolve.layers.attention import Followed, ResidualAttention
from outgrow.evolve.surgery.surgery import Surgery


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Self-attention behind `name`."""

    name: str
    """Qualified name of the module."""
    like: str
    """A weight whose dtype and device the new ones take."""
    channels: int
    """What the module gives."""
    dims: int
    """3 for `[batch, seq, channels]`, 4 for `[batch, channels, height, width]`."""
    num_heads: int = 1
    """How many heads."""
    head_dim: int = 1
    """Channels of each."""
    is_causal: bool = False
    """Whether no position looks ahead."""
    norm: str = "none"
    """What comes before the projections: `none`, `layer` or `rms`."""
    is_cached: bool = False
    """Whether the module gets a cache: the model is then told to use none."""
    seed: int = 0
    """Of what the projections begin with."""

    def apply(self, surgery: Surgery) -> Inserted:
        """Into the `Sequential` that the module is in, else as a `Followed` in its place."""
        model = surgery.model
        name, _, key = self.name.rpartition(".")
        parent, trunk = model.get_submodule(name), model.get_submodule(self.name)
        attention = self._made(model)
        set_mode(attention, like=trunk)
        like = model.get_parameter(self.like)
        surgery.added.extend((new, like) for new in attention.parameters())
        if self.is_cached:
            _use_no_cache(surgery)
        if isinstance(parent, nn.Sequential) and is_numbered(parent):
            return insert_into(surgery, self.name, [attention])
        wrapper = Followed(trunk, attention)
        renamed = renamed_below(model, self.name, f"{self.name}.trunk")
        surgery.rearrange(parent, {**parent._modules, key: wrapper})
        return Inserted(new=(self.name, f"{self.name}.attention"), renamed=renamed)

    def _made(self, model: nn.Module) -> ResidualAttention:
        like = model.get_parameter(self.like)
        inner = self.num_heads * self.head_dim
        sizes = dict.fromkeys(("q_proj", "k_proj", "v_proj"), (self.channels, inner))
        sizes["out_proj"] = (inner, self.channels)
        projections = {name: layer_like(like, nn.Linear, *size, bias=False) for name, size in sizes.items()}
        generator = torch.Generator().manual_seed(self.seed)
        for name, layer in projections.items():
            if name == "out_proj":
                layer.weight.data.zero_()
            else:
                draw(layer.weight.data, generator)
        norm: nn.Module | None = None
        if self.norm == "layer":
            norm = nn.LayerNorm(self.channels, dtype=like.dtype, device=like.device)
        elif self.norm == "rms":
            norm = nn.RMSNorm(self.channels, eps=1e-6, dtype=like.dtype, device=like.device)
        return ResidualAttention(norm, projections, head_dim=self.head_dim, is_causal=self.is_causal)


def _use_no_cache(surgery: Surgery) -> None:
    for module in surgery.model.modules():
        for attribute in ("config", "generation_config"):
            config = getattr(module, attribute, None)
            if getattr(config, "use_cache", None) is True:
                surgery.assign(config, "use_cache", False)


def attended_places(model: nn.Module, flow: Flow) -> Iterator[Attention]:
    """The modules behind which attention could come; a claim, to be tried."""
    seen: dict[str, int] = {}
    for call in flow.calls:
        seen[call.name] = seen.get(call.name, 0) + 1
    for call in flow.calls:
        if call.name and seen[call.name] == 1 and call.gave:
            place = _place(model, call)
            if place is not None:
                yield place


def _place(model: nn.Module, call: Call) -> Attention | None:
    gave = call.gave[0]
    maker = maker_of(gave)
    is_map = maker is not None and maker[0]
    if not gave.dtype.is_floating_point or len(gave.shape) != (4 if is_map else 3):
        return None
    module = model.get_submodule(call.name)
    own = {f"{call.name}.{name}": one.dim() for name, one in module.named_parameters()}
    matrix = next((name for name, dims in own.items() if dims > 1), None)
    like = matrix or (maker[1] if maker is not None else next(iter(own), None))
    if like is None:
        return None
    channels = gave.shape[1] if is_map else gave.shape[2]
    return Attention(name=call.name, like=like, channels=channels, dims=len(gave.shape))
