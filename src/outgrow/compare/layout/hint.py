"""Layouts that the user gave: `permute(1, 0, 2)`, `concatenate(1), reshape(76, 8, 64)`."""

__all__ = ["Heard", "HeardStep", "Told", "hear_hint", "parse_hint"]

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from outgrow.compare.layout.chain import chain
from outgrow.compare.layout.layout import Identity, Layout
from outgrow.compare.layout.parts import Part, Repeat
from outgrow.compare.layout.ranks import Combination, Concatenate, PartialSum, Replicated, Sections, Stack
from outgrow.compare.layout.rearrange import Rearrange
from outgrow.compare.layout.simplified import simplified
from outgrow.errors import InputError

Shape = tuple[int, ...]
_Call = tuple[str, list[int] | None]
_CALL = re.compile(r"\s*([a-z]+)\s*(?:\(([^()]*)\))?\s*(?:[,;]|$)")
_OTHER_SIDE = re.compile(r"(?:^|[;,])\s*expected\s*:")
_FORM = (
    "a layout is a list of permute(1, 0, 2), transpose(0, 1), reshape(76, 8, 64), squeeze(0), unsqueeze(0), "
    "reshape, part(0, 0, 64, 8), repeat(0, 4, 64); with several ranks after concatenate(1), "
    "sections(0, 64, 32, 32), stack, replicated, replicated(1) or sum; what is to be done to the "
    "expected tensor comes last: `; expected: part(0, 0, 64)`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a hint says."""

    layout: Layout
    """Of the actual tensors."""
    expected_layout: Layout
    has_rank: bool
    """Whether it says which of the ranks that hold the same is to be measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardStep:
    """One call of a hint."""

    call: str
    """As it was understood: `reshape(76, 8, 64)`."""
    layout: Layout
    shape: Shape
    """What it gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a hint says, call by call, whether or not both sides come out alike."""

    actual: tuple[HeardStep, ...]
    expected: tuple[HeardStep, ...]
    shape: Shape
    """Of the actual side."""
    target: Shape
    """Of the expected side."""
    has_rank: bool


def parse_hint(text: str, *, shapes: Sequence[Shape], target: Shape, part: str = "part") -> Told:
    """The layouts that `text` says, of actual tensors of these shapes, one for each rank, and of the expected
    one of shape `target`. Dims are counted as torch does. `part` is what a part of a fused tensor is called.

    Raises:
        InputError: it says none, or one that does not fit the shapes.
    """
    heard = hear_hint(text, shapes=shapes, target=target, part=part)
    if heard.shape != heard.target:
        raise _wrong(text, f"it makes {list(heard.shape)}, but {list(heard.target)} is expected")
    return Told(
        layout=_all([step.layout for step in heard.actual]),
        expected_layout=_all([step.layout for step in heard.expected]),
        has_rank=heard.has_rank,
    )


def hear_hint(text: str, *, shapes: Sequence[Shape], target: Shape, part: str = "part") -> Heard:
    """As `parse_hint`, but call by call, and also where both sides come out with different shapes.

    Raises:
        InputError: a call is none, or cannot be done to what comes before it.
    """
    here, *there = _OTHER_SIDE.split(text)
    if len(there) > 1:
        raise _wrong(text, "`expected:` is there twice")
    # The smaller side is repeated, so that nothing ever grows beyond the larger one.
    most = max(math.prod(target), sum(math.prod(shape) for shape in shapes))
    expected: list[HeardStep] = []
    for name, numbers in _calls(text, there[0]) if there else []:
        if name in _COMBINATIONS:
            raise _wrong(text, f"the expected side is one tensor, to which {name} cannot be done")
        if name == "reshape" and numbers is None:
            raise _wrong(text, "a reshape of the expected side has to say to which sizes")
        expected.append(_step(_Given(text, target, numbers, target, part, most), name))
        target = expected[-1].shape
    calls = _calls(text, here)
    actual: list[HeardStep] = []
    has_rank = False
    if calls and calls[0][0] in _COMBINATIONS:
        has_rank = calls[0][0] == "replicated" and bool(calls[0][1])
        name, numbers = calls.pop(0)
        combination = _combination(text, name, numbers, shapes)
        actual.append(
            HeardStep(call=_call_text(name, numbers), layout=combination, shape=combination.shape)
        )  # fmt: skip
    elif len(shapes) > 1:
        raise _wrong(text, f"there are {len(shapes)} ranks, and it does not say how they make one tensor")
    for name, numbers in calls:
        if name in _COMBINATIONS:
            raise _wrong(text, f"{name} can only come first")
        shape = actual[-1].shape if actual else shapes[0]
        actual.append(_step(_Given(text, shape, numbers, target, part, most), name))
    return Heard(
        actual=tuple(actual),
        expected=tuple(expected),
        shape=actual[-1].shape if actual else shapes[0],
        target=target,
        has_rank=has_rank,
    )


def _all(layouts: Sequence[Layout]) -> Layout:
    return simplified(chain(*layouts)) if layouts else Identity()


@dataclass(frozen=True, slots=True)
class _Given:
    """One call, and what it is to be done to."""

    text: str
    shape: Shape
    numbers: list[int] | None
    target: Shape
    part: str
    most: int
    """How many numbers a step may give."""


def _calls(text: str, side: str) -> list[_Call]:
    found: list[_Call] = []
    position = 0
    while position < len(side):
        match = _CALL.match(side, position)
        if match is None:
            raise _wrong(text, f"{side[position:].strip()!r} is not a call")
        name, inside = match.groups()
        numbers = None if inside is None else [part.strip() for part in inside.split(",") if part.strip()]
        if numbers is not None and not all(re.fullmatch(r"-?\d{1,15}", number) for number in numbers):
            raise _wrong(text, f"{inside!r} are not whole numbers")
        found.append((name, None if numbers is None else [int(number) for number in numbers]))
        position = match.end()
    return [] if found == [("identity", None)] else found


def _combination(text: str, name: str, numbers: list[int] | None, shapes: Sequence[Shape]) -> Combination:
    if name == "concatenate":
        (dim,) = _dims(text, name, numbers, 1, len(shapes[0]))
        return Concatenate(dim=dim, shapes=tuple(shapes))
    if len(set(shapes)) > 1:
        raise _wrong(text, f"the ranks have shapes {', '.join(str(list(shape)) for shape in shapes)}")
    if name == "sections":
        dim, *sizes = numbers or [0]
        (dim,) = _dims(text, name, [dim], 1, len(shapes[0]))
        if not sizes:
            raise _wrong(text, "sections takes a dim and the sizes of its sections")
        return Sections(dim=dim, ranks=len(shapes), local=shapes[0], sizes=tuple(sizes))
    if name == "replicated" and numbers:
        if len(numbers) > 1 or not 0 <= numbers[0] < len(shapes):
            raise _wrong(text, f"replicated takes one of {len(shapes)} ranks")
        return Replicated(ranks=len(shapes), local=shapes[0], uses=numbers[0])
    if numbers:
        raise _wrong(text, f"{name} takes no numbers")
    if name == "stack":
        return Stack(ranks=len(shapes), local=shapes[0])
    return (Replicated if name == "replicated" else PartialSum)(ranks=len(shapes), local=shapes[0])


def _step(given: _Given, name: str) -> HeardStep:
    if name not in _STEPS:
        raise _wrong(given.text, f"there is no {name!r}")
    step = _STEPS[name](given)
    numbers = list(step.shape) if name == "reshape" else given.numbers
    return HeardStep(call=_call_text(name, numbers), layout=step, shape=step.shape)


def _call_text(name: str, numbers: list[int] | None) -> str:
    return name if numbers is None else f"{name}({', '.join(map(str, numbers))})"


def _permute(given: _Given) -> Rearrange:
    shape = given.shape
    order = _dims(given.text, "permute", given.numbers, len(shape), len(shape))
    return _rearranged(shape, order, tuple(shape[dim] for dim in order))


def _transpose(given: _Given) -> Rearrange:
    shape = given.shape
    one, other = _dims(given.text, "transpose", given.numbers, 2, len(shape))
    order = list(range(len(shape)))
    order[one], order[other] = other, one
    return _rearranged(shape, order, tuple(shape[dim] for dim in order))


def _reshape(given: _Given) -> Rearrange:
    shape = given.shape
    wanted = list(given.target if given.numbers is None else given.numbers)
    rest = math.prod(size for size in wanted if size != -1)
    if wanted.count(-1) == 1 and rest and math.prod(shape) % rest == 0:
        wanted[wanted.index(-1)] = math.prod(shape) // rest
    if min(wanted, default=0) < 0 or math.prod(wanted) != math.prod(shape):
        raise _wrong(given.text, f"{list(shape)} cannot be reshaped to {wanted}")
    return _rearranged(shape, range(len(shape)), tuple(wanted))


def _squeeze(given: _Given) -> Rearrange:
    shape = given.shape
    (dim,) = _dims(given.text, "squeeze", given.numbers, 1, len(shape))
    if shape[dim] != 1:
        raise _wrong(given.text, f"dim {dim} of {list(shape)} is not of size 1")
    return _rearranged(shape, range(len(shape)), shape[:dim] + shape[dim + 1 :])


def _unsqueeze(given: _Given) -> Rearrange:
    shape = given.shape
    (dim,) = _dims(given.text, "unsqueeze", given.numbers, 1, len(shape) + 1)
    return _rearranged(shape, range(len(shape)), (*shape[:dim], 1, *shape[dim:]))


def _part(given: _Given) -> Part:
    """`part(dim, from, to)`, or `part(dim, from, to, runs)` where the dim has so many runs with one each."""
    numbers = given.numbers or []
    if not 3 <= len(numbers) <= 4:
        raise _wrong(given.text, "part takes a dim, from where, up to where, and in how many runs")
    (dim,) = _dims(given.text, "part", numbers[:1], 1, len(given.shape))
    start, end, groups = numbers[1], numbers[2], (*numbers[3:], 1)[0]
    length = given.shape[dim]
    if groups < 1 or length % groups or not 0 <= start < end <= length // groups:
        raise _wrong(given.text, f"dim {dim} of {list(given.shape)} has no {groups} runs with {start}:{end}")
    return Part(source=given.shape, dim=dim, groups=groups, start=start, size=end - start, name=given.part)


def _repeat(given: _Given) -> Repeat:
    """`repeat(dim, times)`, or `repeat(dim, times, block)` where so many entries are repeated together."""
    numbers = given.numbers or []
    if not 2 <= len(numbers) <= 3:
        raise _wrong(given.text, "repeat takes a dim, how many times, and how many entries together")
    (dim,) = _dims(given.text, "repeat", numbers[:1], 1, len(given.shape))
    length = given.shape[dim]
    times, block = numbers[1], (*numbers[2:], length)[0]
    if times < 1 or block < 1 or length % block:
        raise _wrong(given.text, f"dim {dim} of {list(given.shape)} has no blocks of {block} to repeat")
    if math.prod(given.shape) * times > given.most:
        raise _wrong(given.text, f"repeated {times} times, {list(given.shape)} is larger than both tensors")
    return Repeat(source=given.shape, dim=dim, block=block, times=times)


_COMBINATIONS = ("concatenate", "sections", "stack", "replicated", "sum")
_STEPS: dict[str, Callable[[_Given], Rearrange | Part | Repeat]] = {
    "permute": _permute,
    "transpose": _transpose,
    "reshape": _reshape,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "part": _part,
    "repeat": _repeat,
}


def _rearranged(shape: Shape, order: Sequence[int], wanted: Shape) -> Rearrange:
    return Rearrange(source=shape, atoms=shape, order=tuple(order), shape=wanted)


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
