"""Does each row do what it says? Every row of an op is run on simulated ranks and compared with torch on
whole tensors.
"""

__all__ = ["Sample", "check_rows", "sample_of", "split_pieces"]

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from outgrow.placement import Owned, Partial, Placement, Replicate, Shard
from outgrow.shard.instructions import FLOAT, INPUT, Template, TensorMeta
from outgrow.shard.ranks.kernels import resolve_op, template_kernel
from outgrow.shard.ranks.pieces import piece_of, piece_shape
from outgrow.shard.ranks.redistribute import redistribute
from outgrow.shard.ranks.simulated_fabric import SimulatedFabric
from outgrow.shard.rules import Row, rows

_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A template with numbers."""

    template: Template
    inputs: tuple[Tensor, ...]
    floats: tuple[float, ...] = ()


def sample_of(name: str, *args: Any, **kwargs: Any) -> Sample:
    """A call of the op of a qualified name, as a template; lists become tuples, floats and tensors holes.

    Raises:
        What the op raises.
    """
    inputs: list[Tensor] = []
    floats: list[float] = []
    held_args = tuple(_holes(value, inputs, floats) for value in args)
    held_kwargs = tuple((key, _holes(value, inputs, floats)) for key, value in kwargs.items())
    metas = tuple(_meta(tensor) for tensor in inputs)
    mutates = _written(name, held_args, dict(held_kwargs))
    template = Template(op=name, args=held_args, kwargs=held_kwargs, inputs=metas, mutates=mutates)
    made = template_kernel(template, _CPU)([tensor.clone() for tensor in inputs], floats)
    template = Template(
        op=name,
        args=held_args,
        kwargs=held_kwargs,
        inputs=metas,
        outputs=tuple(_meta(tensor) for tensor in made),
        mutates=mutates,
    )
    return Sample(template=template, inputs=tuple(inputs), floats=tuple(floats))


def _meta(tensor: Tensor) -> TensorMeta:
    return TensorMeta(tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)


def _holes(value: Any, inputs: list[Tensor], floats: list[float]) -> Any:
    if isinstance(value, Tensor):
        inputs.append(value)
        return INPUT
    if type(value) is float:
        floats.append(value)
        return FLOAT
    if isinstance(value, (tuple, list)):
        return tuple(_holes(one, inputs, floats) for one in value)
    return value


def _written(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, ...]:
    if name.startswith("outgrow."):
        return ()
    number = 0
    written: list[int] = []
    given = list(args)
    arguments = resolve_op(name)._schema.arguments
    for place, argument in enumerate(arguments):
        value = given[place] if place < len(given) else kwargs.get(argument.name)
        count = _inputs_in(value)
        if argument.alias_info is not None and argument.alias_info.is_write:
            written += range(number, number + count)
        number += count
    return tuple(written)


def _inputs_in(value: Any) -> int:
    if isinstance(value, tuple):
        return sum(map(_inputs_in, value))
    return int(value is INPUT)


def split_pieces(
    whole: Tensor, placement: Placement, world_size: int, generator: torch.Generator
) -> list[Tensor | None]:
    """What each rank may hold of a tensor that is placed so: partial pieces are random numbers that
    reduce to it.
    """
    if isinstance(placement, Shard):
        return [piece_of(whole, placement.dim, rank, world_size).clone() for rank in range(world_size)]
    if isinstance(placement, Owned):
        return [whole.clone() if rank == placement.rank else None for rank in range(world_size)]
    if isinstance(placement, Replicate) or world_size == 1:
        return [whole.clone() for _ in range(world_size)]
    noise = [_noise(whole, generator) for _ in range(world_size)]
    if placement.reduction in ("max", "min"):
        sign = 1 if placement.reduction == "max" else -1
        owner = torch.randint(world_size, whole.shape, generator=generator)
        lower = [
            (whole & one if sign > 0 else whole | one)
            if whole.dtype == torch.bool
            else whole - sign * one.abs()
            for one in noise
        ]
        return [torch.where(owner == rank, whole, lower[rank]) for rank in range(world_size)]
    if whole.dtype == torch.bool:
        owner = torch.randint(world_size, whole.shape, generator=generator)
        return [whole & (noise[rank] | (owner == rank)) for rank in range(world_size)]
    total = sum(noise[1:], torch.zeros_like(whole))
    scale = world_size if placement.reduction == "avg" else 1
    return [whole * scale - total, *noise[1:]]


def _noise(whole: Tensor, generator: torch.Generator) -> Tensor:
    if whole.dtype == torch.bool:
        return torch.randint(2, whole.shape, generator=generator).bool()
    if whole.dtype.is_floating_point or whole.dtype.is_complex:
        return torch.randn(whole.shape, dtype=whole.dtype, generator=generator)
    return torch.randint(-5, 5, whole.shape, dtype=whole.dtype, generator=generator)


def check_rows(
    sample: Sample, world_size: int, seed: int = 0, *, known: Sequence[Row] | None = None
) -> Iterator[str]:
    """What is wrong with the rows of a sample (or with those given) at a world size, in sentences; nothing
    where all is right.

    Each row runs on contiguous pieces, on pieces laid out in the reverse order of dims, on pieces with
    gaps, and on pieces in the middle of larger memory.
    """
    expected = template_kernel(sample.template, _CPU)([one.clone() for one in sample.inputs], sample.floats)
    for row in rows(sample.template, world_size) if known is None else known:
        title = f"{sample.template.op} at {world_size} ranks, {_title(row)}"
        if len(row.inputs) != len(sample.inputs) or len(row.outputs) != len(expected):
            yield f"{title}: not as many placements as tensors"
            continue
        for layout in (_dense, _reversed, _with_gaps, _with_offset):
            try:
                wrong = _check_row(sample, row, world_size, expected, layout, seed)
            except Exception as error:
                wrong = f"raised {type(error).__name__}: {error}"
            if wrong is not None:
                yield f"{title}, pieces {layout.__name__.strip('_')}: {wrong}"
                break


def _title(row: Row) -> str:
    return f"({', '.join(map(str, row.inputs))}) -> ({', '.join(map(str, row.outputs))})"


def _check_row(
    sample: Sample, row: Row, world_size: int, expected: Sequence[Tensor], layout: Any, seed: int
) -> str | None:
    template, generator = sample.template, torch.Generator().manual_seed(seed)
    pieces = [
        [
            layout(piece)
            for piece in cast("list[Tensor]", split_pieces(whole, placement, world_size, generator))
        ]
        for whole, placement in zip(sample.inputs, row.inputs, strict=True)
    ]
    if row.parts:
        return _check_parts(sample, row, world_size, expected, pieces)
    results = []
    for rank in range(world_size):
        kernel = row.kernel(rank, world_size, _CPU) if row.kernel else template_kernel(template, _CPU)
        own = [one[rank] for one in pieces]
        before = [one.clone() for one in own]
        results.append(kernel(own, sample.floats))
        for index, (now, then) in enumerate(zip(own, before, strict=True)):
            if index not in template.mutates and not _equal(now, then):
                return f"rank {rank} wrote into input {index}"
    made = [[result[number] for result in results] for number in range(len(expected))]
    return _disagreement(made, row, world_size, expected)


def _check_parts(
    sample: Sample, row: Row, world_size: int, expected: Sequence[Tensor], pieces: list[list[Tensor]]
) -> str | None:
    made: list[tuple[list[Tensor], Placement]] = []
    outputs: dict[int, list[Tensor]] = {}
    fabric = SimulatedFabric(world_size)
    for part, own in row.parts:
        given = []
        for ref, meta, new in zip(part.inputs, part.template.inputs, own.inputs, strict=True):
            held, old = (pieces[ref], row.inputs[ref]) if ref >= 0 else made[-1 - ref]
            given.append(redistribute(list(held), meta, old, new, fabric))
        floats = [sample.floats[place] for place in part.floats]
        results = []
        for rank in range(world_size):
            kernel = (
                own.kernel(rank, world_size, _CPU) if own.kernel else template_kernel(part.template, _CPU)
            )
            results.append(kernel(cast("list[Tensor]", [one[rank] for one in given]), floats))
        for number, (output, placement) in enumerate(zip(part.outputs, own.outputs, strict=True)):
            column = [result[number] for result in results]
            made.append((column, placement))
            if output >= 0:
                if placement != row.outputs[output]:
                    return f"output {output} is made as {placement}, promised as {row.outputs[output]}"
                outputs[output] = column
    return _disagreement([outputs[number] for number in range(len(expected))], row, world_size, expected)


def _disagreement(
    results: list[list[Tensor]], row: Row, world_size: int, expected: Sequence[Tensor]
) -> str | None:
    for number, (whole, placement) in enumerate(zip(expected, row.outputs, strict=True)):
        made: list[Tensor | None] = list(results[number])
        for rank, piece in enumerate(cast("list[Tensor]", made)):
            shape = piece_shape(tuple(whole.shape), placement, rank, world_size)
            if tuple(piece.shape) != shape or piece.dtype != whole.dtype:
                found = f"{tuple(piece.shape)} {piece.dtype}"
                return f"output {number} of rank {rank} is {found}, expected {shape} {whole.dtype}"
        joined = redistribute(made, _meta(whole), placement, Replicate(), SimulatedFabric(world_size))
        for rank, got in enumerate(cast("list[Tensor]", joined)):
            error = _error(got, whole, isinstance(placement, Partial))
            if error is not None:
                return f"output {number} on rank {rank} {error}"
    return None


def _dense(piece: Tensor) -> Tensor:
    return piece.contiguous()


def _reversed(piece: Tensor) -> Tensor:
    order = tuple(reversed(range(piece.dim())))
    return piece.permute(order).contiguous().permute(order)


def _with_gaps(piece: Tensor) -> Tensor:
    """Every other entry of a larger tensor, from its third on."""
    if not piece.dim():
        return torch.zeros(3, dtype=piece.dtype)[2].copy_(piece)
    wide = torch.zeros((*piece.shape[:-1], 2 * piece.shape[-1] + 2), dtype=piece.dtype)[..., 2::2]
    return wide.copy_(piece)


def _with_offset(piece: Tensor) -> Tensor:
    """Dense, but not from the start of its memory."""
    flat = torch.zeros(piece.numel() + 3, dtype=piece.dtype)[3:]
    return flat.view(piece.shape).copy_(piece)


def _equal(first: Tensor, second: Tensor) -> bool:
    return torch.equal(torch.nan_to_num(first), torch.nan_to_num(second))


def _error(got: Tensor, whole: Tensor, is_partial: bool) -> str | None:
    if not (whole.dtype.is_floating_point or whole.dtype.is_complex):
        return None if torch.equal(got, whole) else "differs"
    wide = torch.complex128 if whole.dtype.is_complex else torch.float64
    one, two = got.to(wide), whole.to(wide)
    finite = two[torch.isfinite(two)].abs()
    scale = max(1.0, float(finite.max()) if finite.numel() else 1.0)
    # Random pieces of a partial sum are as large as the noise and round accordingly.
    tolerance = scale * torch.finfo(whole.dtype).eps * (1e4 if is_partial else 1e3)
    if torch.allclose(one, two, rtol=0.0, atol=tolerance, equal_nan=True):
        return None
    far = float((one - two).abs().nan_to_num(math.inf).max())
    return f"differs by {far:.3g}, allowed {tolerance:.3g}"
