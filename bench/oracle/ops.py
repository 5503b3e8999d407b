"""Exams from torch's OpInfo database: calls, in-place and out variants, gradients, inputs to refuse."""

__all__ = ["UNDETERMINED", "op_exams", "op_names"]

import functools
import itertools
import random
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from bench.oracle.exam import Exam, Outcome, fetched, named
from bench.oracle.side import Side
from bench.oracle.stable import stable

UNDETERMINED = frozenset(
    [
        "empty",
        "empty_like",
        "empty_permuted",
        "empty_strided",
        "new_empty",
        "new_empty_strided",
        "resize_",
        "resize_as_",
    ]
)
"""Entries whose numbers are whatever the memory held: shape and dtype alone are compared."""

_AS_DRAWN = frozenset(["_segment_reduce.lengths", "_segment_reduce.offsets"])
"""Entries whose generators hold literals that do not fit other sizes, with checks turned off."""

_MOST_DRAWN = 120
"""Samples looked at; a few entries have thousands."""


@functools.cache
def database() -> dict[str, Any]:
    """Entries by full name."""
    from torch.testing._internal.common_methods_invocations import op_db

    return {
        f"{info.name}.{info.variant_test_name}" if info.variant_test_name else info.name: info
        for info in op_db
    }


def op_names() -> list[str]:
    """All of them, in torch's order."""
    return list(database())


def op_exams(name: str, world_size: int, seed: int, samples: int) -> Iterator[Exam]:
    """Every case of one entry but for placements."""
    info = database()[name]
    for dtype in _dtypes(info):
        word = str(dtype).removeprefix("torch.")
        many = samples if dtype == torch.float64 else 1
        drawn = _draw(info, name, dtype, world_size, seed, many)
        for number, sample in enumerate(drawn):
            yield Exam(f"{word}/call/{number}", functools.partial(_call, info, info.op, sample, dtype), name)
        for number, sample in enumerate(drawn[:2]):
            inplace = info.inplace_variant
            if inplace is not None and not sample.broadcasts_input and isinstance(sample.input, Tensor):
                yield Exam(
                    f"{word}/inplace/{number}",
                    functools.partial(_inplace, info, inplace, sample, dtype),
                    name,
                )
        if info.supports_out and drawn and dtype == torch.float64:
            yield Exam(f"{word}/out/0", functools.partial(_out, info, drawn[0]), name)
    if info.error_inputs_func is not None:
        for number, error_input in enumerate(itertools.islice(_errors(info), 12)):
            yield Exam(f"error/{number}", functools.partial(_error, info, error_input), name)


def _dtypes(info: Any) -> list[torch.dtype]:
    known = info.supported_dtypes("cpu")
    wanted = [torch.float64, torch.float32, torch.int64, torch.bool, torch.complex128]
    found = [dtype for dtype in wanted if dtype in known]
    return found or sorted(known, key=str)[:1]


def _draw(info: Any, name: str, dtype: torch.dtype, world_size: int, seed: int, many: int) -> list[Any]:
    """A few samples: most of sizes that the ranks can cut evenly, one as torch draws them."""
    requires_grad = dtype in info.supported_backward_dtypes("cpu") and info.supports_autograd
    chance = random.Random(stable(f"{name}/{dtype}/{seed}"))
    pools = []
    sizes = (4 if world_size <= 2 else 2 * world_size, None)
    for size in (None, None) if name in _AS_DRAWN else sizes:
        try:
            with _sizes(size):
                torch.default_generator.manual_seed(seed + 7)
                generator = info.sample_inputs("cpu", dtype, requires_grad=requires_grad)
                pools.append(list(itertools.islice(generator, _MOST_DRAWN)))
        except Exception:  # literals in torch's generators do not fit other sizes
            pools.append([])
    even, plain = pools
    even = [sample for sample in even if _runs(info, sample)] if many > 1 else even
    picked: list[Any] = []
    if even:
        even.sort(key=lambda sample: -_evenness(sample, world_size))
        picked.append(even[0])
        picked += [chance.choice(even) for _ in range(many - 2)]
    if plain and len(picked) < many:
        picked.append(chance.choice(plain))
    return picked


def _runs(info: Any, sample: Any) -> bool:
    return sample is not None


def _evenness(sample: Any, world_size: int) -> int:
    """How many dims of the tensors of a sample can be cut evenly."""
    leaves = tree_flatten((sample.input, sample.args, sample.kwargs))[0]
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    return sum(size >= world_size and size % world_size == 0 for one in tensors for size in one.shape[:4])


class _sizes:
    """While inside, torch's generators draw other sizes: 5, 10 and 20 are not cut evenly by much."""

    def __init__(self, size: int | None) -> None:
        self.size = size
        self.before: list[tuple[Any, str, int]] = []

    def __enter__(self) -> None:
        if self.size is None:
            return
        for module in [m for n, m in sys.modules.items() if n.startswith("torch.testing._internal") and m]:
            for letter, factor in (("S", 1), ("M", 2), ("L", 4)):
                if type(vars(module).get(letter)) is int:
                    self.before.append((module, letter, vars(module)[letter]))
                    setattr(module, letter, self.size * factor)

    def __exit__(self, *error: object) -> None:
        for module, letter, value in self.before:
            setattr(module, letter, value)


def _errors(info: Any) -> Iterator[Any]:
    generator = iter(info.error_inputs("cpu"))
    while True:
        try:
            yield next(generator)
        except StopIteration:
            return
        except Exception:  # a generator that cannot run here
            return


def _arguments(side: Side, sample: Any) -> tuple[Any, Any, Any]:
    moved: tuple[Any, Any, Any] = side.tree((sample.input, tuple(sample.args), dict(sample.kwargs)))
    return moved


def _call(info: Any, op: Any, sample: Any, dtype: torch.dtype, side: Side, outcome: Outcome) -> None:
    given, args, kwargs = _arguments(side, sample)
    torch.default_generator.manual_seed(99)
    made = op(given, *args, **kwargs)
    _finish(info, sample, made, side, outcome)


def _inplace(info: Any, op: Any, sample: Any, dtype: torch.dtype, side: Side, outcome: Outcome) -> None:
    given, args, kwargs = _arguments(side, sample)
    if not info.supports_inplace_autograd:
        given = given.detach()
    torch.default_generator.manual_seed(99)
    target = given.clone()
    made = op(target, *args, **kwargs)
    outcome.forward += fetched(named("target", target), only_metas=info.name in UNDETERMINED)
    outcome.forward.append(("returns itself", made is target))
    _finish(info, sample, made, side, outcome)


def _finish(info: Any, sample: Any, made: Any, side: Side, outcome: Outcome) -> None:
    if sample.output_process_fn_grad is not None:
        made = sample.output_process_fn_grad(made)
    results = named("out", made)
    is_undetermined = info.name in UNDETERMINED
    outcome.forward += fetched(results, only_metas=is_undetermined)
    outcome.phase = "backward"
    gradients(
        side,
        outcome,
        [value for _, value in results if isinstance(value, Tensor)],
        only_metas=is_undetermined,
    )


def gradients(
    side: Side, outcome: Outcome, made: list[Tensor], *, only_metas: bool = False, **more: Tensor
) -> None:
    """Backward from everything that has a gradient function, with fixed gradients, to every leaf."""
    ends = [one for one in made if one.requires_grad and one.grad_fn is not None]
    leaves = [*side.leaves(), *more.values()]
    if not ends or not leaves:
        return
    generator = torch.Generator().manual_seed(5)
    starts = [torch.randn(end.shape, dtype=end.dtype, generator=generator).to(side.device) for end in ends]
    found = torch.autograd.grad(ends, leaves, starts, allow_unused=True)
    names = [f"grad {number}" for number in range(len(leaves) - len(more))] + [
        f"grad {name}" for name in more
    ]
    outcome.backward += fetched(list(zip(names, found, strict=True)), only_metas=only_metas)


def _out(info: Any, sample: Any, side: Side, outcome: Outcome) -> None:
    given, args, kwargs = _arguments(side, sample)
    with torch.no_grad():
        torch.default_generator.manual_seed(99)
        expected = info.op(given, *args, **kwargs)
        if not isinstance(expected, Tensor):
            place = type(expected) if type(expected) in (tuple, list) else tuple
            out: Any = place(torch.empty_like(one) for one in expected)
        else:
            out = torch.empty_like(expected)
        torch.default_generator.manual_seed(99)
        made = info.op(given, *args, **{**kwargs, "out": out})
    is_undetermined = info.name in UNDETERMINED
    outcome.forward += fetched(named("out", out), only_metas=is_undetermined)
    outcome.forward += fetched(named("returned", made), only_metas=is_undetermined)


def _error(info: Any, error_input: Any, side: Side, outcome: Outcome) -> None:
    given, args, kwargs = _arguments(side, error_input.sample_input)
    made = info.op(given, *args, **kwargs)
    outcome.forward += fetched(named("out", made))
