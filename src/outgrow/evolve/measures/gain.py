"""What growing a site promises: the first-order decrease of the loss, and that per FLOP."""

__all__ = ["Gain", "measure_fresh_gain", "measure_gains"]

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from outgrow.evolve.batches import Batch, Objective, own_loss
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.measures.estimate import Abstention, Estimate
from outgrow.evolve.measures.unit_places import UnitPlaces
from outgrow.evolve.sites.site import Site
from outgrow.evolve.transactions.undisturbed import undisturbed


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What one more unit of a site promises, on average over the units that it could be a copy of."""

    outgoing: Estimate
    """Loss per unit of learning rate: how fast the new unit's outgoing weights would lower the loss."""
    splitting: Estimate
    """The same for its incoming weights, beyond what the unit it is split off from does anyway."""

    @property
    def value(self) -> float:
        """Both together."""
        return self.outgoing.value + self.splitting.value


def measure_gains(
    model: nn.Module,
    sites: Sequence[Site],
    batches: Sequence[Batch],
    *,
    inputs: ExampleInputs,
    objective: Objective = own_loss,
    adaptive: bool = False,
) -> dict[str, Gain | Abstention]:
    """What one more unit promises at each site (by name), from the gradients of the batches alone.

    A step of gradient descent with learning rate `r` lowers the loss by `r |g|²` to first order, `g` being
    the expected gradient. A unit that is copied with zero outgoing weights adds the squared gradient of
    those, which equals that of the outgoing weights of the unit it is copied from: `outgoing`. Where it is
    split off with outgoing weights `u w` and `(1 - u) w`, `u` uniform in (-0.5, 1.5) for each element, the
    incoming weights of both halves get gradients of their own, and `splitting` is what these lower the loss
    by beyond what those of the whole unit do: `2/3 sum |g_o|² - 1/2 |sum g_o|²` over what the outputs `o`
    contribute to the gradient of the incoming weights. Here contributions are taken to be unrelated to each
    other, which makes it `1/6 |g|²`; so it is the rougher part of the two. All sites cost one forward and
    backward pass for each batch together, and one copy of the gradients for each batch is held.

    The squared norm of a batch's gradient is mostly noise; here products of gradients of *different* batches
    are used, which are right on average for any number of batches from two on (and may be negative). The
    standard error is a jackknife over batches, without meaning for two of them.

    With `adaptive` each element counts as Adam would step: its squared gradient over the root mean square of
    its gradients in these batches. Without, layers are compared in the coordinates of plain gradient descent,
    in which a layer of small weights gets large gradients.

    Known error: first order only. Blind to what units would compute that are unlike all there are (GradMax
    looks for these by a singular value decomposition, and has to know what lies between two layers).

    Abstains with fewer than two batches, NaN or Inf gradients, and sites without weights that are trained.

    Source: Evci et al. 2022, arXiv:2201.05125 (GradMax, the outgoing part); Mitchell et al. 2023,
    arXiv:2307.04526 (SENN, gain of an expansion as what a step on the new parameters promises); Wu et al.
    2019, arXiv:1910.02366 (splitting).
    """
    stacked = _gradients(model, None, batches, objective, adaptive)
    if isinstance(stacked, Abstention):
        return {site.name: stacked for site in sites}
    places = UnitPlaces(model, inputs)
    return {site.name: _gain(places, site, stacked) for site in sites}


def measure_fresh_gain(
    model: nn.Module,
    names: Collection[str],
    batches: Sequence[Batch],
    *,
    objective: Objective = own_loss,
    adaptive: bool = False,
) -> Estimate | Abstention:
    """The decrease of the loss, to first order and for the learning rate 1, by the parameters `names` alone.

    For weights that an operator has just put in: what a step on them promises. Made as in `measure_gains`,
    with its errors and abstentions.
    """
    stacked = _gradients(model, names, batches, objective, adaptive)
    if isinstance(stacked, Abstention):
        return stacked
    if not stacked:
        return Abstention(reason="none of these parameters is trained", samples=len(batches))
    estimate = _squared([one.flatten(1).double() for one in stacked.values()], 1)
    if not math.isfinite(estimate.value):
        return Abstention(reason="the gradients hold NaN or Inf", samples=len(batches))
    return estimate


def _gradients(
    model: nn.Module,
    names: Collection[str] | None,
    batches: Sequence[Batch],
    objective: Objective,
    adaptive: bool,
) -> dict[str, Tensor] | Abstention:
    """`[batches, ...]` of each parameter that is trained (and among `names`)."""
    if len(batches) < 2:
        reason = f"{len(batches)} batches, and at least 2 are needed to tell a gradient from its noise"
        return Abstention(reason=reason, samples=len(batches))
    weights = {
        name: one
        for name, one in model.named_parameters()
        if one.requires_grad and (names is None or name in names)
    }
    if not weights:
        return {}
    gradients: dict[str, list[Tensor]] = {name: [] for name in weights}
    with undisturbed(model), torch.enable_grad():
        for batch in batches:
            loss = objective(model, batch)
            found: tuple[Tensor | None, ...] = torch.autograd.grad(
                loss, list(weights.values()), allow_unused=True
            )
            for (name, weight), gradient in zip(weights.items(), found, strict=True):
                gradients[name].append(torch.zeros_like(weight) if gradient is None else gradient)
    stacked = {name: torch.stack(parts) for name, parts in gradients.items()}
    if adaptive:
        # Each factor of a product gets a root of the scale: a fourth root of the mean square.
        scales = {name: one.square().mean(0, keepdim=True).pow(0.25) for name, one in stacked.items()}
        stacked = {name: one / scales[name].clamp_min(1e-12) for name, one in stacked.items()}
    return stacked


def _gain(places: UnitPlaces, site: Site, gradients: dict[str, Tensor]) -> Gain | Abstention:
    batches = len(next(iter(gradients.values()))) if gradients else 0
    parts: dict[str, list[Tensor]] = {"in": [], "out": []}
    for one in site.coupled:
        if one.weight in gradients:
            gradient = gradients[one.weight]
            belongs = (places.units_along(site, one) >= 0).to(gradient.device)
            parts[one.role].append(gradient.movedim(one.dim + 1, 1)[:, belongs].flatten(1).double())
    if not parts["in"]:
        return Abstention(reason="none of the weights that read it is trained", samples=batches)
    outgoing = _squared(parts["in"], site.units)
    splitting = _squared(parts["out"], site.units) if parts["out"] else None
    if not math.isfinite(outgoing.value) or (splitting is not None and not math.isfinite(splitting.value)):
        return Abstention(reason="the gradients hold NaN or Inf", samples=batches)
    return Gain(
        outgoing=outgoing,
        splitting=Estimate(
            value=0.0 if splitting is None else splitting.value / 6,
            standard_error=0.0 if splitting is None else splitting.standard_error / 6,
            samples=batches,
        ),
    )


def _squared(parts: list[Tensor], units: int) -> Estimate:
    """The squared norm, per unit, of the expected gradient; each part is `[batches, elements]`."""
    products = torch.stack([part @ part.T for part in parts]).sum(0) / units
    batches = len(products)
    value = _off_diagonal_mean(products)
    if batches < 3:
        return Estimate(value=value, standard_error=abs(value), samples=batches)
    every = torch.arange(batches, device=products.device)
    left = torch.tensor(
        [_off_diagonal_mean(products[every != one][:, every != one]) for one in range(batches)],
        dtype=torch.float64,
    )
    error = math.sqrt(float((left - left.mean()).square().sum()) * (batches - 1) / batches)
    return Estimate(value=value, standard_error=error, samples=batches)


def _off_diagonal_mean(products: Tensor) -> float:
    batches = len(products)
    return float(products.sum() - products.diagonal().sum()) / (batches * (batches - 1))
