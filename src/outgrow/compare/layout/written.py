"""A layout as text that says it again: what `hint` reads."""

__all__ = ["calls_of", "hint_of"]

from outgrow.compare.layout.chain import Chain
from outgrow.compare.layout.layout import Identity, Layout
from outgrow.compare.layout.parts import Part, Repeat
from outgrow.compare.layout.ranks import Concatenate, PartialSum, Replicated, Sections, Stack
from outgrow.compare.layout.rearrange import Rearrange
from outgrow.compare.layout.simplified import simplified

_NOTHING = Identity()


def hint_of(layout: Layout, expected_layout: Layout = _NOTHING) -> str | None:
    """Both layouts as a hint; None where one is of a kind that outgrow does not know."""
    here, there = calls_of(layout), calls_of(expected_layout)
    if here is None or there is None:
        return None
    text = ", ".join(here) or "identity"
    return f"{text}; expected: {', '.join(there)}" if there else text


def calls_of(layout: Layout) -> list[str] | None:
    """As calls, one after the other; empty where nothing is moved, None for layouts of somebody else's."""
    calls: list[str] = []
    layout = simplified(layout)
    for part in layout.layouts if isinstance(layout, Chain) else (layout,):
        found = _written(part)
        if found is None:
            return None
        calls += found
    return calls


def _written(layout: Layout) -> list[str] | None:
    match layout:
        case Identity():
            return []
        case Rearrange():
            return layout.calls
        case Concatenate():
            return [f"concatenate({layout.dim})"]
        case Sections():
            return [f"sections({layout.dim}, {', '.join(map(str, layout.sizes))})"]
        case Stack():
            return ["stack"]
        case Replicated():
            return [f"replicated({layout.uses})" if layout.uses else "replicated"]
        case PartialSum():
            return ["sum"]
        case Part():
            runs = "" if layout.groups == 1 else f", {layout.groups}"
            return [f"part({layout.dim}, {layout.start}, {layout.start + layout.size}{runs})"]
        case Repeat():
            block = "" if layout.block == layout.source[layout.dim] else f", {layout.block}"
            return [f"repeat({layout.dim}, {layout.times}{block})"]
        case _:
            return None
