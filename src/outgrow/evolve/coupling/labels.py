"""What the analysis knows of one tensor while the model runs."""

__all__ = ["Labels"]

from dataclasses import dataclass

from outgrow.evolve.coupling.extent import Extent


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The extent of each dim; for a weight that was only looked at differently, also which weight it is."""

    extents: tuple[Extent, ...]
    """One a dim."""
    weight: str | None = None
    """The qualified name of the parameter or buffer of which this is a view; None for what was computed."""
    dims: tuple[int | None, ...] = ()
    """For a weight: which of its own dims each dim is; None where that cannot be said."""

    def frozen(self, why: str) -> "Labels":
        """The same, with the size of every dim fixed."""
        for extent in self.extents:
            extent.freeze(why)
        return self
