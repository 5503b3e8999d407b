"""Ops as several simpler ones, so that each tensor can be held in its own way: before rows are looked for.

An optimizer's `_foreach_` and `_fused_` ops take all parameters at once; each becomes one op a parameter.
Ops that need only the shape of an argument lose it. A mean over classes' losses becomes a sum divided by a
weight.
"""

__all__ = ["Expansion", "expand_segment", "parts_of"]

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from outgrow.shard.instructions import FLOAT, INPUT, Segment, Step, Template
from outgrow.shard.ranks.kernels import resolve_op
from outgrow.shard.rules.arguments import bound, packet_of, rewritten
from outgrow.shard.rules.row import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """A segment of simpler ops, and how to find in it what the given one had."""

    segment: Segment
    """Has the same inputs."""
    origin: tuple[int, ...]
    """For each of its steps, the step of the given segment that it comes from."""
    values: tuple[int, ...]
    """For each local number of the given segment, the local number that it has now."""
    floats: tuple[int, ...]
    """For each float that its steps take, in order, its place among those of the given segment's calls."""

    @property
    def is_same(self) -> bool:
        """Nothing had parts: a call needs no translation."""
        return (
            len(self.origin) == len(set(self.origin))
            and self.values == tuple(range(len(self.values)))
            and self.floats == tuple(range(len(self.floats)))
        )


def expand_segment(segment: Segment) -> Expansion:
    """The segment with every op that has parts replaced by them. Pure; what is already simple comes back
    the same.

    To run a call of the given segment: `live` is translated by `values`, `floats` are picked by `floats`,
    and a failure at a step is one of `origin[step]`.
    """
    templates: dict[Template, int] = {}
    steps: list[Step] = []
    origin: list[int] = []
    values: list[int] = []
    floats: list[int] = []
    made = at_float = 0
    for number, step in enumerate(segment.steps):
        template = segment.templates[step.template]
        inputs = tuple(values[ref] if ref >= 0 else ref for ref in step.inputs)
        own: list[int] = []
        found = [-1] * step.outputs
        for part in parts_of(template):
            refs = tuple(inputs[ref] if ref >= 0 else own[-1 - ref] for ref in part.inputs)
            index = templates.setdefault(part.template, len(templates))
            steps.append(Step(index, refs, len(part.outputs), len(part.floats)))
            origin.append(number)
            floats.extend(at_float + one for one in part.floats)
            for output in part.outputs:
                if output >= 0:
                    found[output] = made
                own.append(made)
                made += 1
        values.extend(found)
        at_float += step.floats
    return Expansion(
        segment=Segment(templates=tuple(templates), steps=tuple(steps), inputs=segment.inputs),
        origin=tuple(origin),
        values=tuple(values),
        floats=tuple(floats),
    )


@functools.lru_cache(maxsize=10_000)
def parts_of(template: Template) -> tuple[Part, ...]:
    """What an op becomes; itself alone where it is simple. Every output is made by one part."""
    packet = packet_of(template.op)
    if packet.startswith(("aten._foreach_", "aten._fused_")):
        return _each(template) or _itself(template)
    if packet in ("aten.linalg_vector_norm", "aten.norm"):
        return _rooted(template) or _itself(template)
    if packet in _WITHOUT_INPUT:
        return _from_nothing(template) or _itself(template)
    if packet == "aten.copy_":
        return _copied(template) or _itself(template)
    if packet in ("aten.nll_loss_forward", "aten.nll_loss2d_forward"):
        return _summed_loss(template) or _itself(template)
    return _itself(template)


def _itself(template: Template) -> tuple[Part, ...]:
    floats = sum(1 for value in _leaves((template.args, template.kwargs)) if value is FLOAT)
    numbers = tuple(range(len(template.inputs)))
    return (Part(template, numbers, tuple(range(len(template.outputs))), tuple(range(floats))),)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for one in value:
            yield from _leaves(one)
    else:
        yield value


# One op a tensor


class _Numbered(NamedTuple):
    """A hole in the arguments, with its number among those of its kind."""

    marker: Any
    number: int


def _each(template: Template) -> tuple[Part, ...]:
    """One part for each element of the lists; none where the op takes no lists of equal length."""
    arguments = resolve_op(template.op)._schema.arguments
    counters = {INPUT: iter(range(10**9)), FLOAT: iter(range(10**9))}
    args = [
        (_list_kind(arguments[place]), _number(value, counters)) for place, value in enumerate(template.args)
    ]
    kinds = {argument.name: _list_kind(argument) for argument in arguments}
    kwargs = [(name, kinds[name], _number(value, counters)) for name, value in template.kwargs]
    lists = [value for is_list, value in args if is_list] + [value for _, is_list, value in kwargs if is_list]
    counts = {len(value) for value in lists if isinstance(value, tuple) and value}
    written = len(template.mutates)
    # Numbers that come as one tensor belong to an element each, too, and cannot be told apart here.
    if len(counts) != 1 or (bound(template).get("scalars") is not None and "Tensor" in template.op):
        return ()
    (count,) = counts
    fresh = len(template.outputs) - written
    if fresh not in (0, count) or len(set(template.mutates)) != written:
        return ()
    parts = []
    for place in range(count):
        own_args = tuple(_element(value, place) if is_list else value for is_list, value in args)
        own_kwargs = tuple(
            (name, _element(value, place) if is_list else value) for name, is_list, value in kwargs
        )
        holes = list(_holes((own_args, tuple(value for _, value in own_kwargs))))
        inputs = tuple(hole.number for hole in holes if hole.marker is INPUT)
        mutated = [at for at, number in enumerate(inputs) if number in template.mutates]
        outputs = [template.mutates.index(inputs[at]) for at in mutated] + (
            [written + place] if fresh else []
        )
        parts.append(
            Part(
                Template(
                    op=template.op,
                    args=_unnumbered(own_args),
                    kwargs=tuple((name, _unnumbered(value)) for name, value in own_kwargs),
                    inputs=tuple(template.inputs[number] for number in inputs),
                    outputs=tuple(template.outputs[number] for number in outputs),
                    mutates=tuple(mutated),
                ),
                inputs,
                tuple(outputs),
                tuple(hole.number for hole in holes if hole.marker is FLOAT),
            )
        )
    return tuple(parts) if sum(len(part.outputs) for part in parts) == len(template.outputs) else ()


def _list_kind(argument: Any) -> bool:
    return str(argument.type) in ("List[Tensor]", "List[number]")


def _number(value: Any, counters: dict[Any, Iterator[int]]) -> Any:
    if value is INPUT or value is FLOAT:
        return _Numbered(value, next(counters[value]))
    if type(value) is tuple:
        return tuple(_number(one, counters) for one in value)
    return value


def _element(value: Any, place: int) -> Any:
    return (value[place],) if value else ()


def _holes(value: Any) -> Iterator[_Numbered]:
    if isinstance(value, _Numbered):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _holes(one)


def _unnumbered(value: Any) -> Any:
    if isinstance(value, _Numbered):
        return value.marker
    if isinstance(value, tuple):
        return tuple(_unnumbered(one) for one in value)
    return value


# Ops that need only a shape

_WITHOUT_INPUT = {
    "aten.zeros_like": "aten.zeros.default",
    "aten.ones_like": "aten.ones.default",
    "aten.full_like": "aten.full.default",
    "aten.empty_like": "aten.zeros.default",
    "aten.new_zeros": "aten.zeros.default",
    "aten.new_ones": "aten.ones.default",
    "aten.new_full": "aten.full.default",
    "aten.new_empty": "aten.zeros.default",
    "aten.new_empty_strided": "aten.zeros.default",
    "aten.zero_": "aten.zeros.default",
    "aten.zero": "aten.zeros.default",
    "aten.fill_": "aten.full.default",
    "aten.fill": "aten.full.default",
}


def _from_nothing(template: Template) -> tuple[Part, ...]:
    """The same shape made from nothing; an input that gives the number is kept as it is."""
    packet, made = packet_of(template.op), template.outputs
    if len(template.inputs) != 1 or len(made) != 1:
        return ()
    given = bound(template)
    value = given.get("fill_value", given.get("value"))
    args: tuple[Any, ...] = (made[0].shape,)
    op = _WITHOUT_INPUT[packet]
    if op == "aten.full.default":
        args = (*args, value)
    floats = (0,) if value is FLOAT else ()
    simple = Template(op=op, args=args, kwargs=(("dtype", made[0].dtype),), outputs=made)
    return (Part(simple, (), (0,), floats),)


def _copied(template: Template) -> tuple[Part, ...]:
    """A copy needs nothing of what it overwrites, where the shapes are the same."""
    target, source = template.inputs
    if target.shape != source.shape:
        return ()
    if target.dtype == source.dtype:
        simple = Template(op="aten.clone.default", args=(INPUT,), inputs=(source,), outputs=template.outputs)
    else:
        simple = Template(
            op="aten._to_copy.default",
            args=(INPUT,),
            kwargs=(("dtype", target.dtype),),
            inputs=(source,),
            outputs=template.outputs,
        )
    return (Part(simple, (1,), (0,), ()),)


# Sums that are divided afterwards


def _summed_loss(template: Template) -> tuple[Part, ...]:
    """A mean over targets as the sum and the weight of those that count: both can be partial sums."""
    given = bound(template)
    if given["reduction"] != 1:
        return ()
    total = rewritten(template, reduction=2)
    mean, weight = template.outputs
    numbers = tuple(range(len(template.inputs)))
    divided = Template(op="aten.div.Tensor", args=(INPUT, INPUT), inputs=(mean, weight), outputs=(mean,))
    return (Part(total, numbers, (-1, 1), ()), Part(divided, (-1, -2), (0,), ()))


def _rooted(template: Template) -> tuple[Part, ...]:
    """A norm of finite order as a sum of powers and its root: the sum can be partial."""
    given = bound(template)
    order: Any = given.get("ord", given.get("p"))
    if type(order) not in (int, float) or not 1 < order < math.inf or len(template.inputs) != 1:
        return ()
    (made,) = template.outputs
    # Powers of 16-bit floats leave their range.
    dtype = torch.float32 if made.dtype.itemsize < 4 else made.dtype
    powers = made._replace(dtype=dtype)
    dim, wide = given.get("dim"), None if dtype == template.inputs[0].dtype else dtype
    wide = None if template.inputs[0].dtype.is_complex else wide
    total = Template(
        op="outgrow.power_sum",
        args=(INPUT, order, dim, bool(given.get("keepdim", False)), wide),
        inputs=template.inputs,
        outputs=(powers,),
    )
    root = Template(
        op="outgrow.power_root", args=(INPUT, order, made.dtype), inputs=(powers,), outputs=(made,)
    )
    return (Part(total, (0,), (-1,), ()), Part(root, (-1,), (0,), ()))
