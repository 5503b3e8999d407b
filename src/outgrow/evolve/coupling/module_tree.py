"""Qualified names as a tree: what encloses what, and how far apart two modules are."""

__all__ = ["common_module", "distance", "encloses"]

from collections.abc import Collection


def common_module(names: Collection[str]) -> str:
    """The lowest module that encloses all of them; empty for the model itself."""
    common = []
    for parts in zip(*(name.split(".") for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return ".".join(common)


def encloses(outer: str, inner: str) -> bool:
    """Whether `inner` is `outer` or a part of it."""
    return not outer or inner == outer or inner.startswith(f"{outer}.")


def distance(one: str, two: str) -> int:
    """Steps up and down the tree from one module to the other."""
    shared = common_module([one, two])
    return sum(_depth(name) - _depth(shared) for name in (one, two))


def _depth(name: str) -> int:
    return name.count(".") + 1 if name else 0
