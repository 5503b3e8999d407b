"""What the operators that change a width take, looked at before anything changes."""

__all__ = [
    "METHODS",
    "check_seed",
    "chosen_method",
    "copied_units",
    "new_units",
    "refuse_unfit_weights",
    "whole_number",
]

import operator
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import InputError, nearest_names
from outgrow.evolve.errors import SiteRefused
from outgrow.evolve.sites.site import Site

METHODS = {
    "split": "copies of units, their outgoing weights shared out unequally",
    "zero_outgoing": "units drawn as the layer would draw them, their outgoing weights zero",
    "duplicate": "every unit equally often, their outgoing weights shared out unequally",
    "pad": "units that give zero, with norms rescaled, their outgoing weights drawn",
}
"""How new units can begin without moving the outputs."""


_MOST = 2**31 - 1


def copied_units(units: int, count: int, method: str, seed: int) -> Tensor:
    """int64 `[count]`: the old units that new ones copy, every one of them before any of them again."""
    if method == "duplicate":
        return torch.arange(units).repeat(count // units)
    generator = torch.Generator().manual_seed(seed)
    rounds = -(-count // units)
    if rounds > 64:  # the order matters no more, and each draw takes time
        return torch.randperm(units, generator=generator).repeat(rounds)[:count]
    return torch.cat([torch.randperm(units, generator=generator) for _ in range(rounds)])[:count]


def new_units(site: Site, units: int, by: Any, method: str) -> int:
    """How many units `by` channels are, at a site that has `units` now.

    Raises:
        InputError: it is no number of whole units above zero.
    """
    channels = whole_number(by, "by")
    per_unit = site.width // units
    step = site.width if method == "duplicate" else per_unit
    if channels <= 0:
        raise InputError(
            f"by={channels}: widening adds channels", hint="give a number above 0; evolve.prune takes away"
        )
    if channels > _MOST:
        raise InputError(f"by={channels} is more than a layer can hold", hint=f"give {_MOST} at most")
    if channels % step:
        below = channels // step * step
        either = f"{below} or {below + step}" if below else f"{step}"
        unit = "the width" if method == "duplicate" else "its step"
        raise InputError(
            f"by={channels} is no multiple of {step}, {unit} at {site.name!r}",
            hint=f"by={either} can be done",
        )
    return channels // site.unit_width


def whole_number(given: Any, name: str) -> int:
    """`given` as an int.

    Raises:
        InputError: it is none, or a bool.
    """
    if not isinstance(given, bool | Tensor):
        try:
            return operator.index(given)
        except TypeError:
            pass
    raise InputError(f"{name}={given!r} is no whole number", hint=f"give {name} as an int")


def check_seed(seed: Any) -> int:
    """`seed` as an int that every generator takes.

    Raises:
        InputError: it is none.
    """
    number = whole_number(seed, "seed")
    if not 0 <= number < 2**63:
        raise InputError(f"seed={number} is out of range", hint="give one from 0 to 2**63 - 1")
    return number


def refuse_unfit_weights(model: nn.Module, site: Site, *, grows: bool) -> None:
    """Refuse weights in which units cannot be shared out, or could never learn.

    Raises:
        SiteRefused: so.
    """
    parameters = dict(model.named_parameters())
    touched = {one.weight: parameters[one.weight] for one in site.coupled if one.weight in parameters}
    for name, parameter in touched.items():
        if not parameter.is_floating_point():
            what = str(parameter.dtype).removeprefix("torch.")
            raise SiteRefused(
                f"{name} is {what}: quantized and complex weights cannot change their width",
                hint="change the model before it is quantized",
            )
        if parameter.is_meta:
            raise SiteRefused(f"{name} is on the meta device", hint="load the model's weights first")
    if grows and touched and not any(one.requires_grad for one in touched.values()):
        raise SiteRefused(
            f"every weight at {site.name!r} is frozen (requires_grad is False): new units could never learn",
            hint=f"model.get_submodule({site.name!r}).requires_grad_(True) makes it trainable",
        )


def chosen_method(site: Site, method: str | None) -> str:
    """The method by which a site grows, by default its first.

    Raises:
        InputError: there is no such method.
        SiteRefused: there is, and not here.
    """
    if method is None:
        return site.methods[0]
    if method in site.methods:
        return method
    asked: Any = method
    if isinstance(asked, str) and asked in METHODS:
        raise SiteRefused(
            f"{site.name!r} cannot grow exactly by {method!r}",
            hint=f"there it can by {', '.join(map(repr, site.methods)) or 'nothing'}",
        )
    near = nearest_names(str(method), METHODS)
    raise InputError(
        f"method={method!r} is none",
        hint=f"known: {', '.join(METHODS)}" + (f"; did you mean {near[0]!r}?" if near else ""),
    )
