"""Why there is no site where somebody looks for one."""

__all__ = ["absence_of"]

from torch import nn

from outgrow.evolve.coupling.coupling import Coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.unreached import may_belong_to


def absence_of(model: nn.Module, coupling: Coupling, name: str) -> str | None:
    """Why the outputs of the module `name` cannot change their width; None where there is no such module."""
    modules = dict(model.named_modules())
    if name not in modules:
        return None
    own = [weight for weight in coupling.weights if weight.rpartition(".")[0] == name]
    if not own:
        below = [weight for weight in coupling.weights if not name or weight.startswith(f"{name}.")]
        return "it has no weights of its own" if below else "it has no weights"
    if any(not tensor.is_floating_point() for key, tensor in modules[name].named_parameters(recurse=False)):
        return "its weights are quantized or complex"
    if not any(use.weight in own for use in coupling.all_uses):
        return "these inputs do not reach it, or reach it in a way that cannot be followed"
    reasons = []
    for leaf in coupling.leaves:
        makes = [use for use in coupling.uses(leaf) if use.weight in own and use.role == "out"]
        if leaf.size > 1 and makes:
            reasons.append(f"{leaf.size} x {_reason(model, coupling, leaf)}")
    return "; ".join(dict.fromkeys(reasons)) or "it makes nothing that could be counted"


def _reason(model: nn.Module, coupling: Coupling, leaf: Extent) -> str:
    frozen = coupling.why_frozen(leaf)
    if frozen is not None:
        return frozen
    places = coupling.occurrences(leaf)
    if not any("in" in place.roles for place in places):
        return "no layer reads it"
    other = may_belong_to(model, coupling, leaf)
    if other is not None:
        return f"{other} may belong to it, and these inputs do not reach that"
    weights = coupling.tensors()
    if not any(weights[place.weight].requires_grad for place in places):
        return "is frozen (requires_grad is False), so that nothing new could learn"
    bad = [norm.module or "the model" for norm in coupling.norms(leaf) if norm.kind == "other"]
    if bad:
        return f"{bad[0]} computes a sum, a softmax or another statistic along it"
    tied = [place.weight for place in places if len(place.roles) > 1]
    if tied:
        return f"{tied[0]} both makes it and reads it (tied weights)"
    return "the model does not run, or gives something else, when it changes"
