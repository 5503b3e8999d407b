"""Layouts that the user gave: `permute(1, 0, 2)`, `concatenate(1), reshape(76, 8, 64)`."""

__all__ = ["parse_layout"]

import math
import re
from collections.abc import Callable, Sequence

from outgrow.compare.layout.chain import chain
from outgrow.compare.layout.layout import Identity, Layout
from outgrow.compare.layout.ranks import Combination, Concatenate, PartialSum, Replicated, Stack
from outgrow.compare.layout.rearrange import Rearrange
from outgrow.errors import InputError

Shape = tuple[int, ...]
_CALL = re.compile(r"\s*([a-z]+)\s*(?:\(([^()]*)\))?\s*(?:[,;]|$)")
_FORM = (
    "a layout is a list of permute(1, 0, 2), transpose(0, 1), reshape(76, 8, 64), squeeze(0), unsqueeze(0), "
    "reshape; with several ranks after concatenate(1), stack, replicated or sum"
)


def parse_layout(text: str, *, shapes: Sequence[Shape], target: Shape) -> Layout:
    """The layout that `text` says, of tensors of these shapes, one for each rank, to the expected shape
    `target`. Dims are counted as torch does.

    Raises:
        InputError: it says none, or one that does not fit the shapes.
    """
    calls = _calls(text)
    layouts: list[Layout] = []
    if calls and calls[0][0] in _COMBINATIONS:
        combination = _combination(text, *calls.pop(0), shapes)
        layouts.append(combination)
        shape = combination.shape
    elif len(shapes) > 1:
        raise _wrong(text, f"there are {len(shapes)} ranks, and it does not say how they make one tensor")
    else:
        shape = shapes[0]
    for name, numbers in calls:
        if name in _COMBINATIONS:
            raise _wrong(text, f"{name} can only come first")
        if name not in _STEPS:
            raise _wrong(text, f"there is no {name!r}")
        step = _STEPS[name](text, shape, numbers, target)
        shape = step.shape
        layouts.append(step)
    if shape != target:
        raise _wrong(text, f"it makes {list(shape)}, but {list(target)} is expected")
    return chain(*layouts) if layouts else Identity()


def _calls(text: str) -> list[tuple[str, list[int] | None]]:
    found: list[tuple[str, list[int] | None]] = []
    position = 0
    while position < len(text):
        match = _CALL.match(text, position)
        if match is None:
            raise _wrong(text, f"{text[position:].strip()!r} is not a call")
        name, inside = match.groups()
        numbers = None if inside is None else [part.strip() for part in inside.split(",") if part.strip()]
        if numbers is not None and not all(re.fullmatch(r"-?\d{1,9}", number) for number in numbers):
            raise _wrong(text, f"{inside!r} are not whole numbers")
        found.append((name, None if numbers is None else [int(number) for number in numbers]))
        position = match.end()
    return [] if found == [("identity", None)] else found


def _combination(text: str, name: str, numbers: list[int] | None, shapes: Sequence[Shape]) -> Combination:
    if name == "concatenate":
        (dim,) = _dims(text, name, numbers, 1, len(shapes[0]))
        return Concatenate(dim=dim, shapes=tuple(shapes))
    if numbers:
        raise _wrong(text, f"{name} takes no numbers")
    if len(set(shapes)) > 1:
        raise _wrong(text, f"the ranks have shapes {', '.join(str(list(shape)) for shape in shapes)}")
    if name == "stack":
        return Stack(ranks=len(shapes), local=shapes[0])
    return (Replicated if name == "replicated" else PartialSum)(ranks=len(shapes), local=shapes[0])


def _permute(text: str, shape: Shape, numbers: list[int] | None, _: Shape) -> Rearrange:
    order = _dims(text, "permute", numbers, len(shape), len(shape))
    return _rearranged(shape, shape, order, tuple(shape[dim] for dim in order))


def _transpose(text: str, shape: Shape, numbers: list[int] | None, _: Shape) -> Rearrange:
    one, other = _dims(text, "transpose", numbers, 2, len(shape))
    order = list(range(len(shape)))
    order[one], order[other] = other, one
    return _rearranged(shape, shape, order, tuple(shape[dim] for dim in order))


def _reshape(text: str, shape: Shape, numbers: list[int] | None, target: Shape) -> Rearrange:
    wanted = list(target if numbers is None else numbers)
    rest = math.prod(size for size in wanted if size != -1)
    if wanted.count(-1) == 1 and rest and math.prod(shape) % rest == 0:
        wanted[wanted.index(-1)] = math.prod(shape) // rest
    if min(wanted, default=0) < 0 or math.prod(wanted) != math.prod(shape):
        raise _wrong(text, f"{list(shape)} cannot be reshaped to {wanted}")
    return _rearranged(shape, shape, range(len(shape)), tuple(wanted))


def _squeeze(text: str, shape: Shape, numbers: list[int] | None, _: Shape) -> Rearrange:
    (dim,) = _dims(text, "squeeze", numbers, 1, len(shape))
    if shape[dim] != 1:
        raise _wrong(text, f"dim {dim} of {list(shape)} is not of size 1")
    return _rearranged(shape, shape, range(len(shape)), shape[:dim] + shape[dim + 1 :])


def _unsqueeze(text: str, shape: Shape, numbers: list[int] | None, _: Shape) -> Rearrange:
    (dim,) = _dims(text, "unsqueeze", numbers, 1, len(shape) + 1)
    return _rearranged(shape, shape, range(len(shape)), (*shape[:dim], 1, *shape[dim:]))


_COMBINATIONS = ("concatenate", "stack", "replicated", "sum")
_STEPS: dict[str, Callable[[str, Shape, list[int] | None, Shape], Rearrange]] = {
    "permute": _permute,
    "transpose": _transpose,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
}


def _rearranged(source: Shape, atoms: Shape, order: Sequence[int], shape: Shape) -> Rearrange:
    return Rearrange(source=source, atoms=atoms, order=tuple(order), shape=shape)


def _dims(text: str, name: str, numbers: list[int] | None, count: int, dims: int) -> tuple[int, ...]:
    """So many different dims of a tensor that has `dims`."""
    given = numbers or []
    if len(given) != count or not all(-dims <= dim < dims for dim in given):
        raise _wrong(text, f"{name} takes {count} of {dims} dims, not ({', '.join(map(str, given))})")
    found = tuple(dim % dims for dim in given)
    if len(set(found)) != count:
        raise _wrong(text, f"{name} names a dim twice")
    return found


def _wrong(text: str, why: str) -> InputError:
    return InputError(f"the layout {text!r} does not fit: {why}", hint=_FORM)
