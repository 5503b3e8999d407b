"""What every insertion of a module into a model has in common."""

__all__ = ["Inserted", "Insertion", "renamed_below", "site_and_inputs", "width_of"]

from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import nn

from outgrow.evolve.example_inputs import ExampleInputs, call_form
from outgrow.evolve.flow.recording import Node
from outgrow.evolve.site import Site
from outgrow.evolve.surgery import Surgery


@dataclass(frozen=True, slots=True, kw_only=True)
class Inserted:
    """What an insertion did to a model."""

    new: tuple[str, ...] = ()
    """Qualified names of the new modules that have to run."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Old qualified name of a module -> its name now, where that is another one."""
    noted_depth: bool = False
    """Whether a configuration, or the module around, was told of it."""


class Insertion(Protocol):
    """A change that has been decided and not yet been made."""

    def apply(self, surgery: Surgery) -> Inserted:
        """Make it, by way of `surgery` alone."""


def renamed_below(model: nn.Module, old: str, new: str) -> dict[str, str]:
    """How a module called `old`, and all that is in it, is called once it is `new`."""
    below = model.get_submodule(old).named_modules()
    return {f"{old}.{name}" if name else old: f"{new}.{name}" if name else new for name, _ in below}


def width_of(node: Node) -> int:
    """How many channels a tensor has: its last dim's size, or for feature maps that of its second one."""
    if not node.shape:
        return 1
    return node.shape[1] if len(node.shape) in (4, 5) else node.shape[-1]


def site_and_inputs(site: Site | str, example_inputs: Any) -> tuple[str, ExampleInputs]:
    """The name of a site, and what to call the model with."""
    if isinstance(site, str):
        return site, call_form(example_inputs)
    return site.name, call_form(site.inputs if example_inputs is None else example_inputs)
