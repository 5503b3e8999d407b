"""Branch: a second way beside a module, the same outputs."""

__all__ = ["branch"]

from typing import Any

from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.edits.operation import make_edit
from outgrow.evolve.edits.promise import Promised
from outgrow.evolve.flow.branch_sites import decide_branch
from outgrow.evolve.flow.insertion import site_and_inputs
from outgrow.evolve.operators.width_arguments import check_seed, whole_number
from outgrow.evolve.sites.site import Site


def branch(
    model: nn.Module,
    site: Site | str,
    width: int | None = None,
    *,
    optimizer: Any = None,
    scheduler: Any = None,
    ema: Any = None,
    example_inputs: Any = None,
    seed: int = 0,
    allow: str = "exact",
    bound: float = 0.05,
) -> Edit:
    """Make `f(x)` into `f(x) + g(x)`, in place, where `g` begins at zero: the outputs stay.

    `g` is a layer to `width` channels (for a convolution one with the same kernel, stride and padding, for
    anything else one that looks at single positions), a GELU, and a layer of zeros, which learns at once;
    what is before it from the second step on. The module becomes a `Branched`: `conv1.weight` is then called
    `conv1.trunk.weight`, and attributes are still found (`conv1.out_channels`). New weights are trainable,
    whatever those beside them are.

    Args:
        model: changed in place.
        site: from `sites(model, example_inputs, kind="branch")`, or its name.
        width: channels within the branch; by default a quarter of what the module gives, at least 4.
        optimizer: of the model; new weights join the group of the module's first weight.
        scheduler: of the optimizer.
        ema: an `AveragedModel` of the model.
        example_inputs: what the model is called with; by default what the site was found with.
        seed: of what the first layer begins with: the same on every device.
        allow: the weakest promise that is allowed.
        bound: the relative change of the outputs up to which `bounded` holds.

    Raises:
        InputError: `width`, `seed`, `allow` or `bound` cannot be.
        SiteNotFound: there is no such site.
        SiteRefused: there can be no branch.
        CannotCheck: the outputs for these inputs cannot be compared.
    """
    promised = Promised(allow=allow, bound=bound)
    drawn_from = check_seed(seed)
    name, inputs = site_and_inputs(site, example_inputs)
    hidden = None if width is None else whole_number(width, "width")
    if hidden is not None and hidden < 1:
        raise InputError(f"width={hidden}: a branch needs channels", hint="give a number above 0")
    change = decide_branch(unwrapped(model), name, inputs, width=hidden, seed=drawn_from)

    return make_edit(
        model,
        inputs,
        change.apply,
        operator="branch",
        site=name,
        arguments={"width": change.hidden, "seed": drawn_from},
        promised=promised,
        followers=Followers(optimizer=optimizer, scheduler=scheduler, ema=ema),
    )
