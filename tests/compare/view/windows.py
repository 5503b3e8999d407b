"""Sides, layouts and windows at random, and the plain way to look through them."""

import math

import torch
from hypothesis import strategies as st

from outgrow.compare.layout import (
    Chain,
    Concatenate,
    Identity,
    PartialSum,
    Rearrange,
    Replicated,
    Sections,
    Stack,
)
from outgrow.compare.layout.parts import Part, Repeat
from outgrow.compare.readers.dtypes import DTYPES
from outgrow.compare.view import Spec
from outgrow.testing.strategies import tensor_of_bytes

DTYPE_LIST = list(DTYPES.values())
SIZES = (1, 1, 2, 3, 4, 6)


@st.composite
def tensors(draw, shape=None, dtype=None):
    """Any bits, any strides."""
    dtype = dtype or draw(st.sampled_from(DTYPE_LIST))
    if shape is None:
        shape = draw(st.lists(st.sampled_from((0, 1, 2, 3, 5, 8)), max_size=4))
    nbytes = math.prod(shape) * dtype.itemsize
    pattern = draw(st.binary(min_size=1, max_size=max(1, min(nbytes, 48))))
    data = (pattern * (nbytes // len(pattern) + 1))[:nbytes]
    order = draw(st.permutations(range(len(shape))))
    stored = tensor_of_bytes(data, dtype, tuple(shape[dim] for dim in order))
    return stored.permute(sorted(range(len(order)), key=order.__getitem__))


def factored(draw, count):
    factors, left = [], count
    while left > 1:
        factor = draw(st.sampled_from([size for size in range(1, left + 1) if left % size == 0]))
        factors.append(factor)
        left //= factor
    return factors


def grouped(draw, sizes):
    shape = []
    for size in sizes:
        if shape and draw(st.booleans()):
            shape[-1] *= size
        else:
            shape.append(size)
    return shape


@st.composite
def layouts(draw):
    """A layout and the shapes of the ranks' tensors that it takes."""
    ranks = draw(st.sampled_from((1, 1, 2, 4)))
    local = tuple(draw(st.lists(st.sampled_from(SIZES), max_size=3)))
    shapes = (local,) * ranks
    steps, shape = [], local
    if ranks > 1:
        dim = draw(st.integers(0, len(local) - 1)) if local else None
        kinds = ["stack", "sum", "replicated"] + (["concatenate", "uneven", "sections"] if local else [])
        kind = draw(st.sampled_from(kinds))
        if kind == "uneven":
            lengths = draw(st.lists(st.integers(0, 3), min_size=ranks, max_size=ranks))
            shapes = tuple((*local[:dim], length, *local[dim + 1 :]) for length in lengths)
            steps.append(Concatenate(dim=dim, shapes=shapes))
        elif kind == "concatenate":
            steps.append(Concatenate(dim=dim, shapes=shapes))
        elif kind == "sections":
            first = draw(st.integers(1, local[dim]))
            sizes = draw(
                st.sampled_from(
                    [(1,) * local[dim], *([(first, local[dim] - first)] if first < local[dim] else [])]
                )
            )
            steps.append(Sections(dim=dim, ranks=ranks, local=local, sizes=sizes))
        elif kind == "stack":
            steps.append(Stack(ranks=ranks, local=local))
        elif kind == "sum":
            steps.append(PartialSum(ranks=ranks, local=local))
        else:
            steps.append(Replicated(ranks=ranks, local=local, uses=draw(st.integers(0, ranks - 1))))
        shape = steps[-1].shape
    for _ in range(draw(st.integers(0, 2))):
        if 0 in shape:
            break
        kind = draw(st.sampled_from(["rearrange", "part", "repeat"]))
        if kind == "rearrange":
            atoms = factored(draw, math.prod(shape))
            order = draw(st.permutations(range(len(atoms))))
            made = grouped(draw, [atoms[place] for place in order])
            steps.append(Rearrange(source=shape, atoms=tuple(atoms), order=tuple(order), shape=tuple(made)))
        elif shape:
            dim = draw(st.integers(0, len(shape) - 1))
            parts = draw(
                st.sampled_from([size for size in range(1, shape[dim] + 1) if shape[dim] % size == 0])
            )
            run = shape[dim] // parts
            if kind == "part":
                start = draw(st.integers(0, run - 1))
                size = draw(st.integers(1, run - start))
                steps.append(Part(source=shape, dim=dim, groups=parts, start=start, size=size, name="query"))
            else:
                times = draw(st.integers(1, 3))
                steps.append(Repeat(source=shape, dim=dim, block=run, times=times))
        if steps:
            shape = steps[-1].shape
    layout = Identity() if not steps else steps[0] if len(steps) == 1 else Chain(tuple(steps))
    return layout, shapes


def adds_up(layout):
    """Whether the numbers of all ranks are added up."""
    return isinstance(layout.layouts[0] if isinstance(layout, Chain) else layout, PartialSum)


@st.composite
def laid_out(draw, dtype=None):
    """Stored tensors and their layout, as `Side` takes them."""
    layout, shapes = draw(layouts())
    dtype = dtype or draw(st.sampled_from(DTYPE_LIST))
    if adds_up(layout) and (dtype.itemsize == 1 or dtype in (torch.uint16, torch.uint32, torch.uint64)):
        dtype = torch.float32  # torch does not add the others
    return [draw(tensors(shape=shape, dtype=dtype)) for shape in shapes], layout


@st.composite
def specs(draw, shape):
    """A window that fits the shape."""
    dims = len(shape)
    fixed = tuple(draw(st.integers(0, max(0, size - 1))) for size in shape)
    flat = draw(st.booleans())
    shown = draw(st.permutations(range(dims)))[: draw(st.integers(0, min(2, dims)))] if dims else []
    rows, columns = (None, None, *shown)[-2:] if len(shown) != 1 else (None, shown[0])
    fold = 0 if rows is not None and not flat else draw(st.integers(0, 7))
    whole = Spec(fixed=fixed, rows=rows, columns=columns, flat=flat, fold=fold)
    height, width = whole.plane(shape)
    lengths = st.none() | st.integers(0, 9)
    return Spec(
        fixed=fixed, rows=rows, columns=columns, flat=flat, fold=fold,
        row0=draw(st.integers(0, height)), column0=draw(st.integers(0, width)),
        height=draw(lengths), width=draw(lengths),
    )  # fmt: skip


def plain_window(whole, spec):
    """Rows of positions in the whole, counted in row-major order; None where a folded line has ended."""
    numbers = torch.arange(whole.numel()).reshape(whole.shape)
    if spec.flat:
        line = numbers.reshape(-1)
    else:
        shown = [dim for dim in (spec.rows, spec.columns) if dim is not None]
        if any(whole.shape[dim] == 0 for dim in range(whole.dim()) if dim not in shown):
            return []
        index = tuple(slice(None) if dim in shown else place for dim, place in enumerate(spec.fixed))
        line = numbers[index]
        if spec.rows is not None and spec.rows > spec.columns:
            line = line.T
    if line.dim() == 2:
        rows = line.tolist()
    else:
        line = line.reshape(-1).tolist()
        fold = min(spec.fold or len(line), len(line))
        rows = [line[start : start + fold] for start in range(0, len(line), fold)] if line else []
        rows = [row + [None] * (fold - len(row)) for row in rows]
    stop = None if spec.height is None else spec.row0 + spec.height
    end = None if spec.width is None else spec.column0 + spec.width
    return [row[spec.column0 : end] for row in rows[spec.row0 : stop]]


def bits(tensor, layout=None):
    """What is told apart, NaN included; of sums no two NaN: which one comes out depends on how many numbers
    the processor adds at a time."""
    flat = torch.empty(tensor.numel(), dtype=tensor.dtype).copy_(tensor.reshape(-1))
    if layout is not None and adds_up(layout) and not flat.isfinite().all():
        parts = torch.view_as_real(flat) if flat.is_complex() else flat
        parts[parts.isnan()] = torch.nan
    return flat.view(torch.uint8).tolist()
