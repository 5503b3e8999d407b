"""Calls of pointwise ops."""

from collections.abc import Iterator
from typing import Any

import torch

from outgrow.shard.rules.pointwise import POINTWISE
from outgrow.shard.rules.verify import Sample, sample_of
from tests.shard.rules.numbers import complex_, mask, positive, real, whole

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
    elif name == "_prelu_kernel":
        yield call("default", real(8, 7, 4), positive(1, 7, 1))
    elif name == "_prelu_kernel_backward":
        yield call("default", real(8, 7, 4), real(8, 7, 4), positive(1, 7, 1))
    elif name == "rrelu_with_noise_backward":
        yield call("default", real(8, 7), real(8, 7), positive(8, 7), 0.1, 0.3, True, False)
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
