"""Numbers in modules that may have to change with a leaf: candidates only, to be tried."""

__all__ = ["candidate_attributes", "units_and_constant"]

from collections.abc import Iterator
from math import prod
from typing import Any

from torch import Tensor, nn

from outgrow.evolve.coupling.coupling import Coupling
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.module_tree import common_module, distance, encloses
from outgrow.evolve.sites.site import SizeAttribute
from outgrow.evolve.surgery.layer_attributes import known_sizes

_AT_MOST = 16
"""Candidates that are tried; the nearest to the weights come first."""


def units_and_constant(extent: Extent, leaf: Extent) -> tuple[int, int]:
    """How many indices of `extent` belong to each unit of `leaf`, and how many to none."""
    found = extent.find()
    if found is leaf:
        return 1, 0
    if found.shape == "leaf":
        return 0, found.size
    parts = [units_and_constant(part, leaf) for part in found.parts]
    if found.shape == "sum":
        return sum(units for units, _ in parts), sum(constant for _, constant in parts)
    units, constant = 0, 1
    for more, fixed in parts:
        # A leaf that is in two factors would make this a square: `Coupling` freezes such.
        units, constant = units * (more * leaf.size + fixed) + constant * more, constant * fixed
    return units, constant


def candidate_attributes(model: nn.Module, coupling: Coupling, leaf: Extent) -> list[SizeAttribute]:
    """Integers, also in tuples, lists and configurations, that equal a size which changes with `leaf`.

    A configuration that other modules hold as well is left alone: it says something of them, too.
    """
    sizes = _sizes(coupling, leaf)
    owners = {place.weight.rpartition(".")[0] for place in coupling.occurrences(leaf)}
    common, holders = common_module(owners), _holders(model)
    found = []
    for name, module in model.named_modules():
        if not (encloses(name, common) or encloses(common, name)) or known_sizes(module):
            continue
        numbers = list(_numbers(vars(module), ""))
        for attribute, value in vars(module).items():
            if _is_settings(value) and all(_encloses_any(one, owners) for one in holders[id(value)]):
                numbers += _numbers(vars(value), f"{attribute}.")
        found += [
            (
                min(distance(name, owner) for owner in owners),
                SizeAttribute(module=name, path=path, units=units, constant=constant),
            )
            for path, number in numbers
            for units, constant in sizes.get(number, ())
        ]
    found.sort(key=lambda one: one[0])
    return [attribute for _, attribute in found[:_AT_MOST]]


def _sizes(coupling: Coupling, leaf: Extent) -> dict[int, list[tuple[int, int]]]:
    """Size to what it is made of, for everything in the weights that changes with `leaf`."""
    sizes: dict[int, list[tuple[int, int]]] = {}
    for place in coupling.occurrences(leaf):
        for extent in _below(coupling.weights[place.weight][place.dim]):
            units, constant = units_and_constant(extent, leaf)
            known = sizes.setdefault(extent.find().size, [])
            if units and (units, constant) not in known:
                known.append((units, constant))
    return sizes


def _below(extent: Extent) -> Iterator[Extent]:
    found = extent.find()
    yield found
    for part in found.parts:
        yield from _below(part)
    if found.shape == "product":  # some of the factors together: the heads of all groups
        for first in range(len(found.parts)):
            for last in range(first + 2, len(found.parts) + (first > 0)):
                factors = found.parts[first:last]
                some = Extent(prod(factor.size for factor in factors))
                some.refine("product", factors)
                yield some


def _numbers(values: dict[str, Any], before: str) -> Iterator[tuple[str, int]]:
    for name, value in values.items():
        if type(value) is int and value > 1:
            yield f"{before}{name}", value
        elif type(value) in (list, tuple):
            yield from (
                (f"{before}{name}[{place}]", item)
                for place, item in enumerate(value)
                if type(item) is int and item > 1
            )


def _is_settings(value: Any) -> bool:
    """Whether a value is an object that may hold numbers, and not a part of the model."""
    if isinstance(value, nn.Module | Tensor | type) or callable(value):
        return False
    return hasattr(value, "__dict__") and not type(value).__module__.startswith(("torch", "builtins"))


def _holders(model: nn.Module) -> dict[int, list[str]]:
    holders: dict[int, list[str]] = {}
    for name, module in model.named_modules():
        for value in vars(module).values():
            if _is_settings(value):
                holders.setdefault(id(value), []).append(name)
    return holders


def _encloses_any(name: str, owners: set[str]) -> bool:
    return any(encloses(name, owner) for owner in owners)
