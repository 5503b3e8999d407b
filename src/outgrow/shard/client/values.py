"""Values, and the storages that tensors of the client share: views and in-place writes as in torch."""

__all__ = ["Cell", "Link", "Value", "View"]

from collections.abc import Callable
from typing import Any

from outgrow.shard.client.forms import Form


class Value:
    """A number that the workers know; when nothing refers to it any more, they may forget it."""

    __slots__ = ("__weakref__", "_forget", "number")

    def __init__(self, number: int, forget: Callable[[int], None]) -> None:
        self.number = number
        self._forget = forget

    def __del__(self) -> None:
        self._forget(self.number)


Link = tuple[Any, int]
"""One step from a storage's tensor to a view: the entry of a view op, and which of its results."""


class View:
    """How a tensor is cut out of its cell, and the value that it was when last looked at."""

    __slots__ = ("chain", "form", "offset", "value", "version")

    def __init__(self, chain: tuple[Link, ...], form: Form, offset: int, value: Value, version: int) -> None:
        self.chain = chain
        """From the cell's tensor to this one."""
        self.form = form
        self.offset = offset
        """Where it starts in the storage, in its own elements."""
        self.value = value
        self.version = version
        """The cell's when `value` was right."""


class Cell:
    """A storage: the value that it holds now. Tensors that share memory in torch share a cell.

    A write through a view is kept aside as `overlay` until somebody looks at the rest: most never do, and
    writing it back would be an instruction that nobody needs. `value` is None while there is an overlay, and
    where nothing was written yet.
    """

    __slots__ = ("__weakref__", "form", "overlay", "session", "under", "value", "version")

    def __init__(self, session: Any, form: Form, value: Value | None) -> None:
        self.session = session
        self.form = form
        """Of the tensor that the storage was made for."""
        self.value = value
        self.version = 0
        """Writes so far; a view whose version is older is made anew before it is read."""
        self.overlay: View | None = None
        """The view that was written last; its value is newer than `under`."""
        self.under: Value | None = None
        """What is beneath the overlay; None for zeros."""
