"""Insert copies of residual blocks that begin as the identity."""

__all__ = ["Copies", "Template", "find_blocks"]

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch import nn

from outgrow.evolve.flow.copying import copy_block
from outgrow.evolve.flow.depth import Stack, note_depth, renumber, stack_of
from outgrow.evolve.flow.identity import Filling, identity_fillings
from outgrow.evolve.flow.insertion import Inserted, renamed_below, width_of
from outgrow.evolve.flow.recording import Call, Flow
from outgrow.evolve.surgery.surgery import Surgery


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A block that becomes the identity once some of its weights are filled."""

    name: str
    """Its qualified name."""
    fillings: frozenset[Filling]
    """Which; their names are relative to the block."""
    used: frozenset[str]
    """The weights, relative to the block, that what it gives depends on."""
    width: int
    """Channels of what it gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Copies of `template` behind the block `after`."""

    after: str
    """Qualified name."""
    template: Template
    """What is copied."""
    count: int = 1
    """How many."""
    with_depth: bool = True
    """Whether configurations learn of it."""

    def apply(self, surgery: Surgery) -> Inserted:
        """Insert them: into the stack of the block, else in its place as a `Sequential` of block and
        copies."""
        model = surgery.model
        original = model.get_submodule(self.template.name)
        copies = [copy_block(model, original) for _ in range(self.count)]
        for block in copies:
            named = dict(block.named_parameters(remove_duplicate=False))
            for filling in self.template.fillings:
                named[filling.weight].data.fill_(filling.value)
            like = dict(original.named_parameters(remove_duplicate=False))
            surgery.added.extend((new, like[name]) for name, new in block.named_parameters())
        found = stack_of(model, self.after)
        if found is None:
            return self._wrap(surgery, copies)
        stack, place = found
        renumber(surgery, stack, place, copies)
        noted = self.with_depth and note_depth(surgery, stack, place, len(copies))
        return replace(_insert(surgery, stack, place, copies), noted_depth=noted)

    def _wrap(self, surgery: Surgery, copies: list[nn.Module]) -> Inserted:
        name, _, key = self.after.rpartition(".")
        parent = surgery.model.get_submodule(name)
        block = parent._modules[key]
        assert block is not None
        renamed = renamed_below(surgery.model, self.after, f"{self.after}.0")
        wrapper = nn.Sequential(block, *copies)
        wrapper.training = block.training
        surgery.rearrange(parent, {**parent._modules, key: wrapper})
        return Inserted(
            new=tuple(f"{self.after}.{place + 1}" for place in range(len(copies))), renamed=renamed
        )


def _insert(surgery: Surgery, stack: Stack, place: int, copies: list[nn.Module]) -> Inserted:
    container = surgery.model.get_submodule(stack.name)
    prefix = f"{stack.name}." if stack.name else ""
    children = [(key, container._modules[key]) for key in stack.keys]
    if stack.is_numbered:
        order = [*children[: place + 1], *(("", one) for one in copies), *children[place + 1 :]]
        named = {str(number): module for number, (_, module) in enumerate(order)}
        renamed: dict[str, str] = {}
        for number in range(place + 1, len(children)):
            moved = renamed_below(surgery.model, f"{prefix}{number}", f"{prefix}{number + len(copies)}")
            renamed |= moved
        new = [f"{prefix}{place + 1 + number}" for number in range(len(copies))]
    else:
        taken = set(stack.keys)
        keys = list[str]()
        for _ in copies:
            number = 1
            while f"{stack.keys[place]}_{number}" in taken:
                number += 1
            keys.append(f"{stack.keys[place]}_{number}")
            taken.add(keys[-1])
        new_ones = list(zip(keys, copies, strict=True))
        named = dict([*children[: place + 1], *new_ones, *children[place + 1 :]])
        renamed, new = {}, [f"{prefix}{key}" for key in keys]
    surgery.rearrange(container, named)
    return Inserted(new=tuple(new), renamed=renamed)


def find_blocks(model: nn.Module, flow: Flow) -> Iterator[Template]:
    """The modules that could be the identity, outer ones first; a claim, to be tried."""
    calls: dict[str, list[Call]] = {}
    for call in flow.calls:
        calls.setdefault(call.name, []).append(call)
    parameters = dict(model.named_parameters())
    for name, module in model.named_modules():
        # One with no children is no block; one that holds a stack would be copied whole.
        if not name or name not in calls or not any(True for _ in module.children()):
            continue
        if isinstance(module, nn.Sequential | nn.ModuleList):
            continue
        found = [_template(call) for call in calls[name]]
        first = found[0]
        if first is None or any(one is None or one.fillings != first.fillings for one in found):
            continue
        filled = [parameters.get(one.weight) for one in first.fillings]
        # A zero that is frozen stays zero, and nothing before it ever learns.
        if all(one is not None and one.requires_grad for one in filled):
            yield _relative(first)


def _template(call: Call) -> Template | None:
    if not call.gave:
        return None
    output = call.gave[0]
    for source in call.given:
        if source.shape != output.shape or source.dtype != output.dtype or source is output:
            continue
        fillings = identity_fillings(output, source)
        if fillings and all(one.weight.startswith(f"{call.name}.") for one in fillings):
            return Template(name=call.name, fillings=fillings, used=call.weights(), width=width_of(output))
    return None


def _relative(template: Template) -> Template:
    start = len(template.name) + 1
    return replace(
        template,
        fillings=frozenset(replace(one, weight=one.weight[start:]) for one in template.fillings),
        used=frozenset(one[start:] for one in template.used if one.startswith(f"{template.name}.")),
    )
