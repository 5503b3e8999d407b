"""The files of one side, in order, and what they are to each other."""

__all__ = ["Side"]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from outgrow.compare.web.refusal import ApiError
from outgrow.compare.web.side_item import SideItem, SideKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A value: each change is another one."""

    items: tuple[SideItem, ...] = ()
    kind: SideKind = "auto"

    def with_item(self, item: SideItem) -> Self:
        """One more, behind the others."""
        return replace(self, items=(*self.items, item))

    def without(self, item_id: str) -> tuple[Self, SideItem]:
        """Without one of them, and that one.

        Raises:
            ApiError: there is no such item.
        """
        found = next((item for item in self.items if item.id == item_id), None)
        if found is None:
            raise ApiError(f"there is no file {item_id!r} on that side", status=404, code="item")
        return replace(self, items=tuple(item for item in self.items if item is not found)), found

    def arranged(self, order: Sequence[str], kind: SideKind) -> Self:
        """In another order, each of them named once.

        Raises:
            ApiError: one is missing, unknown or named twice.
        """
        known = {item.id: item for item in self.items}
        if sorted(order) != sorted(known):
            raise ApiError(
                "the order has to name each file of that side once",
                status=409, code="items", hint="ask for the session again: its files have changed",
            )  # fmt: skip
        return replace(self, items=tuple(known[item_id] for item_id in order), kind=kind)
