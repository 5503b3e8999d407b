"""Change a module's form without changing what it gives."""

__all__ = ["ACTIVATIONS", "MUTATIONS", "Mutation", "mutate_sites", "possible_mutations"]

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.flow.chain import maker_of
from outgrow.evolve.flow.insertion import Inserted, width_of
from outgrow.evolve.flow.kinds import tried_by_kind
from outgrow.evolve.flow.probing import Probe
from outgrow.evolve.flow.recording import Flow, record_flow
from outgrow.evolve.flow.trial import try_insertion
from outgrow.evolve.sites.site import Site
from outgrow.evolve.surgery.surgery import Reindexing, Surgery

MUTATIONS = {
    "kernel": "a larger kernel whose new rim is zero, with as much more padding",
    "ungroup": "a grouped convolution as a dense one, zero between what were groups",
    "prelu": "a ReLU or LeakyReLU as a PReLU that begins with the same slope",
    "activation": "another activation; what it gives changes",
}
"""What `mutate` can do; all but `activation` leave the outputs as they are."""

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
}
"""What `mutate(method="activation", to=...)` can put in an activation's place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One module in another form."""

    name: str
    """Qualified name."""
    method: str
    """A key of `MUTATIONS`."""
    width: int
    """Channels of what it gives."""
    like: str = ""
    """A weight whose dtype and device a new one takes."""
    kernel_size: int = 0
    """Of the larger kernel, in its first dim; the others grow by as much."""
    to: str = ""
    """A key of `ACTIVATIONS`."""

    def apply(self, surgery: Surgery) -> Inserted:
        """Change it in place, or exchange it."""
        module = surgery.model.get_submodule(self.name)
        if self.method == "kernel":
            assert isinstance(module, nn.Conv2d)
            _enlarge(surgery, module, (self.kernel_size - module.kernel_size[0]) // 2)
        elif self.method == "ungroup":
            assert isinstance(module, nn.modules.conv._ConvNd)
            _ungroup(surgery, module)
        else:
            _exchange(surgery, self.name, self._activation(surgery, module))
        return Inserted(new=(self.name,))

    def _activation(self, surgery: Surgery, module: nn.Module) -> nn.Module:
        if self.method == "activation":
            made = ACTIVATIONS[self.to]()
        else:
            like = surgery.model.get_parameter(self.like)
            slope = module.negative_slope if isinstance(module, nn.LeakyReLU) else 0.0
            made = nn.PReLU(init=slope, dtype=like.dtype, device=like.device)
            surgery.added.extend((new, like) for new in made.parameters())
        made.training = module.training
        return made


def _enlarge(surgery: Surgery, module: nn.Conv2d, by: int) -> None:
    weight = module.weight
    contents = functional.pad(weight.data, (by, by) * 2)
    if weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous():
        contents = contents.contiguous(memory_format=torch.channels_last)
    reindexings = []
    for dim in (2, 3):
        places = torch.arange(-by, weight.shape[dim] + by)
        inside = (places >= 0) & (places < weight.shape[dim])
        gather = places.clamp(0, weight.shape[dim] - 1)
        reindexings.append(Reindexing(dim=dim, gather=gather, fresh=~inside))
    surgery.replace(weight, contents, *reindexings)
    surgery.assign(module, "kernel_size", tuple(size + 2 * by for size in module.kernel_size))
    if not isinstance(module.padding, str):
        padding = [pad + by * d for pad, d in zip(module.padding, module.dilation, strict=True)]
        surgery.assign(module, "padding", tuple(padding))
        twice = [pad for pad in reversed(padding) for _ in range(2)]
        surgery.assign(module, "_reversed_padding_repeated_twice", twice)


def _ungroup(surgery: Surgery, module: nn.modules.conv._ConvNd) -> None:
    weight, groups = module.weight.data, module.groups
    dense = weight.new_zeros(weight.shape[0], weight.shape[1] * groups, *weight.shape[2:])
    rows, columns = weight.shape[0] // groups, weight.shape[1]
    for group in range(groups):
        here = slice(group * rows, (group + 1) * rows)
        dense[here, group * columns : (group + 1) * columns] = weight[here]
    surgery.replace(module.weight, dense)
    surgery.assign(module, "groups", 1)


def _exchange(surgery: Surgery, name: str, made: nn.Module) -> None:
    home, _, key = name.rpartition(".")
    parent = surgery.model.get_submodule(home)
    surgery.rearrange(parent, {**parent._modules, key: made})


def possible_mutations(model: nn.Module, inputs: ExampleInputs, flow: Flow) -> list[Mutation]:
    """The exact ones, in the order in which the model runs the modules; a claim, to be tried."""
    found: dict[tuple[str, str], Mutation] = {}
    probes: list[Probe] = []
    for call in flow.calls:
        if not call.name or not call.gave or (module := model.get_submodule(call.name)) is None:
            continue
        width = width_of(call.gave[0])
        if type(module) in (nn.ReLU, nn.LeakyReLU) and (maker := maker_of(call.gave[0])):
            one = Mutation(name=call.name, method="prelu", width=width, like=maker[1])
            found.setdefault((call.name, one.method), one)
        if type(module) is nn.Conv2d and _is_floating(module.weight):
            if module.padding_mode == "zeros":
                probes = probes or [Probe(model, inputs)]
                # A rim around the kernel would look ahead where a model looks back only.
                if probes[0].looks_back_only(call.name) is False:
                    size = module.kernel_size[0] + 2
                    one = Mutation(name=call.name, method="kernel", width=width, kernel_size=size)
                    found.setdefault((call.name, one.method), one)
            if module.groups > 1:
                one = Mutation(name=call.name, method="ungroup", width=width)
                found.setdefault((call.name, one.method), one)
    return list(found.values())


def _is_floating(weight: Tensor) -> bool:
    return weight.is_floating_point() and isinstance(weight, nn.Parameter)


def mutate_sites(model: nn.Module, inputs: ExampleInputs) -> list[Site]:
    """The modules that can take another form and give the same; one of each kind was tried."""
    model = unwrapped(model)
    flow = record_flow(model, inputs)
    claims = possible_mutations(model, inputs, flow)
    methods: dict[str, list[str]] = {}
    widths: dict[str, int] = {}
    for method in MUTATIONS:
        alike = [one for one in claims if one.method == method]
        good = tried_by_kind(
            model,
            alike,
            lambda one: one.name,
            lambda one: not try_insertion(model, inputs, flow, one).refused,
        )
        for one in good:
            methods.setdefault(one.name, []).append(method)
            widths[one.name] = one.width
    order = list(dict.fromkeys(call.name for call in flow.calls))
    return [
        Site(
            name=name,
            kind="mutate",
            width=widths[name],
            step=widths[name],
            methods=tuple(methods[name]),
            inputs=inputs,
        )
        for name in order
        if name in methods
    ]
