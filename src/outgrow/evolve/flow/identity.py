"""Find the last layers of a residual block: with these at zero, it gives what it gets."""

__all__ = ["Filling", "identity_fillings"]

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from outgrow.evolve.flow.recording import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """A weight, and the number that all its entries have to be."""

    weight: str
    """Qualified name."""
    value: float
    """0 for most; -1 where a norm multiplies by one plus its weight."""


_SAME = frozenset({"view", "_unsafe_view", "reshape", "clone", "alias", "detach", "contiguous", "_to_copy"})
"""Ops that give what they get, in another form at most."""

_MOVES = _SAME | {
    "permute", "transpose", "t", "unsqueeze", "squeeze", "expand", "slice", "select", "unbind", "split",
    "split_with_sizes", "chunk", "roll", "native_dropout", "dropout", "flatten", "index", "lift_fresh",
}  # fmt: skip
"""Ops that bring the entries of their first argument elsewhere; of zeros they give zeros."""

_ZERO_TO_ZERO = _MOVES | {
    "relu", "relu_", "gelu", "silu", "silu_", "tanh", "neg", "abs", "hardtanh", "leaky_relu", "mean",
    "sum", "div", "div_", "avg_pool2d", "_adaptive_avg_pool2d", "constant_pad_nd", "upsample_bilinear2d",
    "upsample_nearest2d", "repeat", "repeat_interleave", "gather", "index_select", "hardswish", "mish",
    "elu", "_softmax_backward_data",
}  # fmt: skip
"""Ops that give zeros where their first argument is zero."""

_IDEMPOTENT = frozenset({"relu", "relu_", "clamp_min", "clamp_min_", "hardtanh", "hardtanh_"})
"""Activations that leave alone what they made themselves."""

_NORMS = {
    "native_batch_norm": 1, "_native_batch_norm_legit": 1, "_native_batch_norm_legit_no_training": 1,
    "cudnn_batch_norm": 1, "_batch_norm_impl_index": 1, "batch_norm": 1, "_batch_norm_with_update": 1,
    "_batch_norm_no_update": 1, "native_layer_norm": 2, "native_group_norm": 1, "_fused_rms_norm": 2,
    "_fused_rms_norm_symint": 2,
}  # fmt: skip
"""Where the weight of a normalisation stands; its bias follows, but for RMSNorm, which has none."""

_EMPTY = frozenset({"zeros", "zeros_like", "new_zeros"})

Fillings = frozenset[Filling]


def identity_fillings(output: Node, source: Node) -> Fillings | None:
    """The weights that have to be zero so that `output` is `source`; None where no weights could do that.

    `output` has to be a sum of `source` and of branches, each ending in something with a weight, perhaps with
    an idempotent activation around it (a ResNet's last ReLU: `source` then has to come out of such a one).
    What comes out of the analysis is a claim; the caller inserts the block and looks.
    """
    return _identity(output, source, {})


def _identity(node: Node, source: Node, known: dict[Node, Fillings | None]) -> Fillings | None:
    if node is source:
        return frozenset()
    if node not in known:
        known[node] = None
        known[node] = _identity_of_op(node, source, known)
    return known[node]


def _identity_of_op(node: Node, source: Node, known: dict[Node, Fillings | None]) -> Fillings | None:
    if node.place == 0 and node.op in _MOVES:
        return _identity(node.args[0], source, known)
    if node.op in _IDEMPOTENT and _made_by(source, node.op):
        return _identity(node.args[0], source, known)
    if node.op not in {"add", "add_"} or not all(isinstance(one, Node) for one in node.args[:2]):
        return None
    one, two = node.args[:2]
    scaled = node.kwargs.get("alpha", 1) != 1
    for stream, branch in ((one, two), (two, one)):
        if scaled and stream is two:
            continue
        same = _identity(stream, source, known)
        if same is None:
            continue
        gone = _zero(branch)
        if gone is not None:
            return same | gone
    return None


def _made_by(source: Node, op: str) -> bool:
    """Whether a tensor came out of an activation, perhaps in another form."""
    while source.op in _MOVES and source.args and isinstance(source.args[0], Node):
        source = source.args[0]
    return source.op.rstrip("_") == op.rstrip("_")


def _zero(node: Node) -> Fillings | None:
    """The weights, as near to `node` as can be, that have to be filled so that it is zero."""
    filling = _weight_at_zero(node)
    if filling is not None:
        return frozenset({filling})
    args = node.args
    if node.op in _EMPTY:
        return frozenset()
    if node.op in {"mul", "mul_", "mm", "bmm", "matmul", "_grouped_mm"}:
        return _any_zero(args[:2])
    if node.op in {"convolution", "linear", "_convolution"}:
        return _all_zero([args[1], *args[2:3]]) or _all_zero([args[0], *args[2:3]])
    if node.op in {"addmm", "baddbmm"}:
        product = _any_zero(args[1:3])
        return None if product is None else _with(_all_zero(args[:1]), product)
    if node.op in _NORMS:
        place = _NORMS[node.op]
        if node.place or len(args) <= place or not isinstance(args[place], Node):
            return None
        with_bias = not node.op.startswith("_fused_rms")
        return _all_zero([args[place], *(args[place + 1 : place + 2] if with_bias else ())])
    if node.op in {"add", "add_", "sub", "sub_"}:
        return _all_zero(args[:2]) if all(isinstance(one, Node) for one in args[:2]) else None
    if node.op in {"cat", "stack"}:
        return _all_zero(args[0])
    if node.op in {"index_add", "index_add_"}:
        return _all_zero([args[0], args[3]])
    if node.op in {"where"}:
        return _all_zero(args[1:3])
    if node.op in {"masked_fill", "masked_fill_"} and args[2] == 0:
        return _zero(args[0])
    if node.op in _ZERO_TO_ZERO and args and isinstance(args[0], Node):
        return _zero(args[0])
    return None


def _all_zero(nodes: Iterable[Any]) -> Fillings | None:
    total: Fillings = frozenset()
    for node in nodes:
        if node is None:
            continue
        one = _zero(node) if isinstance(node, Node) else None
        if one is None:
            return None
        total |= one
    return total


def _any_zero(nodes: Iterable[Any]) -> Fillings | None:
    """Of a product: one factor suffices, a weight before anything that was computed."""
    real = [node for node in nodes if isinstance(node, Node)]
    for node in real:
        filling = _weight_at_zero(node)
        if filling is not None:
            return frozenset({filling})
    for node in real:
        found = _zero(node)
        if found is not None:
            return found
    return None


def _with(one: Fillings | None, two: Fillings) -> Fillings | None:
    return None if one is None else one | two


def _weight_at_zero(node: Node) -> Filling | None:
    """The number at which a weight, scaled and shifted by numbers on its way, makes `node` zero."""
    if node.op == "weight":
        return Filling(weight=node.weight, value=0.0) if node.dtype.is_floating_point else None
    if not node.args or not isinstance(node.args[0], Node):
        return None
    if node.op in _MOVES:
        return _weight_at_zero(node.args[0])
    if len(node.args) < 2 or isinstance(node.args[1], Node) or node.op not in {"add", "sub", "mul", "div"}:
        return None
    below = _weight_at_zero(node.args[0])
    if below is None or node.op in {"mul", "div"}:
        return below
    if below.value != 0.0 or node.args[0].op not in _SAME | {"weight"}:
        return None
    number = float(node.args[1]) * float(node.kwargs.get("alpha", 1))
    return Filling(weight=below.weight, value=-number if node.op == "add" else number)
