"""Where the units of a site lie along the dims of the weights that change with it."""

__all__ = ["UnitPlaces"]

import torch
from torch import Tensor, nn

from outgrow.evolve.coupling.coupling import Coupling, find_coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.errors import SiteNotFound
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.sites.site import Coupled, Site


class UnitPlaces:
    """One analysis of a model, asked about several of its sites."""

    def __init__(self, model: nn.Module, inputs: ExampleInputs) -> None:
        self._coupling: Coupling = find_coupling(model, inputs)

    def units_along(self, site: Site, coupled: Coupled) -> Tensor:
        """int64 `[size of the dim]`: the unit of the site that each index belongs to, -1 for none.

        Raises:
            SiteNotFound: the model has no such site any more.
        """
        leaf = self._leaf(site)
        extent = self._coupling.weights[coupled.weight][coupled.dim]
        return extent.positions(leaf, torch.arange(leaf.size)).unit

    def _leaf(self, site: Site) -> Extent:
        wanted = {(one.weight, one.dim) for one in site.coupled}
        for leaf in self._coupling.leaves:
            found = {(one.weight, one.dim) for one in self._coupling.occurrences(leaf)}
            if found == wanted and leaf.size == site.units:
                return leaf
        raise SiteNotFound(
            f"site {site.name!r} is no longer there",
            hint="the model has changed since it was found; call evolve.sites again",
        )
