"""Deepen a model: more blocks or layers, the same outputs."""

__all__ = ["deepen"]

from typing import Any

from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.edits.operation import make_edit
from outgrow.evolve.edits.promise import Promised
from outgrow.evolve.flow.deepening import decide_deepening
from outgrow.evolve.flow.insertion import site_and_inputs
from outgrow.evolve.operators.width_arguments import whole_number
from outgrow.evolve.sites.site import Site


def deepen(
    model: nn.Module,
    site: Site | str,
    copies: int = 1,
    *,
    optimizer: Any = None,
    scheduler: Any = None,
    ema: Any = None,
    example_inputs: Any = None,
    kernel_size: int | None = None,
    allow: str = "exact",
    bound: float = 0.05,
) -> Edit:
    """Insert layers at a site, in place, that begin as the identity: the outputs stay, in train mode, too.

    At a residual block, a copy of it comes behind it whose last layers are zero (the last BatchNorm of each
    branch, `o_proj` and `down_proj`, a layer scale); these learn at once, and what is before them from the
    second step on. Numbers of layers in configurations, `layer_idx` and the like follow. Names of the blocks
    behind it in the same container go up: `layers.3.weight` becomes `layers.4.weight`.

    At a ReLU, a convolution or a linear layer that begins as the identity comes behind it, and another ReLU;
    at a layer with a functional ReLU before it, in front of it. In a `Sequential` the layers behind move up;
    elsewhere a `Sequential` takes the module's name: `relu` becomes `relu.0`, `fc2.weight` `fc2.2.weight`.

    In train mode the masks of dropout that come after it differ: it draws masks of its own.

    Args:
        model: changed in place.
        site: from `sites(model, example_inputs, kind="deepen")`, or its name.
        copies: how many blocks or layers.
        optimizer: of the model; new weights join the groups of those that they were copied from, or that come
            before them.
        scheduler: of the optimizer.
        ema: an `AveragedModel` of the model.
        example_inputs: what the model is called with; by default what the site was found with.
        kernel_size: of identity convolutions, odd; by default 3, and 1 where the one before looks back only.
        allow: the weakest promise that is allowed.
        bound: the relative change of the outputs up to which `bounded` holds.

    Raises:
        InputError: `copies`, `kernel_size`, `allow` or `bound` cannot be.
        SiteNotFound: there is no such site.
        SiteRefused: nothing that begins as the identity can be inserted there.
        CannotCheck: the outputs for these inputs cannot be compared.

    Sources: Goyal et al. 2017, arXiv:1706.02677, section 5.1, for zero last BatchNorms; Chen et al. 2016,
    Net2Net, arXiv:1511.05641, for identity layers.
    """
    promised = Promised(allow=allow, bound=bound)
    count = whole_number(copies, "copies")
    if count < 1:
        raise InputError(f"copies={count}: deepening adds layers", hint="give a number above 0")
    size = None if kernel_size is None else whole_number(kernel_size, "kernel_size")
    name, inputs = site_and_inputs(site, example_inputs)
    change = decide_deepening(unwrapped(model), name, inputs, copies=count, kernel_size=size)

    return make_edit(
        model,
        inputs,
        change.apply,
        operator="deepen",
        site=name,
        arguments={"copies": count, "kernel_size": size},
        promised=promised,
        followers=Followers(optimizer=optimizer, scheduler=scheduler, ema=ema),
    )
