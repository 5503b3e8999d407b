"""Which ways there are to run each op on pieces. Whatever has no rule runs replicated.

A rule is a pure function of a template. It gives rows; each row is right for all numbers that the inputs
may hold, and a test runs every row of every rule on simulated ranks against torch. To add a rule: one
function in the file of its family, one line in `RULES`, samples in its test.
"""

__all__ = ["RULES", "Row", "Rule", "rows", "rule_of"]

from collections.abc import Callable

from outgrow.shard.instructions import Template
from outgrow.shard.rules import (
    along,
    attention,
    chain,
    convolution,
    embedding,
    factory,
    image,
    indexing,
    joining,
    loss,
    matmul,
    norm,
    pointwise,
    pooling,
    reduction,
    view,
)
from outgrow.shard.rules.arguments import packet_of
from outgrow.shard.rules.placing import PLACE, place_rows
from outgrow.shard.rules.row import Row, replicated

Rule = Callable[[Template, int], tuple[Row, ...]]


def _named(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys((f"aten.{name}" for name in names.split()), rule)


def _read_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    return chain.read_rows(template, world_size, rows)


def _write_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    return chain.write_rows(template, world_size, rows)


RULES: dict[str, Rule] = {
    **dict.fromkeys(pointwise.POINTWISE, pointwise.pointwise_rows),
    **_named(matmul.matmul_rows, "mm bmm mv"),
    **_named(matmul.addmm_rows, "addmm baddbmm addmv"),
    **_named(matmul.dot_rows, "dot vdot"),
    **dict.fromkeys(reduction.JOINED, reduction.reduction_rows),
    "aten.max.other": pointwise.pointwise_rows,
    "aten.min.other": pointwise.pointwise_rows,
    **_named(reduction.norm_rows, "linalg_vector_norm norm"),
    **_named(
        along.along_rows,
        "_softmax _log_softmax _safe_softmax _softmax_backward_data _log_softmax_backward_data cumsum "
        "cumprod logcumsumexp "
        "cummax cummin sort topk argsort flip roll glu glu_backward linalg_cross",
    ),
    **_named(along.matrix_rows, "tril triu"),
    **_named(norm.layer_norm_rows, "native_layer_norm _fused_rms_norm"),
    **_named(norm.layer_norm_backward_rows, "native_layer_norm_backward"),
    **_named(norm.group_norm_rows, "native_group_norm"),
    **_named(norm.group_norm_backward_rows, "native_group_norm_backward"),
    **_named(
        norm.batch_norm_rows,
        "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training "
        "_batch_norm_with_update "
        "_batch_norm_no_update native_batch_norm_backward batch_norm_backward",
    ),
    **_named(view.reshape_rows, "view reshape _unsafe_view _reshape_alias view_copy"),
    **_named(view.permute_rows, "permute transpose t squeeze unsqueeze"),
    **_named(view.expand_rows, "expand"),
    **_named(view.cut_rows, "select slice split split_with_sizes unbind diagonal unfold"),
    **_named(view.gradient_rows, "select_backward slice_backward"),
    **_named(view.unfold_gradient_rows, "unfold_backward diagonal_backward"),
    **_named(view.fold_rows, "constant_pad_nd repeat"),
    **_named(joining.cat_rows, "cat"),
    **_named(joining.stack_rows, "stack"),
    **_named(factory.factory_rows, "full zeros ones empty empty_strided arange eye linspace logspace"),
    **_named(embedding.embedding_rows, "embedding"),
    **_named(embedding.embedding_backward_rows, "embedding_dense_backward"),
    **_named(indexing.gather_rows, "gather"),
    **_named(indexing.index_select_rows, "index_select"),
    **_named(indexing.scatter_rows, "scatter scatter_add scatter_reduce"),
    **_named(indexing.index_write_rows, "index_add index_copy index_fill index_reduce"),
    **_named(indexing.place_index_rows, "take searchsorted bucketize"),
    **_named(indexing.index_rows, "index _unsafe_index"),
    **_named(indexing.index_put_rows, "index_put _unsafe_index_put _index_put_impl"),
    **_named(convolution.convolution_rows, "convolution"),
    **_named(convolution.convolution_backward_rows, "convolution_backward"),
    **_named(
        attention.attention_rows,
        "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention_for_cpu_backward",
    ),
    **_named(image.batch_rows, "im2col col2im pixel_shuffle pixel_unshuffle"),
    **_named(image.sampling_rows, "grid_sampler_2d grid_sampler_3d"),
    **_named(image.sampling_backward_rows, "grid_sampler_2d_backward grid_sampler_3d_backward"),
    **dict.fromkeys(pooling.POOLING, pooling.pooling_rows),
    **dict.fromkeys(loss.ELEMENTWISE, loss.elementwise_rows),
    **dict.fromkeys((f"{name}_backward" for name in loss.ELEMENTWISE[:-1]), loss.elementwise_backward_rows),
    **_named(loss.nll_rows, "nll_loss_forward nll_loss2d_forward"),
    **_named(loss.nll_backward_rows, "nll_loss_backward nll_loss2d_backward"),
    "outgrow.read_view": _read_rows,
    "outgrow.write_view": _write_rows,
    "outgrow.power_sum": reduction.power_sum_rows,
    "outgrow.power_root": pointwise.pointwise_rows,
}
"""From an op's qualified name, with or without its overload, to its rule. In-place and `_foreach_` variants
are found by the functional name."""

_MAY_WRITE = (pointwise.pointwise_rows, norm.batch_norm_rows)
"""Rules that know what to do with inputs that are written though the op's name does not say so."""


def rule_of(op: str) -> Rule | None:
    """The rule of an op by its qualified name, `aten.add_.Tensor`."""
    rule = RULES.get(op) or RULES.get(packet_of(op))
    return rule or RULES.get(pointwise.plain_packet(op))


def rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """All rows of an op, the replicated one first; each is right whatever the numbers are.

    Where the program itself says how a tensor is to be held, that is the only row.
    """
    if template.op == PLACE and world_size > 1:
        return place_rows(template)
    rule = rule_of(template.op)
    first = replicated(template)
    if rule is None or world_size == 1:
        return (first,)
    is_given = template.op.endswith("out") and rule is not pointwise.pointwise_rows
    if template.mutates and (is_given or rule not in _MAY_WRITE) and not packet_of(template.op).endswith("_"):
        return (first,)
    return (first, *rule(template, world_size))
