"""Walking through nested dicts and lists of tensors, of whatever they are made, to tensors with names."""

__all__ = ["Branch", "Leaf", "Part", "Understood", "flatten", "scalar_leaf"]

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from outgrow.capture.recording import Refusal
from outgrow.compare.readers.advice import raise_limit
from outgrow.compare.readers.file_reader import FileContent, FoundTensor
from outgrow.compare.readers.limits import Limits
from outgrow.errors import InputError, OutgrowError

_MAX_NAME = 1024
_MAX_REFUSALS = 1000
# Visits for each tensor that is allowed: the rest are containers, texts and None.
_VISITS = 4


@dataclass(frozen=True, slots=True)
class Branch:
    """A container."""

    children: Iterable[object]
    """What stands in it: in a list the values, in a dict pairs of key and value. Better an iterator: there
    may be millions, of which only the first are looked at."""
    list_length: int | None = None
    """How many values a list has; None for a dict."""


@dataclass(frozen=True, slots=True)
class Part:
    """A tensor, by its description."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    read: Callable[[], Tensor]
    suffix: str = ""
    """What is added to the name: `.codes`."""
    expanded_bytes: int = 0
    """Bytes that reading takes, or that its numbers have, beyond those that are stored."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One thing that is understood as one or more tensors; none where it is nothing to compare."""

    parts: tuple[Part, ...] = ()


Understood = Branch | Leaf


def flatten(
    root: object,
    understand: Callable[[object], Understood],
    *,
    entry: str,
    limits: Limits,
    stored_bytes: int | None = None,
) -> FileContent:
    """All tensors below `root`, depth first in their order there.

    `understand` looks at one value, and raises an `OutgrowError` for one that is refused. With `stored_bytes`
    (the size of a file), tensors may not be much more than what is there.

    Raises:
        InputError: there are too many values or tensors, or they are too large together.
    """
    walk = _Walk(understand, entry, limits, stored_bytes)
    walk.visit(root, "", 0)
    return FileContent(records=tuple(walk.records), refused=tuple(walk.shown_refusals()))


def scalar_leaf(value: bool | float | complex) -> Leaf:
    """A number of Python as a tensor without dims: bool, int64, float64, complex128.

    Raises:
        InputError: an integer is beyond 64 bits.
    """
    kinds = {bool: torch.bool, int: torch.int64, float: torch.float64, complex: torch.complex128}
    dtype = kinds[type(value)]
    if dtype is torch.int64 and not -(2**63) <= int(value.real) < 2**63:
        raise InputError("is an integer beyond 64 bits", hint="save it as a float, or as text")
    return Leaf((Part(dtype, (), lambda: torch.tensor(value, dtype=dtype)),))


class _Walk:
    def __init__(
        self,
        understand: Callable[[object], Understood],
        entry: str,
        limits: Limits,
        stored_bytes: int | None,
    ) -> None:
        self.understand = understand
        self.entry = entry
        self.limits = limits
        self.stored_bytes = stored_bytes
        self.visits = _VISITS * limits.max_entries
        self.total = 0
        self.expanded = 0
        self.records: list[FoundTensor] = []
        self.refused: list[Refusal] = []
        self.more_refused = 0

    def visit(self, value: object, name: str, depth: int) -> None:
        self.visits -= 1
        if self.visits < 0:
            raise InputError(
                "holds too many values, or the same ones nested many times over; the limit max_entries is "
                f"{self.limits.max_entries:,}",
                hint=raise_limit("max_entries"),
            )
        try:
            understood = self.understand(value)
        except OutgrowError as err:
            self.refuse(name, err.message, err.hint)
            return
        if isinstance(understood, Leaf):
            self.add(understood, name)
        elif depth >= self.limits.max_depth:
            reason = f"is nested deeper than the limit max_depth, {self.limits.max_depth}"
            self.refuse(name, reason, raise_limit("max_depth"))
        else:
            for inner, child in _named(understood, name):
                if len(inner) > _MAX_NAME:
                    self.refuse(inner, f"has a name of {len(inner):,} characters; the most is {_MAX_NAME:,}")
                else:
                    self.visit(child, inner, depth + 1)

    def add(self, leaf: Leaf, name: str) -> None:
        for part in leaf.parts:
            nbytes = math.prod(part.shape) * part.dtype.itemsize
            self.total += nbytes
            self.expanded += part.expanded_bytes
            if len(self.records) >= self.limits.max_entries:
                raise InputError(
                    f"holds more tensors than the limit max_entries, {self.limits.max_entries:,}",
                    hint=raise_limit("max_entries"),
                )
            self.check_size(name, nbytes)
            self.records.append(
                FoundTensor(inner=name + part.suffix, dtype=part.dtype, shape=part.shape, read=part.read)
            )

    def check_size(self, name: str, nbytes: int) -> None:
        limits = self.limits
        if self.total > limits.max_bytes:
            raise InputError(
                f"holds more than {limits.max_bytes:,} bytes of tensors, the limit max_bytes",
                hint=raise_limit("max_bytes"),
            )
        if self.stored_bytes is None:
            return
        if self.expanded > limits.max_expanded_bytes:
            raise InputError(
                f"has tensors that would grow by more than {limits.max_expanded_bytes:,} bytes when read, "
                f"the limit max_expanded_bytes; {name!r} has {nbytes:,}",
                hint=raise_limit("max_expanded_bytes"),
            )
        if self.total > limits.max_ratio * self.stored_bytes + limits.max_expanded_bytes:
            raise InputError(
                f"has tensors of {self.total:,} bytes in a file of {self.stored_bytes:,}, over the limit "
                f"max_ratio of {limits.max_ratio:g}",
                hint=raise_limit("max_ratio"),
            )

    def refuse(self, name: str, reason: str, hint: str | None = None) -> None:
        if len(self.refused) >= _MAX_REFUSALS:
            self.more_refused += 1
            return
        short = name if len(name) <= _MAX_NAME else f"{name[:100]}..."
        entry = f"{self.entry}/{short}" if short else self.entry
        self.refused.append(Refusal(entry=entry, reason=reason, hint=hint))

    def shown_refusals(self) -> Iterator[Refusal]:
        yield from self.refused
        if self.more_refused:
            yield Refusal(entry=self.entry, reason=f"has {self.more_refused:,} more refused values")


def _named(branch: Branch, name: str) -> Iterator[tuple[str, object]]:
    if branch.list_length is None:
        for key, child in cast("Iterable[tuple[str, object]]", branch.children):
            # One key of megabytes may stand in a million places: it is refused as it is, and not copied.
            yield f"{name}.{key}" if name and len(key) <= _MAX_NAME else key, child
        return
    for index, child in enumerate(branch.children):
        # The place in a list of one says nothing: the output `(tensor,)` is the output.
        yield name if branch.list_length == 1 else f"{name}[{index}]", child
