"""Squeeze, split, permute and merge dims: every map that moves whole factors of an axis."""

__all__ = ["Rearrange", "squeezed"]

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from outgrow.compare.layout.layout import Positions
from outgrow.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rearrange:
    """`tensor.reshape(atoms).permute(order).reshape(shape)`: numbers move, none is lost or made."""

    source: tuple[int, ...]
    """Shape that it takes."""
    atoms: tuple[int, ...]
    """Factors of the source's axes in row-major order; those of size 1 may be left out."""
    order: tuple[int, ...]
    """Which atom comes at which place of the result."""
    shape: tuple[int, ...]
    """Shape that it gives."""

    def __post_init__(self) -> None:
        counts = {math.prod(self.source), math.prod(self.atoms), math.prod(self.shape)}
        if len(counts) != 1 or sorted(self.order) != list(range(len(self.atoms))):
            raise InputError(
                f"{list(self.source)} cannot be put as {list(self.shape)} by atoms {list(self.atoms)} in the "
                f"order {list(self.order)}",
                hint="atoms must multiply to the elements of both shapes, and the order name each atom once",
            )

    @property
    def is_identity(self) -> bool:
        """As `Layout.is_identity`."""
        return self.source == self.shape and self.is_reshape

    @property
    def is_reshape(self) -> bool:
        """Whether the numbers keep their row-major order."""
        real = [place for place in self.order if self.atoms[place] > 1]
        return real == sorted(real) or math.prod(self.atoms) == 0

    def apply(self, tensors: Sequence[Tensor]) -> Tensor:
        """As `Layout.apply`; a view of the one tensor unless atoms are merged out of order."""
        (tensor,) = tensors
        if tuple(tensor.shape) != self.source:
            raise InputError(
                f"a layout for {list(self.source)} was given a tensor of shape {list(tensor.shape)}",
                hint="layouts hold for the shapes that they were found for",
            )
        if self.is_reshape:
            return tensor.reshape(self.shape)
        return tensor.reshape(self.atoms).permute(self.order).reshape(self.shape)

    def locate(self, positions: Positions) -> Positions:
        """As `Step.locate`."""
        if self.is_reshape:
            return positions
        strides = _strides(self.atoms)
        sizes = [self.atoms[place] for place in self.order]
        found = None
        for place, size, inner in zip(self.order, sizes, _strides(sizes), strict=True):
            if size == 1:
                continue
            digit = positions if inner == 1 else positions // inner
            digit = digit % size
            digit *= strides[place]
            found = digit if found is None else found + digit
        assert found is not None, "a map that moves something has an atom larger than 1"
        return found

    @property
    def inverse(self) -> "Rearrange":
        """The map back."""
        return Rearrange(
            source=self.shape,
            atoms=tuple(self.atoms[place] for place in self.order),
            order=tuple(self.order.index(atom) for atom in range(len(self.order))),
            shape=self.source,
        )

    @property
    def digits(self) -> tuple[tuple[int, int], ...]:
        """Size and stride in the result of every atom that is larger than 1."""
        sizes = [self.atoms[place] for place in self.order]
        return tuple((size, inner) for size, inner in zip(sizes, _strides(sizes), strict=True) if size > 1)

    @property
    def merged(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """`atoms` and `order` of the same map with as few atoms as possible."""
        return _merged(self.atoms, self.order)

    def describe(self) -> str:
        """As `Layout.describe`: calls of torch, in order, that do the same."""
        if self.is_identity:
            return "identity"
        calls = self._calls()
        if len(calls) == 1 and calls[0].startswith("transpose") and sorted(self.source) == sorted(self.shape):
            return calls[0]
        return f"{list(self.source)} -> {list(self.shape)}: {', '.join(calls)}"

    @property
    def calls(self) -> list[str]:
        """Calls of torch that do the same to a tensor of this very shape; none where nothing is moved."""
        if self.is_identity:
            return []
        if self.is_reshape:
            return [_reshaping(self.source, self.shape)]
        atoms, order = _merged(self.atoms, self.order)
        if squeezed(self.source) == atoms and len(self.source) == len(self.shape):
            whole = _whole_permutation(self.source, atoms, order, self.shape)
            if whole is not None:
                return [_permuting(whole)]
        between = tuple(atoms[place] for place in order)
        return [
            *([] if self.source == atoms else [_reshaping(self.source, atoms)]),
            _permuting(order),
            *([] if between == self.shape else [_reshaping(between, self.shape)]),
        ]

    def _calls(self) -> list[str]:
        if self.is_reshape:
            return [_reshaping(self.source, self.shape)]
        atoms, order = _merged(self.atoms, self.order)
        if squeezed(self.source) == atoms and len(self.source) == len(self.shape) and 1 in self.source:
            whole = _whole_permutation(self.source, atoms, order, self.shape)
            if whole is not None:
                return [_permuting(whole)]
        calls = [] if self.source == atoms else [_reshaping(self.source, atoms)]
        calls.append(_permuting(order))
        between = tuple(atoms[place] for place in order)
        # Dims of size 1 need no word where the shapes stand before the calls.
        if squeezed(between) != squeezed(self.shape):
            calls.append(_reshaping(between, self.shape))
        return calls


def squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape without dims of size 1."""
    return tuple(size for size in shape if size != 1)


def _strides(sizes: Sequence[int]) -> list[int]:
    strides, inner = [], 1
    for size in reversed(sizes):
        strides.append(inner)
        inner *= size
    return strides[::-1]


def _permuting(order: tuple[int, ...]) -> str:
    moved = [place for place, atom in enumerate(order) if place != atom]
    if len(moved) == 2:
        return f"transpose({moved[0]}, {moved[1]})" if len(order) == 2 else f"permute{order}"
    return f"permute{order}"


def _reshaping(source: tuple[int, ...], shape: tuple[int, ...]) -> str:
    if len(shape) == len(source) + 1:
        for dim in range(len(shape)):
            if shape[dim] == 1 and shape[:dim] + shape[dim + 1 :] == source:
                return f"unsqueeze({dim})"
    if len(source) == len(shape) + 1:
        for dim in range(len(source)):
            if source[dim] == 1 and source[:dim] + source[dim + 1 :] == shape:
                return f"squeeze({dim})"
    return f"reshape({', '.join(map(str, shape))})"


def _merged(atoms: tuple[int, ...], order: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The same map with as few atoms as possible: neighbours that stay neighbours are one."""
    groups: list[list[int]] = []
    for atom in (place for place in order if atoms[place] > 1):
        last = groups[-1][-1] if groups else None
        if last is not None and atom > last and all(atoms[between] == 1 for between in range(last + 1, atom)):
            groups[-1].append(atom)
        else:
            groups.append([atom])
    ranked = sorted(groups)
    return (
        tuple(math.prod(atoms[atom] for atom in group) for group in ranked),
        tuple(ranked.index(group) for group in groups),
    )


def _whole_permutation(
    source: tuple[int, ...], atoms: tuple[int, ...], order: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The permutation of all dims, those of size 1 included, that gives `shape`; None if there is none."""
    real = [dim for dim, size in enumerate(source) if size != 1]
    ones = [dim for dim, size in enumerate(source) if size == 1]
    if len(real) != len(atoms) or sum(size == 1 for size in shape) != len(ones):
        return None
    moved, single = iter(real[place] for place in order), iter(ones)
    found = tuple(next(single) if size == 1 else next(moved) for size in shape)
    return found if tuple(source[dim] for dim in found) == shape else None
