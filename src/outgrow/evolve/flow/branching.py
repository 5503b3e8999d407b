"""Insert a second way beside a module, whose last layer is zero."""

__all__ = ["Branch", "find_branches"]

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.evolve.flow.chain import maker_of
from outgrow.evolve.flow.insertion import Inserted, renamed_below
from outgrow.evolve.flow.recording import Call, Flow
from outgrow.evolve.flow.wrapping import draw, layer_like, set_mode
from outgrow.evolve.layers.branched import Branched
from outgrow.evolve.surgery.surgery import Surgery

_CONVOLUTIONS = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}
_GEOMETRY = ("kernel_size", "stride", "padding", "dilation", "padding_mode")
_PLAIN = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A way beside `name`: a layer to `hidden` channels, a GELU, and a layer of zeros."""

    name: str
    """Qualified name of the module."""
    like: str
    """A weight whose dtype, device and memory format the new ones take."""
    channels_in: int
    """What the module gets."""
    channels_out: int
    """What it gives."""
    dims: int
    """0 where the layers are linear ones, else how many dims the tensors have that they convolve."""
    hidden: int = 0
    """Channels between the two layers."""
    seed: int = 0
    """Of what the first layer begins with."""

    def apply(self, surgery: Surgery) -> Inserted:
        """Put a `Branched` in the place of the module."""
        model = surgery.model
        name, _, key = self.name.rpartition(".")
        parent, trunk = model.get_submodule(name), model.get_submodule(self.name)
        like = model.get_parameter(self.like)
        reduce, expand = self._layers(trunk, like)
        generator = torch.Generator().manual_seed(self.seed)
        with torch.no_grad():
            draw(reduce.get_parameter("weight"), generator)
            reduce.get_parameter("bias").zero_()
            expand.get_parameter("weight").zero_()
        layers = OrderedDict[str, nn.Module](reduce=reduce, activation=nn.GELU(), expand=expand)
        wrapper = Branched(trunk, nn.Sequential(layers))
        set_mode(wrapper.branch, like=trunk)
        surgery.added.extend((new, like) for new in wrapper.branch.parameters())
        renamed = renamed_below(model, self.name, f"{self.name}.trunk")
        surgery.rearrange(parent, {**parent._modules, key: wrapper})
        return Inserted(new=(self.name, f"{self.name}.branch"), renamed=renamed)

    def _layers(self, trunk: nn.Module, like: Tensor) -> tuple[nn.Module, nn.Module]:
        sizes = (self.channels_in, self.hidden)
        if not self.dims:
            expand: nn.Module = layer_like(like, nn.Linear, self.hidden, self.channels_out, bias=False)
            return layer_like(like, nn.Linear, *sizes), expand
        point = _CONVOLUTIONS[self.dims]
        expand = layer_like(like, point, self.hidden, self.channels_out, 1, bias=False)
        if type(trunk) in (*_PLAIN, *_TRANSPOSED):
            options: dict[str, Any] = {name: getattr(trunk, name) for name in _GEOMETRY}
            if type(trunk) in _TRANSPOSED:
                options["output_padding"] = getattr(trunk, "output_padding")  # noqa: B009
            return layer_like(like, type(trunk), *sizes, **options), expand
        return layer_like(like, point, *sizes, 1), expand


def find_branches(model: nn.Module, flow: Flow) -> Iterator[Branch]:
    """The modules beside which there could be a second way; a claim, to be tried."""
    seen: set[str] = set()
    for call in flow.calls:
        if not call.name or call.name in seen or not call.given or not call.gave:
            continue
        seen.add(call.name)
        branch = _branch(model, call)
        if branch is not None:
            yield branch


def _branch(model: nn.Module, call: Call) -> Branch | None:
    got, gave = call.given[0], call.gave[0]
    module = model.get_submodule(call.name)
    own = [f"{call.name}.{name}" for name, one in module.named_parameters() if one.dim() > 1]
    floats = got.dtype.is_floating_point and gave.dtype.is_floating_point
    if not own or not floats or len(got.shape) != len(gave.shape) or len(got.shape) < 2:
        return None
    dims = len(got.shape)
    maker = maker_of(gave)
    is_conv = dims in _CONVOLUTIONS and maker is not None and maker[0]
    if is_conv:
        # Beside a masked convolution, or a whole block, the new one must not look around.
        same = got.shape[2:] == gave.shape[2:]
        if got.shape[0] != gave.shape[0] or not (same or type(module) in (*_PLAIN, *_TRANSPOSED)):
            return None
        ins, outs = got.shape[1], gave.shape[1]
    else:
        is_unknown = maker is None and dims > 3
        if got.shape[:-1] != gave.shape[:-1] or is_unknown:
            return None
        ins, outs = got.shape[-1], gave.shape[-1]
    return Branch(
        name=call.name,
        like=own[0],
        channels_in=ins,
        channels_out=outs,
        dims=dims if is_conv else 0,
    )
