"""Ops that make each element of the result from the elements at the same place."""

__all__ = ["POINTWISE", "plain_packet", "pointwise_rows"]

from outgrow.placement import Placement, Shard
from outgrow.shard.instructions import Template
from outgrow.shard.rules.arguments import packet_of
from outgrow.shard.rules.cuts import cuts, linear_rows
from outgrow.shard.rules.row import WHOLE, Row

_GROUPS = {
    "arithmetic": """
        add sub rsub mul div true_divide floor_divide remainder fmod pow float_power neg positive abs
        sign sgn reciprocal square sqrt rsqrt addcmul addcdiv lerp hypot copysign ldexp frexp gcd lcm
    """,
    "rounding": """
        ceil floor round trunc frac clamp clamp_min clamp_max clip nan_to_num maximum minimum fmax fmin
        nextafter
    """,
    "comparison": """
        eq ne lt le gt ge isnan isinf isfinite isposinf isneginf signbit isclose heaviside where
    """,
    "logic": """
        logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor bitwise_not
        bitwise_left_shift bitwise_right_shift __lshift__ __rshift__ __and__ __or__ __xor__
    """,
    "exponentials": """
        exp exp2 expm1 log log2 log10 log1p logaddexp logaddexp2 xlogy sigmoid logit sinh cosh tanh
        asinh acosh atanh
    """,
    "angles": """
        sin cos tan asin acos atan atan2 sinc deg2rad rad2deg angle
    """,
    "special": """
        erf erfc erfinv lgamma digamma polygamma mvlgamma igamma igammac i0 special_i0e special_i1
        special_i1e special_ndtri special_log_ndtr special_erfcx special_entr special_zeta
        special_xlog1py special_airy_ai special_bessel_j0 special_bessel_j1 special_bessel_y0
        special_bessel_y1 special_modified_bessel_i0 special_modified_bessel_i1
        special_modified_bessel_k0 special_modified_bessel_k1 special_scaled_modified_bessel_k0
        special_scaled_modified_bessel_k1 special_spherical_bessel_j0 special_chebyshev_polynomial_t
        special_chebyshev_polynomial_u special_chebyshev_polynomial_v special_chebyshev_polynomial_w
        special_hermite_polynomial_h special_hermite_polynomial_he special_laguerre_polynomial_l
        special_legendre_polynomial_p special_shifted_chebyshev_polynomial_t
        special_shifted_chebyshev_polynomial_u special_shifted_chebyshev_polynomial_v
        special_shifted_chebyshev_polynomial_w
    """,
    "activations": """
        relu relu6 _prelu_kernel leaky_relu elu celu selu gelu silu mish softplus hardtanh hardsigmoid
        hardswish hardshrink softshrink threshold log_sigmoid_forward
    """,
    "their gradients": """
        threshold_backward tanh_backward sigmoid_backward gelu_backward silu_backward mish_backward
        leaky_relu_backward elu_backward hardtanh_backward hardsigmoid_backward hardswish_backward
        hardshrink_backward softshrink_backward softplus_backward logit_backward log_sigmoid_backward
        native_dropout_backward rrelu_with_noise_backward _prelu_kernel_backward
    """,
    "copies": """
        clone _to_copy copy copy_ contiguous alias detach lift_fresh lift_fresh_copy conj_physical
        _conj_physical _conj _neg_view resolve_conj resolve_neg real imag complex polar masked_fill zero
        fill
    """,
    "optimizers": """
        _fused_adam _fused_adamw _fused_sgd _fused_adagrad
    """,
}

POINTWISE = tuple(f"aten.{name}" for names in _GROUPS.values() for name in names.split())
"""Qualified names without overloads; in-place and `_foreach_` variants have the same rows. Inputs
broadcast."""

_IN_GRADIENT = dict.fromkeys((f"aten.{name}" for name in _GROUPS["their gradients"].split()), ((0,),))

LINEAR: dict[str, tuple[tuple[int, ...], ...]] = {
    **_IN_GRADIENT,
    **dict.fromkeys(
        (
            f"aten.{name}"
            for name in [
                "neg",
                "positive",
                "clone",
                "_to_copy",
                "contiguous",
                "alias",
                "detach",
                "lift_fresh",
                "deg2rad",
                "rad2deg",
            ]
        ),
        ((0,),),
    ),
    **dict.fromkeys(("aten.add", "aten.sub", "aten.rsub", "aten.copy", "aten.copy_", "aten.lerp"), ((0, 1),)),
    "aten.mul": ((0,), (1,)),
    "aten.div": ((0,),),
    "aten.true_divide": ((0,),),
    "aten.addcmul": ((0, 1), (0, 2)),
    "aten.where": ((1, 2),),
}
"""Groups of inputs in which the op is linear together: if these are partial sums, so is the result."""


def pointwise_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """One row for each dim of the result that is worth cutting, and one for each group of inputs that may be
    partial sums.
    """
    if not template.outputs:
        return ()
    shape = template.outputs[0].shape
    # What is written may be a lone number beside the tensors: the count of an optimizer's steps.
    if any(meta.shape not in (shape, ()) for meta in template.outputs):
        return ()
    found = []
    for dim, size in enumerate(shape):
        if not cuts(size, world_size):
            continue
        inputs: list[Placement] = []
        for meta in template.inputs:
            own = dim - (len(shape) - len(meta.shape))
            inputs.append(Shard(own) if own >= 0 and meta.shape[own] == size else WHOLE)
        outputs = tuple(Shard(dim) if meta.shape == shape else WHOLE for meta in template.outputs)
        found.append(Row(tuple(inputs), outputs))
    if template.op.endswith("_mode"):
        return tuple(found)
    packet = plain_packet(template.op)
    # A tensor may hold zeros: the pieces of a sum over zero are infinities of either sign, their sum is none.
    if packet in ("aten.div", "aten.true_divide") and (len(template.inputs) > 1 or 0 in template.args[1:]):
        return tuple(found)
    return (*found, *linear_rows(template, LINEAR.get(packet, ())))


def plain_packet(op: str) -> str:
    """`aten.add` of `aten.add_.Tensor` and `aten._foreach_add_.List`, `aten.__xor__` of `aten.__ixor__.x`."""
    packet = packet_of(op)
    if packet.startswith("aten._foreach_"):
        packet = "aten." + packet.removeprefix("aten._foreach_")
    if packet.endswith("__"):
        return packet.replace("aten.__i", "aten.__", 1)
    return packet.removesuffix("_")
