"""Insert attention: `x` becomes `x + attention(x)`, the same outputs."""

__all__ = ["insert_attention"]

from typing import Any

from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.edits.operation import make_edit
from outgrow.evolve.edits.promise import Promised
from outgrow.evolve.flow.attention_sites import decide_attention
from outgrow.evolve.flow.insertion import site_and_inputs
from outgrow.evolve.operators.width_arguments import check_seed, whole_number
from outgrow.evolve.sites.site import Site

_NORMS = ("none", "layer", "rms")


def insert_attention(
    model: nn.Module,
    site: Site | str,
    num_heads: int | None = None,
    *,
    optimizer: Any = None,
    scheduler: Any = None,
    ema: Any = None,
    example_inputs: Any = None,
    is_causal: bool | None = None,
    norm: str | None = None,
    seed: int = 0,
    allow: str = "exact",
    bound: float = 0.05,
) -> Edit:
    """Put self-attention behind a module, in place, whose output projection begins at zero: the outputs stay.

    The module gives `[batch, seq, channels]` or `[batch, channels, height, width]`. A model that looks back
    only goes on doing so: whether it does is seen by changing an input's last position. The 4-dim mask that
    the module gets as `attention_mask` holds for the new attention, too; other padding it looks at. It keeps
    no cache: a model that decodes with one is told not to (`use_cache=False` in its configurations), and a
    cache that holds tokens is refused.

    In a `Sequential` it comes behind the module, and those behind move up; elsewhere the module becomes a
    `Followed`: `layers.0.weight` is then called `layers.0.trunk.weight`, and attributes are still found.
    `out_proj` learns at once, the rest from the second step on. New weights are trainable, whatever those
    beside them are. Its heads can be widened and pruned like any others.

    Args:
        model: changed in place.
        site: from `sites(model, example_inputs, kind="insert_attention")`, or its name.
        num_heads: a divisor of the channels; by default one for about 64 of them.
        optimizer: of the model; new weights join the group of the weight before them.
        scheduler: of the optimizer.
        ema: an `AveragedModel` of the model.
        example_inputs: what the model is called with; by default what the site was found with.
        is_causal: whether no position looks ahead; by default what the model does.
        norm: `layer`, `rms` or `none` before the projections; by default what the model uses, where it gives
            sequences, and none behind feature maps.
        seed: of what the projections begin with: the same on every device.
        allow: the weakest promise that is allowed.
        bound: the relative change of the outputs up to which `bounded` holds.

    Raises:
        InputError: `num_heads`, `norm`, `seed`, `allow` or `bound` cannot be.
        SiteNotFound: there is no such site.
        SiteRefused: no attention can come there, or nobody can say whether it may look ahead.
        CannotCheck: the outputs for these inputs cannot be compared.
    """
    promised = Promised(allow=allow, bound=bound)
    drawn_from = check_seed(seed)
    name, inputs = site_and_inputs(site, example_inputs)
    heads = None if num_heads is None else whole_number(num_heads, "num_heads")
    if heads is not None and heads < 1:
        raise InputError(f"num_heads={heads}: attention needs heads", hint="give a number above 0")
    if norm is not None and norm not in _NORMS:
        raise InputError(f"norm={norm!r} is none", hint=f"known: {', '.join(_NORMS)}")
    if is_causal not in (None, True, False):
        raise InputError(f"is_causal={is_causal!r}", hint="give True, False or None")
    change = decide_attention(
        unwrapped(model), name, inputs, num_heads=heads, is_causal=is_causal, norm=norm, seed=drawn_from
    )

    return make_edit(
        model,
        inputs,
        change.apply,
        operator="insert_attention",
        site=name,
        arguments={
            "num_heads": change.num_heads,
            "is_causal": change.is_causal,
            "norm": change.norm,
            "seed": drawn_from,
        },
        promised=promised,
        followers=Followers(optimizer=optimizer, scheduler=scheduler, ema=ema),
    )
