"""Calls of products, reductions, norms and ops along a dim."""

from collections.abc import Iterator

import torch

from outgrow.shard.rules.verify import Sample, sample_of
from tests.shard.rules.numbers import distinct, mask, positive, real, whole


def matmul() -> Iterator[Sample]:
    yield sample_of("aten.mm.default", real(24, 8), real(8, 6))
    yield sample_of("aten.mm.default", real(7, 5), real(5, 3))
    yield sample_of("aten.bmm.default", real(4, 8, 7), real(4, 7, 6))
    yield sample_of("aten.mv.default", real(8, 6), real(6))
    yield sample_of("aten.mm.default", whole(5, 8, 6), whole(5, 6, 8))


def addmm() -> Iterator[Sample]:
    yield sample_of("aten.addmm.default", real(6), real(24, 8), real(8, 6))
    yield sample_of("aten.addmm.default", real(7, 6), real(7, 5), real(5, 6), beta=0.5, alpha=2.0)
    yield sample_of("aten.addmm.default", real(7, 1), real(7, 5), real(5, 6))
    yield sample_of("aten.baddbmm.default", real(4, 1, 6), real(4, 8, 7), real(4, 7, 6))
    yield sample_of("aten.addmv.default", real(8), real(8, 6), real(6))
    yield sample_of("aten.addmm_.default", real(8, 6), real(8, 4), real(4, 6))


def reductions(packet: str) -> Iterator[Sample]:
    name = packet.removeprefix("aten.")
    if name in ("amax", "amin"):
        yield sample_of(f"{packet}.default", real(24, 7, 8), [1], True)
        yield sample_of(f"{packet}.default", real(24, 8), [0, 1])
    elif name in ("max", "min", "median", "nanmedian"):
        yield sample_of(f"{packet}.default", real(24, 8))
        yield sample_of(f"{packet}.dim", real(24, 7, 8), 1)
        yield sample_of(f"{packet}.dim", real(24, 7, 8), -1, True)
    elif name in ("sum", "mean"):
        overload = "dim_IntList" if name == "sum" else "dim"
        yield sample_of(f"{packet}.default", real(24, 7))
        yield sample_of(f"{packet}.{overload}", real(24, 7, 5), [0, 1], True)
        yield sample_of(f"{packet}.{overload}", real(24, 7, 5), [-1])
        yield sample_of(f"{packet}.{overload}", real(4, 5), None, dtype=torch.float32)
        yield sample_of(f"{packet}.default", real())
        if name == "sum":
            yield sample_of(f"{packet}.default", mask(7, 8))
            yield sample_of(f"{packet}.dim_IntList", whole(9, 7, 8), [1])
    elif name == "nansum":
        yield sample_of(f"{packet}.default", real(24, 7), [0])
    elif name == "count_nonzero":
        yield sample_of(f"{packet}.dim_IntList", mask(24, 7), [0])
    elif name in ("any", "all"):
        yield sample_of(f"{packet}.default", mask(24, 8))
        yield sample_of(f"{packet}.dim", mask(24, 8), 0, True)
        yield sample_of(f"{packet}.dims", mask(24, 8), [0])
    elif name == "prod":
        yield sample_of(f"{packet}.default", real(24, 2))
        yield sample_of(f"{packet}.dim_int", real(24, 8), 1)
    elif name in ("var", "std", "var_mean", "std_mean"):
        yield sample_of(f"{packet}.correction", real(24, 8), [1], correction=1)
        yield sample_of(f"{packet}.correction", real(24, 8), None, correction=0)
    elif name == "logsumexp":
        yield sample_of(f"{packet}.default", real(24, 8), [1])
    elif name in ("argmax", "argmin"):
        yield sample_of(f"{packet}.default", real(24, 8), 1)
        yield sample_of(f"{packet}.default", real(24, 8))
    elif name == "mode":
        yield sample_of(f"{packet}.default", real(24, 8), 1)
    elif name == "kthvalue":
        yield sample_of(f"{packet}.default", real(24, 8), 2, 0)
    else:
        yield sample_of(f"{packet}.default", real(24, 8), dim=1)


def norms() -> Iterator[Sample]:
    for order in (0, 1, 2):
        yield sample_of("aten.linalg_vector_norm.default", real(24, 7), order, [0])
    yield sample_of("aten.norm.Scalar", real(24, 7), 1)


def along() -> Iterator[Sample]:
    yield sample_of("aten._softmax.default", real(4, 7, 8), -1, False)
    yield sample_of("aten._log_softmax.default", real(24, 7), 1, False)
    yield sample_of("aten._safe_softmax.default", real(4, 7, 8), -1)
    for name in ("_softmax", "_log_softmax"):
        yield sample_of(f"aten.{name}_backward_data.default", real(8, 7), positive(8, 7), 1, torch.float64)
    for name in ("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"):
        yield sample_of(f"aten.{name}.default", real(8, 7, 4), 1)
    yield sample_of("aten.sort.default", distinct(8, 7), 1)
    yield sample_of("aten.sort.stable", distinct(8, 7), stable=True, dim=0)
    yield sample_of("aten.argsort.default", distinct(8, 7), 1)
    yield sample_of("aten.topk.default", distinct(8, 7), 3, 1)
    yield sample_of("aten.flip.default", real(8, 7, 4), [1])
    yield sample_of("aten.glu.default", real(8, 7, 4))
    yield sample_of("aten.glu_backward.default", real(8, 2, 7), real(8, 4, 7), 1)
    yield sample_of("aten.linalg_cross.default", real(8, 3, 7), real(8, 3, 7), dim=1)
    yield sample_of("aten.linalg_cross.default", real(8, 3, 7), real(1, 3, 7), dim=1)
    yield sample_of("aten.roll.default", real(8, 7, 4), [2], [1])
    yield sample_of("aten.roll.default", real(8, 4), [3])


def matrices() -> Iterator[Sample]:
    for name in ("tril", "triu"):
        for diagonal in (-2, 0, 3):
            yield sample_of(f"aten.{name}.default", real(4, 8, 7), diagonal)


def layer_norms() -> Iterator[Sample]:
    yield sample_of("aten.native_layer_norm.default", real(8, 7, 6), [6], real(6), real(6), 1e-5)
    yield sample_of("aten.native_layer_norm.default", real(8, 7, 6), [7, 6], None, None, 1e-5)
    if hasattr(torch.ops.aten, "_fused_rms_norm"):
        yield sample_of("aten._fused_rms_norm.default", real(8, 7, 6), [6], real(6), 1e-5)


def layer_norm_backwards() -> Iterator[Sample]:
    data, weight, bias = real(8, 7, 6), real(6), real(6)
    _, mean, rstd = torch.native_layer_norm(data, [6], weight, bias, 1e-5)
    for wanted in ((True, True, True), (False, True, True), (True, False, False)):
        grads = real(8, 7, 6), data, [6], mean, rstd, weight, bias, list(wanted)
        yield sample_of("aten.native_layer_norm_backward.default", *grads)


def group_norms() -> Iterator[Sample]:
    yield sample_of("aten.native_group_norm.default", real(7, 24, 5), real(24), real(24), 7, 24, 5, 6, 1e-5)
    yield sample_of("aten.native_group_norm.default", real(4, 16, 3, 3), None, None, 4, 16, 9, 8, 1e-5)


def group_norm_backwards() -> Iterator[Sample]:
    data, weight = real(7, 24, 5), real(24)
    _, mean, rstd = torch.native_group_norm(data, weight, real(24), 7, 24, 5, 6, 1e-5)
    for wanted in ((True, True, True), (False, True, False)):
        args = real(7, 24, 5), data, mean, rstd, weight, 7, 24, 5, 6, list(wanted)
        yield sample_of("aten.native_group_norm_backward.default", *args)


def batch_norms() -> Iterator[Sample]:
    data, weight = real(4, 8, 3), real(8)
    yield sample_of("aten.native_batch_norm.default", data, weight, weight, None, None, True, 0.1, 1e-5)
    yield sample_of("aten._native_batch_norm_legit.no_stats", data, weight, None, True, 0.1, 1e-5)
    legit = data, weight, weight, real(8), positive(8), True, 0.1, 1e-5
    yield sample_of("aten._native_batch_norm_legit.default", *legit)
    evaluated = data, weight, weight, real(8), positive(8), False, 0.1, 1e-5
    yield sample_of("aten.native_batch_norm.default", *evaluated)
    no_training = data, weight, weight, real(8), positive(8), 0.1, 1e-5
    yield sample_of("aten._native_batch_norm_legit_no_training.default", *no_training)
    yield sample_of("aten._batch_norm_with_update.default", *no_training)
    yield sample_of("aten._batch_norm_no_update.default", *no_training)
    _, mean, rstd = torch.native_batch_norm(data, weight, weight, None, None, True, 0.1, 1e-5)
    for wanted in ([True, True, True], [True, False, False]):
        args = real(4, 8, 3), data, weight, None, None, mean, rstd, True, 1e-5, wanted
        yield sample_of("aten.native_batch_norm_backward.default", *args)
    reserve = torch.empty(0, dtype=torch.uint8)
    more = real(4, 8, 3), data, weight, None, None, mean, rstd, True, 1e-5, [True, True, True], reserve
    yield sample_of("aten.batch_norm_backward.default", *more)
    given = real(4, 8, 3), data, weight, real(8), positive(8), None, None, False, 1e-5, [True, True, True]
    yield sample_of("aten.native_batch_norm_backward.default", *given)


def power_sums() -> Iterator[Sample]:
    yield sample_of("outgrow.power_sum", real(24, 7), 2, None, False, None)
    yield sample_of("outgrow.power_sum", real(24, 7), 3, (1,), True, torch.float64)


def power_roots() -> Iterator[Sample]:
    for order in (2, 3):
        yield sample_of("outgrow.power_root", positive(8, 7), order, torch.float64)


def dots() -> Iterator[Sample]:
    yield sample_of("aten.dot.default", real(24), real(24))
    yield sample_of("aten.vdot.default", real(7), real(7))
