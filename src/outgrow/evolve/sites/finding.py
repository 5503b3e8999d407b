"""Find the places where a model can change."""

__all__ = ["KINDS", "sites"]

from collections.abc import Callable
from typing import Any

from torch import nn

from outgrow.errors import InputError, nearest_names
from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.example_inputs import ExampleInputs, call_form
from outgrow.evolve.flow.attention_sites import attention_sites
from outgrow.evolve.flow.branch_sites import branch_sites
from outgrow.evolve.flow.deepening import deepen_sites
from outgrow.evolve.flow.mutating import mutate_sites
from outgrow.evolve.sites.site import Site
from outgrow.evolve.sites.width_sites import prune_sites, widen_sites

KINDS: dict[str, Callable[[nn.Module, ExampleInputs], list[Site]]] = {
    "widen": widen_sites,
    "prune": prune_sites,
    "deepen": deepen_sites,
    "branch": branch_sites,
    "insert_attention": attention_sites,
    "mutate": mutate_sites,
}
"""What can be done to a model -> what finds the places for it."""


def sites(model: nn.Module, example_inputs: Any, kind: str = "widen") -> list[Site]:
    """The places where `model` can be changed so, in the order in which it runs them.

    Args:
        model: left as it was.
        example_inputs: what it is called with: a tensor, a tuple of positional arguments or a dict of keyword
            arguments. What these inputs do not reach is not seen.
        kind: a key of `KINDS`. Places to `widen` and to `deepen` are only those that leave the outputs as
            they are.

    Raises:
        InputError: no such kind, or the model does not take these inputs.
        CannotCheck: the model does not run with them, or gives no tensors.
    """
    asked: Any = kind
    if not isinstance(asked, str) or asked not in KINDS:
        near = nearest_names(str(kind), KINDS)
        raise InputError(
            f"kind={kind!r} is nothing that can be done to a model",
            hint=(f"did you mean {near[0]!r}? " if near else "") + f"there are {', '.join(KINDS)}",
        )
    if not isinstance(model, nn.Module):
        raise InputError(f"model is a {type(model).__name__}", hint="give a torch.nn.Module")
    return KINDS[kind](unwrapped(model), call_form(example_inputs))
