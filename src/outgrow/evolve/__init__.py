"""Networks that grow and shrink while they train, exactly."""

__all__ = ["Edit", "Site", "sites", "widen"]

from outgrow.evolve.edit import Edit
from outgrow.evolve.operators.widen import widen
from outgrow.evolve.site import Site
from outgrow.evolve.sites import sites
