"""Calls of lookups and convolutions."""

from collections.abc import Iterator

import torch

from outgrow.shard.ranks.kernels import resolve_op
from outgrow.shard.rules.verify import Sample, sample_of
from tests.shard.rules.numbers import mask, order_of, real, whole


def embeddings() -> Iterator[Sample]:
    yield sample_of("aten.embedding.default", real(24, 8), whole(24, 7, 4))
    yield sample_of("aten.embedding.default", real(7, 8), whole(7, 24), 3)


def embedding_backwards() -> Iterator[Sample]:
    yield sample_of("aten.embedding_dense_backward.default", real(7, 4, 8), whole(24, 7, 4), 24, -1, False)
    yield sample_of("aten.embedding_dense_backward.default", real(24, 8), whole(7, 24), 7, 3, False)
    yield sample_of("aten.embedding_dense_backward.default", real(24, 8), whole(7, 24), 7, -1, True)


def gathers() -> Iterator[Sample]:
    yield sample_of("aten.gather.default", real(8, 7), 1, whole(7, 8, 5))
    yield sample_of("aten.gather.default", real(24, 7), 0, whole(24, 6, 7))
    yield sample_of("aten.gather.default", real(8, 7), 1, whole(7, 4, 5))


def selections() -> Iterator[Sample]:
    yield sample_of("aten.index_select.default", real(24, 8), 0, whole(24, 7))
    yield sample_of("aten.index_select.default", real(24, 8, 3), -2, whole(8, 8))


def scatters() -> Iterator[Sample]:
    index = torch.stack([order_of(7)[:5] for _ in range(8)])
    yield sample_of("aten.scatter.src", real(8, 7), 1, index, real(8, 5))
    yield sample_of("aten.scatter.value", real(8, 7), 1, index, 2.0)
    yield sample_of("aten.scatter_reduce.two", real(8, 7), 1, index, real(8, 5), "amax")
    yield sample_of("aten.scatter_add.default", real(8, 7), 1, whole(7, 8, 24), real(8, 24))
    yield sample_of("aten.scatter_add.default", real(8, 7), 0, whole(8, 24, 7), real(24, 7))
    yield sample_of("aten.scatter_add_.default", real(8, 7), 1, whole(7, 8, 5), real(8, 6))


def index_writes() -> Iterator[Sample]:
    yield sample_of("aten.index_add.default", real(8, 7), 0, whole(8, 24), real(24, 7), alpha=0.5)
    yield sample_of("aten.index_add_.default", real(7, 8), 0, whole(7, 5), real(5, 8))
    order = order_of(8)[:5]
    yield sample_of("aten.index_copy.default", real(8, 7), 0, order, real(5, 7))
    yield sample_of("aten.index_reduce.default", real(8, 7), 0, order, real(5, 7), "mean")
    yield sample_of("aten.index_fill.int_Scalar", real(8, 7), 0, order, 2.0)


def places() -> Iterator[Sample]:
    yield sample_of("aten.take.default", real(8, 7), whole(56, 24, 3))
    table = torch.linspace(-1, 1, 9).double()
    yield sample_of("aten.searchsorted.Tensor", table, real(24, 3))
    yield sample_of("aten.bucketize.Tensor", real(7, 8), table, right=True)


def attentions() -> Iterator[Sample]:
    name = "aten._scaled_dot_product_flash_attention_for_cpu"
    for masked, heads in ((None, 5), (real(1, 8, 5, 6), 8), (real(5, 6), 8)):
        q, k, v = real(4, heads, 5, 3), real(4, heads, 6, 3), real(4, heads, 6, 3)
        yield sample_of(f"{name}.default", q, k, v, 0.0, False, attn_mask=masked)
        out, sums = resolve_op(f"{name}.default")(q, k, v, 0.0, False, attn_mask=masked)
        back = real(4, heads, 5, 3), q, k, v, out, sums, 0.0, False
        yield sample_of(f"{name}_backward.default", *back, attn_mask=masked)


def samplings() -> Iterator[Sample]:
    for dims in (2, 3):
        sizes, places_ = (5,) * dims, real(4, *(3,) * dims, dims)
        yield sample_of(f"aten.grid_sampler_{dims}d.default", real(4, 8, *sizes), places_, 0, 0, False)
        uneven = real(5, 5, *sizes), real(5, *(3,) * dims, dims)
        yield sample_of(f"aten.grid_sampler_{dims}d.default", *uneven, 0, 0, False)
        args = real(5, 5, *(3,) * dims), *uneven, 0, 0, False, [True, True]
        yield sample_of(f"aten.grid_sampler_{dims}d_backward.default", *args)
        for wanted in ([True, True], [True, False]):
            args = real(4, 8, *(3,) * dims), real(4, 8, *sizes), places_, 0, 0, False, wanted
            yield sample_of(f"aten.grid_sampler_{dims}d_backward.default", *args)


def patches() -> Iterator[Sample]:
    window = [3, 3], [1, 1], [1, 1], [2, 2]
    yield sample_of("aten.im2col.default", real(8, 3, 6, 6), *window)
    yield sample_of("aten.im2col.default", real(5, 3, 6, 6), *window)
    yield sample_of("aten.im2col.default", real(3, 6, 6), *window)
    yield sample_of("aten.col2im.default", real(5, 27, 9), [6, 6], *window)
    yield sample_of("aten.col2im.default", real(8, 27, 9), [6, 6], *window)
    yield sample_of("aten.col2im.default", real(27, 9), [6, 6], *window)
    yield sample_of("aten.pixel_shuffle.default", real(5, 12, 3, 3), 2)
    yield sample_of("aten.pixel_shuffle.default", real(2, 8, 12, 3, 3), 2)
    yield sample_of("aten.pixel_unshuffle.default", real(8, 3, 4, 4), 2)


def indexings() -> Iterator[Sample]:
    yield sample_of("aten.index.Tensor", real(8, 7, 6), [whole(8, 24)])
    yield sample_of("aten.index.Tensor", real(8, 7, 6), [None, whole(7, 4, 1), whole(6, 8)])
    yield sample_of("aten.index.Tensor", real(8, 7, 6), [whole(8, 24), None, whole(6, 24)])
    yield sample_of("aten.index.Tensor", real(4, 3, 8, 5), [None, whole(3, 24), None, whole(5, 24)])
    yield sample_of("aten._unsafe_index.Tensor", real(8, 7, 6), [None, whole(7, 24)])
    yield sample_of("aten.index.Tensor", real(8, 7), [mask(8)])


def index_puts() -> Iterator[Sample]:
    order = order_of(8)[:5]
    yield sample_of("aten.index_put.default", real(8, 7, 6), [order], real(5, 7, 6))
    yield sample_of("aten.index_put.default", real(8, 7, 6), [None, whole(7, 24)], real(8, 24, 1), True)
    yield sample_of(
        "aten.index_put.default", real(8, 7, 6), [whole(8, 24), None, whole(6, 24)], real(7), True
    )
    apart = [None, whole(3, 24), None, whole(5, 24)]
    yield sample_of("aten.index_put.default", real(4, 3, 8, 5), apart, real(24, 4, 8), True)
    yield sample_of("aten.index_put_.default", real(8, 7), [order], real())
    yield sample_of("aten._unsafe_index_put.default", real(8, 7), [whole(8, 24)], real(24, 7), True)
    yield sample_of("aten._index_put_impl_.default", real(8, 7), [whole(8, 24)], real(24, 7), True)


def convolutions() -> Iterator[Sample]:
    common = [1, 1], [1, 1], [1, 1]
    yield sample_of(
        "aten.convolution.default", real(7, 8, 5, 5), real(24, 8, 3, 3), real(24), *common, False, [0, 0], 1
    )
    yield sample_of(
        "aten.convolution.default", real(4, 24, 5), real(48, 1, 3), None, [2], [1], [1], False, [0], 24
    )
    yield sample_of(
        "aten.convolution.default", real(4, 8, 5), real(8, 6, 3), real(6), [2], [1], [1], True, [1], 1
    )
    yield sample_of(
        "aten.convolution.default", real(4, 8, 5), real(8, 3, 3), real(24), [2], [1], [1], True, [1], 8
    )


def convolution_backwards() -> Iterator[Sample]:
    name = "aten.convolution_backward.default"
    plain = [1, 1], [1, 1], [1, 1], False, [0, 0], 1
    for wanted in ([True, True, True], [False, True, True], [True, False, False]):
        yield sample_of(name, real(7, 24, 5, 5), real(7, 8, 5, 5), real(24, 8, 3, 3), [24], *plain, wanted)
    yield sample_of(
        name, real(7, 24, 5, 5), real(7, 8, 5, 5), real(24, 8, 3, 3), None, *plain, [True, True, False]
    )
    depth = [2], [1], [1], False, [0], 24, [True, True, True]
    yield sample_of(name, real(4, 48, 3), real(4, 24, 5), real(48, 1, 3), [48], *depth)
    turned = [2], [1], [1], True, [1], 1, [True, True, True]
    yield sample_of(name, real(4, 6, 10), real(4, 8, 5), real(8, 6, 3), [6], *turned)
