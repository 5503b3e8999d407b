"""Where a model can become deeper: blocks and layers that begin as the identity, each seen to work."""

__all__ = ["decide_deepening", "deepen_sites"]

import re
from collections.abc import Iterator
from dataclasses import replace

from torch import nn

from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.errors import SiteRefused
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.flow.chain import Link, find_links
from outgrow.evolve.flow.depth import stack_of
from outgrow.evolve.flow.recording import Flow, record_flow
from outgrow.evolve.flow.residual import Copies, Template, find_blocks
from outgrow.evolve.flow.trial import try_insertion
from outgrow.evolve.sites.lookup import look_up
from outgrow.evolve.sites.site import Site


def deepen_sites(model: nn.Module, inputs: ExampleInputs) -> list[Site]:
    """The places where a block or a layer can be inserted that begins as the identity.

    Of each stack of blocks the first and the last place were tried, of all others each.
    """
    model = unwrapped(model)
    search = _Search(model, inputs)
    first = {call.name: place for place, call in reversed(list(enumerate(search.flow.calls)))}
    found = [*map(search.block_site, search.good_blocks()), *map(search.link_site, search.good_links())]
    return sorted(found, key=lambda site: first[site.name])


def decide_deepening(
    model: nn.Module, name: str, inputs: ExampleInputs, *, copies: int, kernel_size: int | None
) -> Copies | Link:
    """The insertion at a site, tried.

    Raises:
        SiteNotFound: nothing of this name is there.
        SiteRefused: it is there, and nothing can be inserted.
    """
    search = _Search(model, inputs)
    if name in search.links:
        link = replace(search.links[name], count=copies)
        if kernel_size is not None:
            if link.is_linear or kernel_size % 2 == 0 or kernel_size < 1:
                what = "the layers there are linear" if link.is_linear else "no odd number"
                raise SiteRefused(
                    f"kernel_size={kernel_size} at {name!r}: {what}",
                    hint="leave it out, or give 1, 3, 5, ...",
                )
            link = replace(link, kernel_size=kernel_size)
        refused = search.try_link(link)
        if refused:
            raise _refused(name, refused)
        return link
    if name in search.blocks:
        if kernel_size is not None:
            raise SiteRefused(
                f"kernel_size={kernel_size} at {name!r}, where a whole block is copied", hint="leave it out"
            )
        change, refused = search.try_block(search.blocks[name], copies)
        if change is None:
            raise _refused(name, refused)
        return change
    if any(call.name == name for call in search.flow.calls):
        raise _refused(
            name,
            "what it gives is no sum of what it gets and of branches that end in a trainable weight, nor "
            "does it end in a ReLU that is called once",
        )
    claims = [search.block_site(one) for one in search.blocks.values()]
    look_up([*claims, *map(search.link_site, search.links.values())], name, "deepen")
    raise AssertionError(name)


def _refused(name: str, why: str) -> SiteRefused:
    return SiteRefused(
        f"nothing that begins as the identity can be inserted at {name!r}: {why}",
        hint="evolve.sites(model, example_inputs, kind='deepen') lists the places where it can be done",
    )


class _Search:
    """One model with one call, and the places that may do."""

    def __init__(self, model: nn.Module, inputs: ExampleInputs) -> None:
        self.model = model
        self.inputs = inputs
        self.flow: Flow = record_flow(model, inputs)
        self.blocks = {one.name: one for one in find_blocks(model, self.flow)}
        self.links = {one.name: one for one in find_links(model, self.flow)}

    def block_site(self, block: Template) -> Site:
        """As a site: a copy is inserted behind it."""
        return self._site(block.name, block.width, "residual")

    def link_site(self, link: Link) -> Site:
        """As a site: identity layers are inserted behind it, or before it."""
        return self._site(link.name, link.width, "identity")

    def _site(self, name: str, width: int, method: str) -> Site:
        return Site(name=name, kind="deepen", width=width, step=width, methods=(method,), inputs=self.inputs)

    def good_links(self) -> Iterator[Link]:
        """Those that were seen to work."""
        return (link for link in self.links.values() if not self.try_link(link))

    def try_link(self, link: Link) -> str:
        """Why identity layers cannot be inserted; empty where they can."""
        return try_insertion(self.model, self.inputs, self.flow, link).refused

    def good_blocks(self) -> Iterator[Template]:
        """Those behind which a copy can be inserted: those of the innermost stacks."""
        stacks: dict[str, list[Template]] = {}
        for block in self.blocks.values():
            found = stack_of(self.model, block.name)
            stacks.setdefault(found[0].name if found else f"{block.name}: alone", []).append(block)
        bad: set[str] = set()
        taken: list[str] = []
        for name in sorted(stacks, key=lambda one: -one.count(".")):
            # What does not work in one layer works in none that is made alike.
            pattern = re.sub(r"\d+", "*", name)
            blocks = [one for one in stacks[name] if not any(t.startswith(f"{one.name}.") for t in taken)]
            if pattern in bad or not blocks:
                continue
            good = list(self._good_of(blocks))
            if not good:
                bad.add(pattern)
            taken += [one.name for one in good]
            yield from good

    def _good_of(self, blocks: list[Template]) -> Iterator[Template]:
        ends = [blocks[0], blocks[-1]][: len(blocks)]
        good = [one.name for one in ends if self.try_block(one)[0] is not None]
        if not good:
            return
        for block in blocks:
            if block in ends:
                if block.name in good:
                    yield block
            elif len(good) == len(ends) or self.try_block(block)[0] is not None:
                yield block

    def try_block(self, block: Template, copies: int = 1) -> tuple[Copies | None, str]:
        """The insertion behind `block` that works, of those that could, or why none does."""
        reasons = []
        for template in self._templates(block):
            for with_depth in (True, False):
                change = Copies(after=block.name, template=template, count=copies, with_depth=with_depth)
                trial = try_insertion(self.model, self.inputs, self.flow, change, used=template.used)
                if not trial.refused:
                    return change, ""
                reasons.append(trial.refused)
                if not trial.noted_depth:
                    break
        return None, reasons[0]

    def _templates(self, block: Template) -> Iterator[Template]:
        """The block itself, then a neighbour with fewer weights: the first of a T5 has a table that only the
        first one uses."""
        yield block
        found = stack_of(self.model, block.name)
        if found is None:
            return
        stack, place = found
        mine = _shapes(self.model.get_submodule(block.name))
        for other in (place + 1, place - 1):
            if 0 <= other < len(stack.keys) and stack.block(other) in self.blocks:
                theirs = _shapes(self.model.get_submodule(stack.block(other)))
                if mine != theirs and theirs.items() <= mine.items():
                    yield self.blocks[stack.block(other)]


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(one.shape) for name, one in module.named_parameters()}
