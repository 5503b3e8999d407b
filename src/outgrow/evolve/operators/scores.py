"""How much each unit of a site matters: the lowest are pruned first."""

__all__ = ["SCORES", "Score", "scores_of", "unit_rows"]

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import InputError, nearest_names
from outgrow.evolve.coupling.coupling import Coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.sites.site import Site
from outgrow.evolve.surgery.reindex import unit_table

Score = Callable[[nn.Module, Coupling, Extent, int], Tensor]
"""Model, its coupling, the leaf, a seed -> float64 `[units]`."""


def unit_rows(
    model: nn.Module, coupling: Coupling, leaf: Extent, *, parameters_only: bool = True
) -> Iterator[tuple[Tensor, Tensor, frozenset[str]]]:
    """For each weight in which a leaf occurs: the weight, int64 `[units, n]` with the places of each unit
    along its dim, moved to the front, and its roles."""
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    units = torch.arange(leaf.size)
    for use in coupling.occurrences(leaf):
        if use.weight in parameters or not parameters_only:
            tensor = parameters[use.weight] if use.weight in parameters else buffers[use.weight]
            positions = coupling.weights[use.weight][use.dim].positions(leaf, units)
            yield tensor.movedim(use.dim, 0), unit_table(positions, leaf.size), use.roles


def rows_of(tensor: Tensor, table: Tensor) -> Tensor:
    """`[units, entries of one unit]`: what each unit has of a weight."""
    return tensor[table.reshape(-1).to(tensor.device)].reshape(len(table), -1)


def magnitude(model: nn.Module, coupling: Coupling, leaf: Extent, _seed: int) -> Tensor:
    """L2 norm of a unit's incoming weights times that of its outgoing ones: 0 where it has no effect, and
    the same when a factor is moved from one to the other, as ReLU permits."""
    incoming, outgoing = (torch.zeros(leaf.size, dtype=torch.float64) for _ in range(2))
    for tensor, table, roles in unit_rows(model, coupling, leaf):
        squares = rows_of(tensor.detach(), table).double().square().sum(dim=1).cpu()
        if "in" in roles:
            outgoing += squares
        if "out" in roles:
            incoming += squares
    return (incoming * outgoing).sqrt()


def taylor(model: nn.Module, coupling: Coupling, leaf: Extent, _seed: int) -> Tensor:
    """What the loss would change by, to first order, if a unit's outgoing weights became zero.

    Source: Molchanov et al. 2019, arXiv:1906.10771, equation 8.

    Raises:
        InputError: there are no gradients.
    """
    total = torch.zeros(leaf.size, dtype=torch.float64)
    has_gradients = False
    for tensor, table, roles in _with_gradients(model, coupling, leaf):
        if "in" in roles:
            total += rows_of(tensor, table).double().sum(dim=1).cpu()
            has_gradients = True
    if not has_gradients:
        raise InputError(
            "by='taylor' needs gradients, and the weights that read this site have none",
            hint="call loss.backward() first, or use by='magnitude'",
        )
    return total.abs()


def _with_gradients(
    model: nn.Module, coupling: Coupling, leaf: Extent
) -> Iterator[tuple[Tensor, Tensor, frozenset[str]]]:
    parameters = dict(model.named_parameters())
    units = torch.arange(leaf.size)
    for use in coupling.occurrences(leaf):
        parameter = parameters.get(use.weight)
        if parameter is not None and parameter.grad is not None:
            positions = coupling.weights[use.weight][use.dim].positions(leaf, units)
            product = (parameter.detach().double() * parameter.grad.double()).movedim(use.dim, 0)
            yield product, unit_table(positions, leaf.size), use.roles


def chance(_model: nn.Module, _coupling: Coupling, leaf: Extent, seed: int) -> Tensor:
    """Random numbers: what every other score should be better than."""
    return torch.rand(leaf.size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SCORES: dict[str, Score] = {"magnitude": magnitude, "taylor": taylor, "random": chance}
"""What `by` of `prune` can name."""


def scores_of(
    by: Any, model: nn.Module, site: Site, coupling: Coupling, leaf: Extent, *, seed: int
) -> Tensor:
    """float64 `[units]` on the CPU.

    Args:
        by: a name in `SCORES`, numbers for each unit, or `by(model, site)` that gives them.
        model: whose units they are; not changed.
        site: where.
        coupling: of the model.
        leaf: of the site.
        seed: for `random`.

    Raises:
        InputError: no such score, or not one finite number for each unit.
    """
    if isinstance(by, str):
        if by not in SCORES:
            near = nearest_names(by, SCORES)
            raise InputError(
                f"by={by!r} is no score",
                hint=f"known: {', '.join(SCORES)}" + (f"; did you mean {near[0]!r}?" if near else ""),
            )
        scores = SCORES[by](model, coupling, leaf, seed)
    else:
        given = by(model, site) if callable(by) else by
        try:
            scores = torch.as_tensor(given).detach().double().cpu()
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"by gives a {type(given).__name__}", hint="give one number for each unit of the site"
            ) from error
        if scores.shape != (leaf.size,):
            raise InputError(
                f"by gives shape {list(scores.shape)}, and {site.name!r} has {leaf.size} units",
                hint="give one number for each unit",
            )
    if not bool(scores.isfinite().all()):
        raise InputError("a score is NaN or Inf", hint="do the weights or gradients hold NaN?")
    return scores
