"""Insert layers that begin as the identity behind an activation that leaves alone what it made itself."""

__all__ = ["Link", "find_links", "maker_of"]

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from outgrow.evolve.flow.insertion import Inserted, insert_into, is_numbered, renamed_below
from outgrow.evolve.flow.recording import Call, Flow, Node
from outgrow.evolve.flow.wrapping import layer_like, set_mode
from outgrow.evolve.surgery.surgery import Surgery

_CONVOLUTIONS = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}

_KEEPS_SIGN = frozenset(
    {
        "view", "_unsafe_view", "clone", "alias", "detach", "native_dropout", "dropout",
        "max_pool2d_with_indices", "max_pool2d", "avg_pool2d", "_adaptive_avg_pool2d", "max_pool1d",
        "mean", "avg_pool1d", "slice", "cat", "max_pool3d_with_indices", "avg_pool3d", "permute",
        "transpose", "adaptive_max_pool2d",
    }
)  # fmt: skip
"""Ops that make no negative numbers of what is not negative."""

_ELEMENTWISE = _KEEPS_SIGN | {
    "relu", "relu_", "native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm",
    "add", "add_", "_native_batch_norm_legit", "native_group_norm", "native_layer_norm", "hardtanh",
    "hardtanh_", "mul", "mul_", "leaky_relu",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Identity layers, each with a ReLU behind it, after the module `name` or in front of it."""

    name: str
    """Qualified name of a module."""
    is_before: bool
    """Whether the layers come before `name`: what it gets is not negative. Else what it gives is not."""
    like: str
    """The weight that made what flows there: dtype, device and memory format are its own."""
    width: int
    """Channels."""
    dims: int
    """How many dims there are; 2, or with the channels last, means a linear layer."""
    is_linear: bool
    """Whether the layers are linear ones, else convolutions."""
    kernel_size: int
    """Of the convolutions, in every dim."""
    count: int = 1
    """How many layers."""

    def apply(self, surgery: Surgery) -> Inserted:
        """Insert them: into the `Sequential` that `name` is in, else as a `Sequential` in its place."""
        model = surgery.model
        parent_name, _, key = self.name.rpartition(".")
        parent, module = model.get_submodule(parent_name), model.get_submodule(self.name)
        weight = model.get_parameter(self.like)
        made: list[nn.Module] = []
        for _ in range(self.count):
            layer = self._layer(weight)
            surgery.added.extend((new, weight) for new in layer.parameters())
            made += [layer, nn.ReLU()]
        for one in made:
            set_mode(one, like=module)
        if isinstance(parent, nn.Sequential) and is_numbered(parent):
            return insert_into(surgery, self.name, made, is_before=self.is_before)
        order = [*made, module] if self.is_before else [module, *made]
        wrapper = nn.Sequential(*order)
        wrapper.training = module.training
        place = order.index(module)
        renamed = renamed_below(model, self.name, f"{self.name}.{place}")
        surgery.rearrange(parent, {**parent._modules, key: wrapper})
        return Inserted(new=tuple(f"{self.name}.{order.index(one)}" for one in made), renamed=renamed)

    def _layer(self, like: Tensor) -> nn.Module:
        if self.is_linear:
            layer: nn.Module = layer_like(like, nn.Linear, self.width, self.width)
            nn.init.eye_(layer.get_parameter("weight").data)
        else:
            size = self.kernel_size
            kind = _CONVOLUTIONS[self.dims]
            layer = layer_like(like, kind, self.width, self.width, size, padding=size // 2)
            nn.init.dirac_(layer.get_parameter("weight").data)
        nn.init.zeros_(layer.get_parameter("bias").data)
        return layer


def find_links(model: nn.Module, flow: Flow) -> Iterator[Link]:
    """The places for identity layers, in the order in which the model runs them; a claim, to be tried."""
    counts: dict[str, int] = {}
    for call in flow.calls:
        counts[call.name] = counts.get(call.name, 0) + 1
    covered: set[Node] = set()
    for call in flow.calls:
        module = model.get_submodule(call.name)
        if not call.name or counts[call.name] != 1 or not call.alone or not call.gave:
            continue
        if isinstance(module, nn.ReLU | nn.ReLU6):
            covered.add(call.gave[0])
            link = _link(call, call.gave[0], is_before=False)
        elif isinstance(module, nn.Linear | nn.modules.conv._ConvNd) and call.arguments == 1:
            source = call.given[0]
            start = _activation(source)
            if start is None or start in covered or len(start.shape) != len(source.shape):
                continue
            link = _link(call, source, is_before=True)
        else:
            continue
        if link is not None:
            yield link


def _activation(node: Node) -> Node | None:
    """The ReLU that made sure that nothing in `node` is negative; None where none did."""
    while node.op in _KEEPS_SIGN and node.place == 0 and node.args and isinstance(node.args[0], Node):
        node = node.args[0]
    return node if node.op in {"relu", "relu_"} else None


def _link(call: Call, node: Node, *, is_before: bool) -> Link | None:
    """The layers that fit where `node` flows; None where nobody can say which of its dims are channels."""
    maker = maker_of(node)
    if maker is None or not node.dtype.is_floating_point:
        return None
    is_conv, weight, kernel = maker
    if is_conv and len(node.shape) not in _CONVOLUTIONS:
        is_conv = False
        if len(node.shape) != 2:
            return None
    return Link(
        name=call.name,
        is_before=is_before,
        like=weight,
        width=node.shape[1] if is_conv else node.shape[-1],
        dims=len(node.shape),
        is_linear=not is_conv,
        kernel_size=kernel if is_conv else 1,
    )


def maker_of(node: Node) -> tuple[bool, str, int] | None:
    """Whether a convolution made `node`, its weight, and the kernel for layers behind it.

    3 where its own looks as far ahead as back, else 1: what looks back only has to go on doing so.
    """
    while node.op in _ELEMENTWISE and node.args:
        first = node.args[0][0] if isinstance(node.args[0], tuple | list) else node.args[0]
        if not isinstance(first, Node):
            return None
        node = first
    if node.op == "convolution":
        weight = node.args[1]
        if weight.op != "weight":
            # Masked, or made of other weights: nobody knows where it looks.
            behind = next((one for one in weight.sources() if one.op == "weight"), None)
            return None if behind is None else (True, behind.weight, 1)
        sizes, padding, dilation = weight.shape[2:], node.args[4], node.args[5]
        is_even = all(
            2 * p == d * (size - 1) and size >= 3 for size, p, d in zip(sizes, padding, dilation, strict=True)
        )
        return True, weight.weight, 3 if is_even else 1
    if node.op in {"addmm", "mm", "linear"}:
        for source in node.sources():
            while source.op in {"t", "transpose", "view"} and source.args:
                source = source.args[0]
            if source.op == "weight" and len(source.shape) == 2:
                return False, source.weight, 1
    return None
