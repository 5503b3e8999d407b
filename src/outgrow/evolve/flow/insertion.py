"""What every insertion of a module into a model has in common."""

__all__ = [
    "Inserted",
    "Insertion",
    "insert_into",
    "is_numbered",
    "renamed_below",
    "site_and_inputs",
    "width_of",
]

from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.example_inputs import ExampleInputs, call_form
from outgrow.evolve.flow.recording import Node
from outgrow.evolve.sites.site import Site
from outgrow.evolve.surgery.surgery import Surgery


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
    if not isinstance(site, str | Site):
        raise InputError(f"site is a {type(site).__name__}", hint="give a Site of evolve.sites, or its name")
    if isinstance(site, str):
        return site, call_form(example_inputs)
    return site.name, call_form(site.inputs if example_inputs is None else example_inputs)


def is_numbered(parent: nn.Module) -> bool:
    """Whether a module's children are called 0, 1, 2, ..."""
    return list(parent._modules) == [str(place) for place in range(len(parent._modules))]


def insert_into(surgery: Surgery, name: str, made: list[nn.Module], *, is_before: bool = False) -> Inserted:
    """Insert modules into the numbered `Sequential` that `name` is in, behind it or before it."""
    home, _, key = name.rpartition(".")
    parent = surgery.model.get_submodule(home)
    prefix = f"{home}." if home else ""
    children = list(parent._modules.values())
    cut = int(key) + (0 if is_before else 1)
    renamed: dict[str, str] = {}
    for place in range(cut, len(children)):
        if children[place] is not None:
            old, new = f"{prefix}{place}", f"{prefix}{place + len(made)}"
            renamed |= renamed_below(surgery.model, old, new)
    order = [*children[:cut], *made, *children[cut:]]
    surgery.rearrange(parent, {str(place): one for place, one in enumerate(order)})
    return Inserted(new=tuple(f"{prefix}{cut + place}" for place in range(len(made))), renamed=renamed)
