"""Calls of ops that show elements in another shape, of factories, and of chains of views."""

from collections.abc import Iterator
from typing import Any

import torch

from outgrow.shard.ranks.kernels import read_chain
from outgrow.shard.rules.verify import Sample, sample_of
from tests.shard.rules.numbers import real, whole


def reshapes() -> Iterator[Sample]:
    for old, new in (
        ((24, 4, 6), (96, 6)),
        ((96, 6), (24, 4, 6)),
        ((7, 24), (7, 2, 12)),
        ((7, 24), (7, 24, 1)),
        ((1, 24, 5), (24, 5)),
        ((6, 24), (24, 6)),
        ((2, 3, 4), (24,)),
        ((4, 6, 1), (1, 4, 6)),
        ((0, 4), (4, 0)),
        ((8,), (1, 8)),
    ):
        yield sample_of("aten.view.default", real(*old), list(new))
    yield sample_of("aten._unsafe_view.default", real(24, 4), [96])
    yield sample_of("aten.reshape.default", real(24, 4), [8, -1])
    yield sample_of("aten._reshape_alias.default", real(24, 4), [96], [1])
    yield sample_of("aten.view_copy.default", real(24, 4), [96])


def permutations() -> Iterator[Sample]:
    yield sample_of("aten.permute.default", real(8, 7, 6), [2, 0, -2])
    yield sample_of("aten.transpose.int", real(8, 7, 6), 0, -1)
    yield sample_of("aten.t.default", real(8, 7))
    yield sample_of("aten.t.default", real(8))
    yield sample_of("aten.squeeze.default", real(1, 8, 1, 7))
    yield sample_of("aten.squeeze.dim", real(1, 8, 1, 7), 0)
    yield sample_of("aten.squeeze.dims", real(1, 8, 1, 7), [0, 2])
    yield sample_of("aten.unsqueeze.default", real(8, 7), -1)


def expansions() -> Iterator[Sample]:
    yield sample_of("aten.expand.default", real(), [8, 7])
    yield sample_of("aten.expand.default", real(8, 1, 7), [3, 8, 6, -1])


def cutting() -> Iterator[Sample]:
    yield sample_of("aten.select.int", real(24, 8, 7), 1, -2)
    yield sample_of("aten.select.int", real(24), 0, 5)
    yield sample_of("aten.select.int", whole(9, 24, 8), 0, 5)
    yield sample_of("aten.slice.Tensor", real(24, 8), 0, 2, 9)
    yield sample_of("aten.slice.Tensor", real(24, 8), 0, 1, 24, 5)
    yield sample_of("aten.slice.Tensor", real(24, 8), 1, -3, 9223372036854775807)
    yield sample_of("aten.slice.Tensor", real(24, 8), 0, 0, 24)
    yield sample_of("aten.split.Tensor", real(24, 8, 7), 3, 1)
    yield sample_of("aten.split_with_sizes.default", real(24, 8, 7), [3, 5], -2)
    yield sample_of("aten.unbind.int", real(8, 3, 7), 1)
    yield sample_of("aten.diagonal.default", real(8, 3, 7), 0, 0, 2)
    yield sample_of("aten.unfold.default", real(8, 7, 6), 1, 3, 2)


def gradients() -> Iterator[Sample]:
    yield sample_of("aten.select_backward.default", real(24, 7), [24, 8, 7], 1, -2)
    yield sample_of("aten.slice_backward.default", real(7, 8), [24, 8], 0, 2, 9, 1)
    yield sample_of("aten.slice_backward.default", real(5, 8), [24, 8], 0, 1, 24, 5)
    yield sample_of("aten.slice_backward.default", real(24, 3), [24, 7], 1, -3, 9223372036854775807, 1)


def unfold_gradients() -> Iterator[Sample]:
    yield sample_of("aten.unfold_backward.default", real(8, 3, 6, 3), [8, 7, 6], 1, 3, 2)
    yield sample_of("aten.diagonal_backward.default", real(8, 4, 5), [8, 5, 4, 7], 0, 1, 3)


def folds() -> Iterator[Sample]:
    yield sample_of("aten.constant_pad_nd.default", real(8, 7, 6), [1, 2])
    yield sample_of("aten.constant_pad_nd.default", real(8, 7, 6), [0, 0, 1, -1], 2.5)
    yield sample_of("aten.repeat.default", real(8, 7), [2, 1, 3])


def joins() -> Iterator[Sample]:
    yield sample_of("aten.cat.default", [real(8, 7), real(8, 3)], 1)
    yield sample_of("aten.cat.default", [real(8, 7), real(2, 7)])


def stacks() -> Iterator[Sample]:
    yield sample_of("aten.stack.default", [real(8, 7), real(8, 7)], 1)
    yield sample_of("aten.stack.default", [real(8), real(8)], -1)


def factories() -> Iterator[Sample]:
    f64 = {"dtype": torch.float64}
    yield sample_of("aten.full.default", [8, 7], 2.5, **f64)
    yield sample_of("aten.zeros.default", [8, 7], **f64)
    yield sample_of("aten.ones.default", [8, 7], **f64)
    yield sample_of("aten.empty.memory_format", [8, 7], **f64)
    yield sample_of("aten.empty_strided.default", [8, 7], [1, 8], **f64)
    yield sample_of("aten.arange.default", 24)
    yield sample_of("aten.arange.start_step", 3, 24, 2)
    yield sample_of("aten.eye.default", 8, **f64)
    yield sample_of("aten.linspace.default", 0, 1, 24, **f64)
    yield sample_of("aten.logspace.default", 0, 1, 24, **f64)
    yield sample_of("aten.scalar_tensor.default", 2.0)


def _link(name: str, *args: Any, index: int | None = None) -> tuple[Any, ...]:
    return f"aten.{name}", args, (), index


CHAINS: dict[str, tuple[tuple[int, ...], list[tuple[Any, ...]]]] = {
    "one row": ((24, 7), [_link("select.int", 0, -3)]),
    "some rows": ((24, 7), [_link("slice.Tensor", 0, 2, 9)]),
    "every third column": ((7, 24), [_link("slice.Tensor", 1, 1, 9223372036854775807, 3)]),
    "a block": ((24, 8, 3), [_link("slice.Tensor", 0, 3, 20), _link("select.int", 1, 2)]),
    "a turned block": (
        (8, 24),
        [_link("transpose.int", 0, 1), _link("slice.Tensor", 0, 5, 6), _link("unsqueeze.default", 0)],
    ),
    "transposed twice": ((8, 24), [_link("t.default"), _link("t.default")]),
    "permuted": ((8, 7, 6), [_link("permute.default", (2, 0, 1)), _link("select.int", 1, 0)]),
    "heads": ((24, 12), [_link("view.default", (24, 3, 4)), _link("select.int", 1, 1)]),
    "a part of a split": ((24, 12), [_link("split.Tensor", 4, 1, index=2)]),
    "sliced twice": ((24, 7), [_link("slice.Tensor", 0, 2, 20), _link("slice.Tensor", 0, 3, 9)]),
    "diagonal": ((8, 8, 5), [_link("diagonal.default", 0, 0, 1)]),
    "strided": ((8, 6), [_link("as_strided.default", (4, 3), (12, 2), 1)]),
    "nothing": ((24, 7), [_link("slice.Tensor", 0, 5, 5)]),
}


def _chain_of(links: list[tuple[Any, ...]], whole_: torch.Tensor) -> torch.Tensor:
    return read_chain(whole_, tuple(links))


def reads() -> Iterator[Sample]:
    for shape, links in CHAINS.values():
        yield sample_of("outgrow.read_view", real(*shape), tuple(links))


def writes() -> Iterator[Sample]:
    for shape, links in CHAINS.values():
        data = real(*shape)
        yield sample_of("outgrow.write_view", data, real(*_chain_of(links, data).shape), tuple(links))
    turned = real(7, 24).t()
    yield sample_of("outgrow.write_view", turned, real(7), (_link("select.int", 0, 5),))
