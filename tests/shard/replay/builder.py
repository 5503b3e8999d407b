"""Segments written by hand, op by op, with metas found by running the ops on the meta device."""

from typing import Any

import torch

from outgrow.shard.instructions import INPUT, Segment, Step, Template, TensorMeta
from outgrow.shard.ranks.kernels import resolve_op


def meta_of(tensor: torch.Tensor) -> TensorMeta:
    return TensorMeta(tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)


class Builder:
    """`refs` are those of `Step.inputs`: local numbers, and -1-k for the k-th input."""

    def __init__(self, *inputs: torch.Tensor) -> None:
        self.inputs = [meta_of(one) for one in inputs]
        self.metas: list[TensorMeta] = []
        self.templates: list[Template] = []
        self.steps: list[Step] = []

    def meta(self, ref: int) -> TensorMeta:
        return self.metas[ref] if ref >= 0 else self.inputs[-1 - ref]

    def op(self, name: str, *args: Any, mutates: tuple[int, ...] = (), **kwargs: Any) -> int:
        """Add an op; refs are given as `Ref(number)`. Gives the local number of its first output."""
        refs = [one.number for one in _leaves(args) if isinstance(one, Ref)]
        metas = tuple(self.meta(ref) for ref in refs)
        fakes = iter([torch.empty_strided(m.shape, m.stride, dtype=m.dtype, device="meta") for m in metas])
        filled = [_filled(one, fakes) for one in args]
        given = [one for one in _leaves(filled) if isinstance(one, torch.Tensor)]
        result = resolve_op(name)(*filled, **kwargs)
        results = [result] if isinstance(result, torch.Tensor) else list(result)
        fresh = [one for one in results if not any(one is other for other in given)] if mutates else results
        outputs = tuple(meta_of(given[index]) for index in mutates) + tuple(meta_of(one) for one in fresh)
        template = Template(
            op=name,
            args=tuple(_hole(one) for one in args),
            kwargs=tuple(kwargs.items()),
            inputs=metas,
            outputs=outputs,
            mutates=mutates,
        )
        self.templates.append(template)
        self.steps.append(Step(len(self.templates) - 1, tuple(refs), len(outputs), 0))
        self.metas += outputs
        return len(self.metas) - len(outputs)

    def segment(self) -> Segment:
        return Segment(templates=tuple(self.templates), steps=tuple(self.steps), inputs=tuple(self.inputs))


class Ref:
    """A value by its number."""

    def __init__(self, number: int) -> None:
        self.number = number


def _leaves(args: Any) -> Any:
    for one in args:
        if isinstance(one, (list, tuple)):
            yield from _leaves(one)
        else:
            yield one


def _filled(one: Any, fakes: Any) -> Any:
    if isinstance(one, Ref):
        return next(fakes)
    return [_filled(part, fakes) for part in one] if isinstance(one, (list, tuple)) else one


def _hole(one: Any) -> Any:
    if isinstance(one, Ref):
        return INPUT
    return tuple(_hole(part) for part in one) if isinstance(one, (list, tuple)) else one
