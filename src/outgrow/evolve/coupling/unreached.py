"""Parameters that the example inputs did not reach: what they belong to is not known."""

__all__ = ["may_belong_to"]

from torch import nn

from outgrow.evolve.coupling.coupling import Coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.module_tree import common_module, encloses


def may_belong_to(model: nn.Module, coupling: Coupling, leaf: Extent) -> str | None:
    """A parameter that no run used, and that stands among the weights of `leaf` with a dim of its size.

    An expert that no token was sent to, a pooler, a head for training: changing the leaf would leave it
    behind. None where there is none.
    """
    if not coupling.unreached:
        return None
    places = coupling.occurrences(leaf)
    sizes = {leaf.size, *(coupling.weights[place.weight][place.dim].size for place in places)}
    common = common_module({place.weight.rpartition(".")[0] for place in places})
    for name, parameter in model.named_parameters():
        if name in coupling.unreached and encloses(common, name) and sizes & set(parameter.shape):
            return name
    return None
