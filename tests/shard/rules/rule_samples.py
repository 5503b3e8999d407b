"""Calls of every op that has a rule."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from outgrow.shard.rules.pointwise import POINTWISE
from outgrow.shard.rules.verify import Sample, sample_of

_GENERATOR = torch.Generator()


def real(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=_GENERATOR)


def positive(*shape: int) -> torch.Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=_GENERATOR) * 0.8 + 0.1


def whole(high: int, *shape: int) -> torch.Tensor:
    return torch.randint(high, shape, generator=_GENERATOR)


def mask(*shape: int) -> torch.Tensor:
    return whole(2, *shape).bool()


def distinct(*shape: int) -> torch.Tensor:
    count = torch.Size(shape).numel()
    return torch.randperm(count, generator=_GENERATOR).reshape(shape).double()


def complex_(*shape: int) -> torch.Tensor:
    return torch.complex(real(*shape), real(*shape))


# For pointwise ops: number of tensors and further arguments, by packet; one tensor where nothing is said.
_TWO = [
    "add",
    "sub",
    "rsub",
    "mul",
    "div",
    "true_divide",
    "floor_divide",
    "remainder",
    "fmod",
    "pow",
    "float_power",
    "copysign",
    "hypot",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "nextafter",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "heaviside",
    "logaddexp",
    "logaddexp2",
    "xlogy",
    "atan2",
    "igamma",
    "igammac",
    "special_zeta",
    "special_xlog1py",
    "logical_and",
    "logical_or",
    "logical_xor",
    "polar",
    "complex",
]
_INTS = [
    "gcd",
    "lcm",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "bitwise_left_shift",
    "bitwise_right_shift",
]
_BITS = ["__and__", "__or__", "__xor__", "__lshift__", "__rshift__"]
_POLYNOMIALS = tuple(
    name for name in (one.removeprefix("aten.") for one in POINTWISE) if "polynomial" in name
)


def pointwise_samples(packet: str) -> Iterator[Sample]:
    name = packet.removeprefix("aten.")
    shape = (4, 7)

    def call(overload: str, *args: Any, **kwargs: Any) -> Sample:
        return sample_of(f"aten.{name}.{overload}", *args, **kwargs)

    if name in ("polar", "complex"):
        yield call("default", positive(*shape), positive(*shape))
    elif name in ("rsub", "remainder", "fmod", "eq", "ne", "lt", "le", "gt", "ge", "xlogy"):
        yield call("Tensor", positive(*shape), positive(*shape))
    elif name in ("add", "sub", "mul", "div"):
        yield call("Tensor", real(24, 7), real(24, 7))
        yield call("Tensor", real(24, 7), real(7))
        yield call("Tensor", real(4, 1, 6), real(8, 1))
        yield call("Tensor", real(8, 6), real())
        yield call("Tensor", real(8, 6), 3.0)
        yield call("Tensor", real(8, 6), whole(5, 8, 6) + 1)
        yield sample_of(f"aten.{name}_.Tensor", real(8, 7), real(7))
        yield sample_of(f"aten._foreach_{name}.List", [real(8, 3)], [real(8, 3)])
        yield sample_of(f"aten._foreach_{name}_.Scalar", [real(8, 3)], 2.0)
        if name == "div":
            yield call("Tensor_mode", real(8, 6), real(8, 6), rounding_mode="floor")
        if name in ("add", "sub"):
            yield call("Tensor", real(8, 6), real(8, 6), alpha=3)
            yield call("Scalar", real(8, 6), 3)
    elif name in ("pow", "float_power"):
        yield call("Tensor_Tensor", positive(*shape), positive(*shape))
        yield call("Tensor_Scalar", real(*shape), 2)
        yield call("Scalar", 2, real(*shape))
    elif name == "floor_divide":
        yield call("default", positive(*shape), positive(*shape))
    elif name in ("copysign", "true_divide", "div", "ldexp"):
        other: torch.Tensor = whole(4, *shape) if name == "ldexp" else positive(*shape)
        yield call("Tensor", positive(*shape), other)
    elif name in _TWO:
        yield call("default", positive(*shape), positive(*shape))
    elif name in ("gcd", "lcm"):
        yield call("default", whole(9, *shape), whole(9, *shape))
    elif name in _INTS or name in _BITS:
        yield call("Tensor", whole(5, *shape), whole(5, *shape))
    elif name in ("bitwise_not", "logical_not"):
        yield call("default", mask(*shape))
    elif name in ("isclose",):
        yield call("default", real(*shape), real(*shape))
    elif name in ("addcmul", "addcdiv"):
        yield call("default", real(8, 7), real(8, 7), positive(7), value=0.3)
        yield sample_of(f"aten.{name}_.default", real(8, 7), real(8, 7), positive(8, 7), value=0.3)
        yield sample_of(f"aten._foreach_{name}_.ScalarList", [real(8)], [real(8)], [positive(8)], [0.5])
    elif name == "lerp":
        yield call("Scalar", real(8, 7), real(8, 7), 0.3)
        yield call("Tensor", real(8, 7), real(8, 7), positive(8, 1))
        yield sample_of("aten._foreach_lerp_.Scalar", [real(8)], [real(8)], 0.5)
    elif name in ("clamp", "clip"):
        yield call("default", real(*shape), -0.5, 0.5)
        yield call("Tensor", real(*shape), None, real(7))
    elif name in ("clamp_min", "clamp_max"):
        yield call("default", real(*shape), 0.1)
        yield call("Tensor", real(*shape), real(7))
    elif name == "where":
        yield call("self", mask(8, 7), real(8, 7), real(7))
    elif name == "frexp":
        yield call("Tensor", real(*shape))
    elif name == "polygamma":
        yield call("default", 1, positive(*shape))
    elif name == "mvlgamma":
        yield call("default", positive(*shape) + 3, 2)
    elif name in _POLYNOMIALS:
        yield call("default", positive(*shape), whole(4, *shape).double())
    elif name in (
        "hardshrink",
        "softshrink",
        "leaky_relu",
        "elu",
        "celu",
        "softplus",
        "hardtanh",
        "round",
        "relu",
    ):
        yield call("default", real(*shape))
        if name == "relu":
            yield sample_of("aten.relu_.default", real(*shape))
    elif name == "threshold":
        yield call("default", real(*shape), 0.1, 0.2)
    elif name == "threshold_backward":
        yield call("default", real(8, 7), real(8, 7), 0)
    elif name in (
        "tanh_backward",
        "sigmoid_backward",
        "gelu_backward",
        "silu_backward",
        "mish_backward",
    ) or name in ("hardsigmoid_backward", "hardswish_backward"):
        yield call("default", real(8, 7), real(8, 7))
    elif name == "leaky_relu_backward":
        yield call("default", real(8, 7), real(8, 7), 0.1, False)
    elif name == "elu_backward":
        yield call("default", real(8, 7), 1.0, 1.0, 1.0, False, real(8, 7))
    elif name == "hardtanh_backward":
        yield call("default", real(8, 7), real(8, 7), -1.0, 1.0)
    elif name in ("hardshrink_backward", "softshrink_backward"):
        yield call("default", real(8, 7), real(8, 7), 0.5)
    elif name == "softplus_backward":
        yield call("default", real(8, 7), real(8, 7), 1.0, 20.0)
    elif name == "logit_backward":
        yield call("default", real(8, 7), positive(8, 7), None)
    elif name == "log_sigmoid_forward":
        yield call("default", real(*shape))
    elif name == "log_sigmoid_backward":
        yield call("default", real(8, 7), real(8, 7), positive(8, 7))
    elif name == "native_dropout_backward":
        yield call("default", real(8, 7), mask(8, 7), 2.0)
    elif name in (
        "conj_physical",
        "_conj_physical",
        "_conj",
        "resolve_conj",
        "real",
        "imag",
        "_neg_view",
        "resolve_neg",
    ):
        yield call("default", complex_(*shape))
    elif name == "copy":
        yield call("default", real(8, 7), real(7))
    elif name == "copy_":
        yield call("default", real(8, 7), real(8, 7))
        yield call("default", real(8, 7).float(), real(1, 7))
    elif name == "_to_copy":
        yield call("default", real(8, 7), dtype=torch.float32)
        yield call("default", real(8, 7), dtype=torch.int64)
    elif name == "masked_fill":
        yield call("Scalar", real(8, 7), mask(8, 7), 2.0)
        yield call("Tensor", real(8, 7), mask(7), real())
        yield sample_of("aten.masked_fill_.Scalar", real(8, 7), mask(8, 1), 0)
    elif name in ("zero", "fill"):
        yield (
            sample_of("aten.zero_.default", real(8, 7))
            if name == "zero"
            else sample_of("aten.fill_.Scalar", real(8, 7), 2.0)
        )
    elif name in ("_fused_adam", "_fused_adamw"):
        state = [real(8, 7)], [real(8, 7)], [real(8, 7)], [positive(8, 7)], [], [torch.tensor(3.0)]
        options = {"lr": 1e-2, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.1, "eps": 1e-8}
        yield sample_of(f"{packet}_.default", *state, **options, amsgrad=False, maximize=False)
    elif name == "_fused_sgd":
        options = {"weight_decay": 0.1, "momentum": 0.9, "lr": 0.1, "dampening": 0.0}
        flags = {"nesterov": False, "maximize": False, "is_first_step": False}
        yield sample_of(f"{packet}_.default", [real(8, 7)], [real(8, 7)], [real(8, 7)], **options, **flags)
    elif name == "_fused_adagrad":
        options = {"lr": 0.1, "lr_decay": 0.0, "weight_decay": 0.0, "eps": 1e-8}
        state = [real(8, 7)], [real(8, 7)], [positive(8, 7)], [torch.tensor(3.0)]
        yield sample_of(f"{packet}_.default", *state, **options, maximize=False)
    else:
        yield call("default", positive(*shape))


def _matmul() -> Iterator[Sample]:
    yield sample_of("aten.mm.default", real(24, 8), real(8, 6))
    yield sample_of("aten.mm.default", real(7, 5), real(5, 3))
    yield sample_of("aten.bmm.default", real(4, 8, 7), real(4, 7, 6))
    yield sample_of("aten.mv.default", real(8, 6), real(6))
    yield sample_of("aten.mm.default", whole(5, 8, 6), whole(5, 6, 8))


def _addmm() -> Iterator[Sample]:
    yield sample_of("aten.addmm.default", real(6), real(24, 8), real(8, 6))
    yield sample_of("aten.addmm.default", real(7, 6), real(7, 5), real(5, 6), beta=0.5, alpha=2.0)
    yield sample_of("aten.addmm.default", real(7, 1), real(7, 5), real(5, 6))
    yield sample_of("aten.baddbmm.default", real(4, 1, 6), real(4, 8, 7), real(4, 7, 6))
    yield sample_of("aten.addmv.default", real(8), real(8, 6), real(6))
    yield sample_of("aten.addmm_.default", real(8, 6), real(8, 4), real(4, 6))


def _reductions(packet: str) -> Iterator[Sample]:
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


def _norms() -> Iterator[Sample]:
    for order in (0, 1, 2):
        yield sample_of("aten.linalg_vector_norm.default", real(24, 7), order, [0])
    yield sample_of("aten.norm.Scalar", real(24, 7), 1)


def _along() -> Iterator[Sample]:
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
    yield sample_of("aten.roll.default", real(8, 7, 4), [2], [1])
    yield sample_of("aten.roll.default", real(8, 4), [3])


def _matrices() -> Iterator[Sample]:
    for name in ("tril", "triu"):
        for diagonal in (-2, 0, 3):
            yield sample_of(f"aten.{name}.default", real(4, 8, 7), diagonal)


def _layer_norms() -> Iterator[Sample]:
    yield sample_of("aten.native_layer_norm.default", real(8, 7, 6), [6], real(6), real(6), 1e-5)
    yield sample_of("aten.native_layer_norm.default", real(8, 7, 6), [7, 6], None, None, 1e-5)
    if hasattr(torch.ops.aten, "_fused_rms_norm"):
        yield sample_of("aten._fused_rms_norm.default", real(8, 7, 6), [6], real(6), 1e-5)


def _layer_norm_backwards() -> Iterator[Sample]:
    data, weight, bias = real(8, 7, 6), real(6), real(6)
    _, mean, rstd = torch.native_layer_norm(data, [6], weight, bias, 1e-5)
    for wanted in ((True, True, True), (False, True, True), (True, False, False)):
        grads = real(8, 7, 6), data, [6], mean, rstd, weight, bias, list(wanted)
        yield sample_of("aten.native_layer_norm_backward.default", *grads)


def _group_norms() -> Iterator[Sample]:
    yield sample_of("aten.native_group_norm.default", real(7, 24, 5), real(24), real(24), 7, 24, 5, 6, 1e-5)
    yield sample_of("aten.native_group_norm.default", real(4, 16, 3, 3), None, None, 4, 16, 9, 8, 1e-5)


def _group_norm_backwards() -> Iterator[Sample]:
    data, weight = real(7, 24, 5), real(24)
    _, mean, rstd = torch.native_group_norm(data, weight, real(24), 7, 24, 5, 6, 1e-5)
    for wanted in ((True, True, True), (False, True, False)):
        args = real(7, 24, 5), data, mean, rstd, weight, 7, 24, 5, 6, list(wanted)
        yield sample_of("aten.native_group_norm_backward.default", *args)


def _batch_norms() -> Iterator[Sample]:
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


def _reshapes() -> Iterator[Sample]:
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


def _permutations() -> Iterator[Sample]:
    yield sample_of("aten.permute.default", real(8, 7, 6), [2, 0, -2])
    yield sample_of("aten.transpose.int", real(8, 7, 6), 0, -1)
    yield sample_of("aten.t.default", real(8, 7))
    yield sample_of("aten.t.default", real(8))
    yield sample_of("aten.squeeze.default", real(1, 8, 1, 7))
    yield sample_of("aten.squeeze.dim", real(1, 8, 1, 7), 0)
    yield sample_of("aten.squeeze.dims", real(1, 8, 1, 7), [0, 2])
    yield sample_of("aten.unsqueeze.default", real(8, 7), -1)


def _expansions() -> Iterator[Sample]:
    yield sample_of("aten.expand.default", real(), [8, 7])
    yield sample_of("aten.expand.default", real(8, 1, 7), [3, 8, 6, -1])


def _cutting() -> Iterator[Sample]:
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


def _gradients() -> Iterator[Sample]:
    yield sample_of("aten.select_backward.default", real(24, 7), [24, 8, 7], 1, -2)
    yield sample_of("aten.slice_backward.default", real(7, 8), [24, 8], 0, 2, 9, 1)
    yield sample_of("aten.slice_backward.default", real(5, 8), [24, 8], 0, 1, 24, 5)
    yield sample_of("aten.slice_backward.default", real(24, 3), [24, 7], 1, -3, 9223372036854775807, 1)


def _folds() -> Iterator[Sample]:
    yield sample_of("aten.constant_pad_nd.default", real(8, 7, 6), [1, 2])
    yield sample_of("aten.constant_pad_nd.default", real(8, 7, 6), [0, 0, 1, -1], 2.5)
    yield sample_of("aten.repeat.default", real(8, 7), [2, 1, 3])


def _joins() -> Iterator[Sample]:
    yield sample_of("aten.cat.default", [real(8, 7), real(8, 3)], 1)
    yield sample_of("aten.cat.default", [real(8, 7), real(2, 7)])


def _stacks() -> Iterator[Sample]:
    yield sample_of("aten.stack.default", [real(8, 7), real(8, 7)], 1)
    yield sample_of("aten.stack.default", [real(8), real(8)], -1)


def _factories() -> Iterator[Sample]:
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


def _embeddings() -> Iterator[Sample]:
    yield sample_of("aten.embedding.default", real(24, 8), whole(24, 7, 4))
    yield sample_of("aten.embedding.default", real(7, 8), whole(7, 24), 3)


def _embedding_backwards() -> Iterator[Sample]:
    yield sample_of("aten.embedding_dense_backward.default", real(7, 4, 8), whole(24, 7, 4), 24, -1, False)
    yield sample_of("aten.embedding_dense_backward.default", real(24, 8), whole(7, 24), 7, 3, False)
    yield sample_of("aten.embedding_dense_backward.default", real(24, 8), whole(7, 24), 7, -1, True)


def _gathers() -> Iterator[Sample]:
    yield sample_of("aten.gather.default", real(8, 7), 1, whole(7, 8, 5))
    yield sample_of("aten.gather.default", real(24, 7), 0, whole(24, 6, 7))
    yield sample_of("aten.gather.default", real(8, 7), 1, whole(7, 4, 5))


def _selections() -> Iterator[Sample]:
    yield sample_of("aten.index_select.default", real(24, 8), 0, whole(24, 7))
    yield sample_of("aten.index_select.default", real(24, 8, 3), -2, whole(8, 8))


def _scatters() -> Iterator[Sample]:
    index = torch.stack([torch.randperm(7, generator=_GENERATOR)[:5] for _ in range(8)])
    yield sample_of("aten.scatter.src", real(8, 7), 1, index, real(8, 5))
    yield sample_of("aten.scatter.value", real(8, 7), 1, index, 2.0)
    yield sample_of("aten.scatter_add.default", real(8, 7), 1, whole(7, 8, 24), real(8, 24))
    yield sample_of("aten.scatter_add.default", real(8, 7), 0, whole(8, 24, 7), real(24, 7))
    yield sample_of("aten.scatter_add_.default", real(8, 7), 1, whole(7, 8, 5), real(8, 6))


def _index_writes() -> Iterator[Sample]:
    yield sample_of("aten.index_add.default", real(8, 7), 0, whole(8, 24), real(24, 7), alpha=0.5)
    yield sample_of("aten.index_add_.default", real(7, 8), 0, whole(7, 5), real(5, 8))
    order = torch.randperm(8, generator=_GENERATOR)[:5]
    yield sample_of("aten.index_copy.default", real(8, 7), 0, order, real(5, 7))
    yield sample_of("aten.index_fill.int_Scalar", real(8, 7), 0, order, 2.0)


def _indexings() -> Iterator[Sample]:
    yield sample_of("aten.index.Tensor", real(8, 7, 6), [whole(8, 24)])
    yield sample_of("aten.index.Tensor", real(8, 7, 6), [None, whole(7, 4, 1), whole(6, 8)])
    yield sample_of("aten.index.Tensor", real(8, 7, 6), [whole(8, 24), None, whole(6, 24)])
    yield sample_of("aten._unsafe_index.Tensor", real(8, 7, 6), [None, whole(7, 24)])
    yield sample_of("aten.index.Tensor", real(8, 7), [mask(8)])


def _index_puts() -> Iterator[Sample]:
    order = torch.randperm(8, generator=_GENERATOR)[:5]
    yield sample_of("aten.index_put.default", real(8, 7, 6), [order], real(5, 7, 6))
    yield sample_of("aten.index_put.default", real(8, 7, 6), [None, whole(7, 24)], real(8, 24, 1), True)
    yield sample_of(
        "aten.index_put.default", real(8, 7, 6), [whole(8, 24), None, whole(6, 24)], real(7), True
    )
    yield sample_of("aten.index_put_.default", real(8, 7), [order], real())
    yield sample_of("aten._unsafe_index_put.default", real(8, 7), [whole(8, 24)], real(24, 7), True)
    yield sample_of("aten._index_put_impl_.default", real(8, 7), [whole(8, 24)], real(24, 7), True)


def _convolutions() -> Iterator[Sample]:
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


def _convolution_backwards() -> Iterator[Sample]:
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


def _pools(packet: str) -> Iterator[Sample]:
    name = packet.removeprefix("aten.")
    dims = next(int(one) for one in name if one.isdigit())
    full = (4, 8, *(6,) * dims)
    half, double = [3] * dims, [12] * dims
    data = real(*full)
    call = f"{packet}.default"
    is_backward = name.endswith("_backward")
    plain = name.removesuffix("_backward")
    forward = f"aten.{plain}.default"
    if "upsample" in name:
        scales = [None] * dims
        corners = [] if "nearest" in name else [False]
        if is_backward:
            yield sample_of(call, real(4, 8, *double), double, list(full), *corners, *scales)
        else:
            yield sample_of(call, data, double, *corners, *scales)
    elif "pad" in name:
        pads = [1, 2] * dims
        if is_backward:
            yield sample_of(call, real(4, 8, *(9,) * dims), data, pads)
        else:
            yield sample_of(call, data, pads)
            yield sample_of(call, real(8, *(6,) * dims), pads)
    elif plain.startswith("max_pool"):
        made, places = sample_call(forward, data, [2] * dims, [2] * dims)
        if is_backward:
            options = [2] * dims, [2] * dims, [0] * dims, [1] * dims, False
            yield sample_of(call, made, data, *options, places)
        else:
            yield sample_of(call, data, [2] * dims, [2] * dims)
    elif plain.startswith("avg_pool"):
        options = [2] * dims, [2] * dims, [0] * dims, False, True, None
        yield (
            sample_of(call, real(4, 8, *half), data, *options)
            if is_backward
            else sample_of(call, data, *options)
        )
    elif plain.startswith("_adaptive_avg"):
        yield sample_of(call, real(4, 8, *half), data) if is_backward else sample_of(call, data, half)
    elif plain.startswith("adaptive_max"):
        made, places = sample_call(forward, data, half)
        yield sample_of(call, made, data, places) if is_backward else sample_of(call, data, half)
    elif plain.startswith("max_unpool"):
        pooled = (
            "aten.max_pool2d_with_indices.default" if dims == 2 else "aten.max_pool3d_with_indices.default"
        )
        made, places = sample_call(pooled, data, [2] * dims, [2] * dims)
        more = [[2] * 3, [0] * 3] if dims == 3 else []
        yield sample_of(call, made, places, [6] * dims, *more)


def sample_call(name: str, *args: Any) -> Any:
    from outgrow.shard.ranks.kernels import resolve_op

    return resolve_op(name)(*args)


def _losses(packet: str) -> Iterator[Sample]:
    name = packet.removeprefix("aten.")
    extra = {"smooth_l1_loss": [1.5], "huber_loss": [1.5]}.get(name.removesuffix("_backward"), [])
    for shape in ((8, 7), (24,)):
        for reduction in (0, 1, 2):
            first, second = (positive(*shape), positive(*shape))
            if name == "binary_cross_entropy_with_logits":
                yield sample_of(
                    f"{packet}.default",
                    first,
                    second,
                    None,
                    real(7).abs() if shape == (8, 7) else None,
                    reduction,
                )
            elif name.startswith("binary"):
                grad = [real(*shape) if reduction == 0 else real()] if name.endswith("_backward") else []
                yield sample_of(f"{packet}.default", *grad, first, second, None, reduction)
                yield sample_of(f"{packet}.default", *grad, first, second, positive(*shape), reduction)
            elif name.endswith("_backward"):
                grad = real(*shape) if reduction == 0 else real()
                yield sample_of(f"{packet}.default", grad, first, second, reduction, *extra)
            else:
                yield sample_of(f"{packet}.default", first, second, reduction, *extra)


def _nll(packet: str) -> Iterator[Sample]:
    is_backward, is_2d = "backward" in packet, "2d" in packet
    for batch, classes in ((8, 24), (7, 5)):
        scores = real(batch, classes, 4, 3) if is_2d else real(batch, classes)
        target = whole(classes, batch, 4, 3) if is_2d else whole(classes, batch)
        target.view(-1)[::3] = 2
        for weight in (None, positive(classes)):
            for ignored in (-100, 2):
                for reduction in (0, 1, 2):
                    args: list[Any] = [scores, target, weight, reduction, ignored]
                    if is_backward:
                        forward = "aten.nll_loss2d_forward" if is_2d else "aten.nll_loss_forward"
                        made, total = sample_call(f"{forward}.default", *args)
                        args = [real(*made.shape), *args, total]
                    yield sample_of(f"{packet}.default", *args)


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
    from outgrow.shard.ranks.kernels import read_chain

    return read_chain(whole_, tuple(links))


def _reads() -> Iterator[Sample]:
    for shape, links in CHAINS.values():
        yield sample_of("outgrow.read_view", real(*shape), tuple(links))


def _writes() -> Iterator[Sample]:
    for shape, links in CHAINS.values():
        data = real(*shape)
        yield sample_of("outgrow.write_view", data, real(*_chain_of(links, data).shape), tuple(links))
    turned = real(7, 24).t()
    yield sample_of("outgrow.write_view", turned, real(7), (_link("select.int", 0, 5),))


def _power_sums() -> Iterator[Sample]:
    yield sample_of("outgrow.power_sum", real(24, 7), 2, None, False, None)
    yield sample_of("outgrow.power_sum", real(24, 7), 3, (1,), True, torch.float64)


_FAMILIES: dict[str, Callable[[], Iterator[Sample]]] = {
    "matmul_rows": _matmul,
    "addmm_rows": _addmm,
    "norm_rows": _norms,
    "along_rows": _along,
    "matrix_rows": _matrices,
    "layer_norm_rows": _layer_norms,
    "layer_norm_backward_rows": _layer_norm_backwards,
    "group_norm_rows": _group_norms,
    "group_norm_backward_rows": _group_norm_backwards,
    "batch_norm_rows": _batch_norms,
    "reshape_rows": _reshapes,
    "permute_rows": _permutations,
    "expand_rows": _expansions,
    "cut_rows": _cutting,
    "gradient_rows": _gradients,
    "fold_rows": _folds,
    "cat_rows": _joins,
    "stack_rows": _stacks,
    "factory_rows": _factories,
    "embedding_rows": _embeddings,
    "embedding_backward_rows": _embedding_backwards,
    "gather_rows": _gathers,
    "index_select_rows": _selections,
    "scatter_rows": _scatters,
    "index_write_rows": _index_writes,
    "index_rows": _indexings,
    "index_put_rows": _index_puts,
    "convolution_rows": _convolutions,
    "convolution_backward_rows": _convolution_backwards,
    "_read_rows": _reads,
    "_write_rows": _writes,
    "power_sum_rows": _power_sums,
    "dot_rows": lambda: iter(
        [sample_of("aten.dot.default", real(24), real(24)), sample_of("aten.vdot.default", real(7), real(7))]
    ),
}

_PACKETS: dict[str, Callable[[str], Iterator[Sample]]] = {
    "pointwise_rows": pointwise_samples,
    "reduction_rows": _reductions,
    "pooling_rows": _pools,
    "elementwise_rows": _losses,
    "elementwise_backward_rows": _losses,
    "nll_rows": _nll,
    "nll_backward_rows": _nll,
}


def samples_of(family: str, packet: str) -> list[Sample]:
    """Samples of a rule for an op; those of a family whose op is another are left out."""
    _GENERATOR.manual_seed(len(packet))
    if packet == "outgrow.power_root":
        return [sample_of(packet, positive(8, 7), order, torch.float64) for order in (2, 3)]
    if packet in ("aten.max.other", "aten.min.other"):
        return [sample_of(packet, real(8, 7), real(7))]
    if family in _PACKETS:
        return list(_PACKETS[family](packet))
    found = _FAMILIES[family]()
    return [
        sample
        for sample in found
        if sample.template.op.rpartition(".")[0].removesuffix("_") == packet.removesuffix("_")
        or sample.template.op == packet
    ]
