"""Values and the storage that tensors of the client share: what makes views and in-place writes mean what they mean in torch."""

__all__ = ["Cell", "Value", "View"]

from collections.abc import Callable
from typing import Any

from outgrow.shard.instructions import TensorMeta


class Value:
    """A number that the workers know; when nothing refers to it any more, they may forget it."""

    __slots__ = ("_forget", "number")

    def __init__(self, number: int, forget: Callable[[int], None]) -> None:
        self.number = number
        self._forget = forget

    def __del__(self) -> None:
        self._forget(self.number)


class Cell:
    """A storage: the value that it holds now. Tensors that share memory in torch share a cell."""

    __slots__ = ("meta", "value", "version")

    def __init__(self, value: Value, meta: TensorMeta) -> None:
        self.value = value
        self.version = 0
        """Writes so far; a view whose version is older is made anew before it is read."""
        self.meta = meta
        """Of the tensor that the storage was made for."""


class View:
    """How a tensor is cut out of its cell, and the value that it was when last looked at."""

    __slots__ = ("chain", "value", "version")

    def __init__(self, chain: tuple[tuple[Any, ...], ...], value: Value, version: int) -> None:
        self.chain = chain
        """From the cell's tensor to this one: `(op name, args, kwargs, index)`; `args` without the tensor, `index` where
        the op gives several."""
        self.value = value
        self.version = version
