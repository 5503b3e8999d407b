"""What the places of a model are called: by the module that makes what changes there."""

__all__ = ["named_leaves"]

from collections.abc import Callable

from outgrow.evolve.coupling.coupling import Coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.module_tree import common_module


def named_leaves(
    coupling: Coupling, first: Callable[[Extent], object]
) -> list[tuple[Extent, str, tuple[str, ...]]]:
    """Each leaf that a site could be about: the leaf, its name, and the other modules that make the same.

    The name is the first maker's; where that one is taken, the lowest module that holds everything the leaf
    is in, then the other makers, then the first maker with a number. Leaves for which `first` holds choose
    first, so that what cannot grow takes no name from what can.
    """
    taken: set[str] = set()
    named = []
    for leaf in sorted(coupling.leaves, key=lambda one: not first(one)):
        makers = makers_of(coupling, leaf)
        if not makers or coupling.why_frozen(leaf) is not None:
            continue
        common = common_module({place.weight.rpartition(".")[0] for place in coupling.occurrences(leaf)})
        numbered = (f"{makers[0]}#{number}" for number in range(2, len(taken) + 3))
        name = next(one for one in (makers[0], common, *makers[1:], *numbered) if one and one not in taken)
        taken.add(name)
        named.append((leaf, name, tuple(one for one in makers if one != name)))
    order = {id(leaf): place for place, leaf in enumerate(coupling.leaves)}
    return sorted(named, key=lambda one: order[id(one[0])])


def makers_of(coupling: Coupling, leaf: Extent) -> list[str]:
    """Qualified names of the modules whose outputs have the leaf, in the order in which they ran."""
    uses = [use for use in coupling.uses(leaf) if use.role == "out" and use.dim is not None]
    return list(dict.fromkeys(use.weight.rpartition(".")[0] for use in uses))
