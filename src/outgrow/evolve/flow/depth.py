"""What a model notes about its depth: how many layers, lists with one entry a layer, places."""

__all__ = ["Stack", "note_depth", "renumber", "stack_of"]

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from outgrow.evolve.surgery.surgery import Surgery

_COUNT = re.compile(r"(^|_)(n|num|number)?_?(hidden_|encoder_|decoder_)?(layer|layers|blocks?|depths?)$")
"""Names of attributes that count layers: `num_hidden_layers`, `n_layer`, `encoder_layers`, `depth`."""

_PLACE = re.compile(r"(^|_)(layer|block)?_?(idx|index|id|number|num)$")
"""Names of attributes that say which layer a module is: `layer_idx`, `block_id`, `layer_number`."""

_SIDES = ("encoder", "decoder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Blocks that run one behind the other, in a `ModuleList` or a `Sequential`."""

    name: str
    """Qualified name of the container; empty for a model that is one itself."""
    keys: tuple[str, ...]
    """Its children's names, in order."""

    @property
    def owner(self) -> str:
        """Qualified name of the module that holds it."""
        return self.name.rpartition(".")[0]

    def block(self, place: int) -> str:
        """Qualified name of one of the blocks."""
        return f"{self.name}.{self.keys[place]}" if self.name else self.keys[place]

    @property
    def is_numbered(self) -> bool:
        """Whether the children are called 0, 1, 2, ..."""
        return self.keys == tuple(str(place) for place in range(len(self.keys)))


def stack_of(model: nn.Module, block: str) -> tuple[Stack, int] | None:
    """The stack of which `block` is a part, and its place there; None where it is in none."""
    name, _, key = block.rpartition(".")
    container = model.get_submodule(name)
    if not isinstance(container, nn.ModuleList | nn.Sequential):
        return None
    keys = tuple(container._modules)
    return Stack(name=name, keys=keys), keys.index(key)


def renumber(surgery: Surgery, stack: Stack, after: int, copies: list[nn.Module]) -> None:
    """Move the place that each later block, and each copy, says it has; call it before the copies are in."""
    blocks = [surgery.model.get_submodule(stack.block(place)) for place in range(len(stack.keys))]
    for path, attribute, first in _places(blocks):
        for place, block in enumerate([*blocks[after + 1 :]], after + 1 + len(copies)):
            surgery.assign(block.get_submodule(path), attribute, first + place)
        for place, block in enumerate(copies, after + 1):
            setattr(block.get_submodule(path), attribute, first + place)


def _places(blocks: list[nn.Module]) -> Iterator[tuple[str, str, int]]:
    """Path within a block, attribute, and the first block's number, where every block's is one more than the
    last's."""
    for path, module in blocks[0].named_modules():
        for attribute, first in vars(module).items():
            if type(first) is not int or not _PLACE.search(attribute) or first not in {0, 1}:
                continue
            numbers = [_number(block, path, attribute) for block in blocks]
            if numbers == list(range(first, first + len(blocks))):
                yield path, attribute, first


def _number(block: nn.Module, path: str, attribute: str) -> Any:
    try:
        return getattr(block.get_submodule(path), attribute, None)
    except AttributeError:
        return None


def note_depth(surgery: Surgery, stack: Stack, after: int, copies: int) -> bool:
    """Make numbers of layers and lists with an entry a layer fit, in the module that holds the stack and in
    the configurations that it and those around it follow; call it before the copies are in.

    A configuration that another stack of the same depth follows as well keeps whatever is not clearly said of
    this one (`encoder_layers` against `decoder_layers`). Gives whether anything was noted.
    """
    so_far = len(surgery.assigned)
    model, depth = surgery.model, len(stack.keys)
    owner = model.get_submodule(stack.owner)
    for attribute, value in list(vars(owner).items()):
        if type(value) is int and value == depth and _COUNT.search(attribute):
            surgery.assign(owner, attribute, depth + copies)
    for config, is_own in _configs(model, stack.owner):
        is_shared = _is_shared(model, stack, config)
        for attribute in _counts(config, stack, is_own=is_own, is_shared=is_shared):
            surgery.assign(config, attribute, depth + copies)
        for attribute, entries in _lists(config, stack, is_shared=is_shared):
            longer = [*entries[: after + 1], *[entries[after]] * copies, *entries[after + 1 :]]
            surgery.assign(config, attribute, type(entries)(longer))
        _note_stage(surgery, config, stack, copies)
    return len(surgery.assigned) > so_far


def _configs(model: nn.Module, owner: str) -> Iterator[tuple[Any, bool]]:
    """Configurations of the owner and of the modules around it, each once, and whether it is the owner's."""
    seen: dict[int, Any] = {}
    name = owner
    while True:
        for attribute, value in vars(model.get_submodule(name)).items():
            simple = value is None or isinstance(
                value, nn.Module | Tensor | Mapping | int | float | str | list
            )
            is_config = re.search("config|cfg|hparams|args", attribute) and not simple
            if is_config and hasattr(value, "__dict__") and id(value) not in seen:
                seen[id(value)] = value
                yield value, name == owner
        if not name:
            return
        name = name.rpartition(".")[0]


def _is_shared(model: nn.Module, stack: Stack, config: Any) -> bool:
    """Whether another stack of the same depth follows this configuration."""
    for name, module in model.named_modules():
        if name == stack.name or not isinstance(module, nn.ModuleList | nn.Sequential):
            continue
        if len(module) != len(stack.keys) or name.startswith(f"{stack.name}."):
            continue
        holder = name
        while holder:
            holder = holder.rpartition(".")[0]
            if any(value is config for value in vars(model.get_submodule(holder)).values()):
                return True
    return False


def _counts(config: Any, stack: Stack, *, is_own: bool, is_shared: bool) -> list[str]:
    depth = len(stack.keys)
    known = [name for name, value in vars(config).items() if type(value) is int and value == depth]
    known = [name for name in known if _COUNT.search(name)]
    side = next((side for side in _SIDES if re.search(rf"(^|\.|_){side}s?(\.|_|$)", stack.name)), None)
    if side is None:
        return [] if is_shared else known
    sided = [name for name in known if side in name]
    plain = [name for name in known if not any(one in name for one in _SIDES)]
    if is_own and not is_shared:
        return sided + plain
    other = [name for name in known if any(one in name for one in _SIDES) and side not in name]
    return sided or (plain if other or not is_shared else [])


def _lists(config: Any, stack: Stack, *, is_shared: bool) -> list[tuple[str, Any]]:
    if is_shared:
        return []
    return [
        (name, value)
        for name, value in vars(config).items()
        if isinstance(value, list | tuple)
        and len(value) == len(stack.keys)
        and re.search("layer|block", name)
    ]


def _note_stage(surgery: Surgery, config: Any, stack: Stack, copies: int) -> None:
    """`depths=[3, 3, 9, 3]`: the stage is the last number in the stack's name."""
    stages = [int(part) for part in stack.name.split(".") if part.isdigit()]
    for name, value in list(vars(config).items()):
        if not stages or not isinstance(value, list | tuple) or not re.search(r"depths?$|blocks$", name):
            continue
        stage = stages[-1]
        if stage < len(value) and value[stage] == len(stack.keys):
            deeper = [*value[:stage], value[stage] + copies, *value[stage + 1 :]]
            surgery.assign(config, name, type(value)(deeper))
