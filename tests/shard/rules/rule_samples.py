"""Calls of every op that has a rule."""

from collections.abc import Callable, Iterator

from outgrow.shard.rules.verify import Sample, sample_of
from tests.shard.rules import (
    lookup_samples,
    loss_samples,
    numbers,
    pointwise_samples,
    product_samples,
    view_samples,
)

_FAMILIES: dict[str, Callable[[], Iterator[Sample]]] = {
    "matmul_rows": product_samples.matmul,
    "addmm_rows": product_samples.addmm,
    "norm_rows": product_samples.norms,
    "along_rows": product_samples.along,
    "matrix_rows": product_samples.matrices,
    "layer_norm_rows": product_samples.layer_norms,
    "layer_norm_backward_rows": product_samples.layer_norm_backwards,
    "group_norm_rows": product_samples.group_norms,
    "group_norm_backward_rows": product_samples.group_norm_backwards,
    "batch_norm_rows": product_samples.batch_norms,
    "reshape_rows": view_samples.reshapes,
    "permute_rows": view_samples.permutations,
    "expand_rows": view_samples.expansions,
    "cut_rows": view_samples.cutting,
    "gradient_rows": view_samples.gradients,
    "fold_rows": view_samples.folds,
    "unfold_gradient_rows": view_samples.unfold_gradients,
    "place_index_rows": lookup_samples.places,
    "attention_rows": lookup_samples.attentions,
    "sampling_rows": lookup_samples.samplings,
    "sampling_backward_rows": lookup_samples.samplings,
    "batch_rows": lookup_samples.patches,
    "cat_rows": view_samples.joins,
    "stack_rows": view_samples.stacks,
    "factory_rows": view_samples.factories,
    "embedding_rows": lookup_samples.embeddings,
    "embedding_backward_rows": lookup_samples.embedding_backwards,
    "gather_rows": lookup_samples.gathers,
    "index_select_rows": lookup_samples.selections,
    "scatter_rows": lookup_samples.scatters,
    "index_write_rows": lookup_samples.index_writes,
    "index_rows": lookup_samples.indexings,
    "index_put_rows": lookup_samples.index_puts,
    "convolution_rows": lookup_samples.convolutions,
    "convolution_backward_rows": lookup_samples.convolution_backwards,
    "_read_rows": view_samples.reads,
    "_write_rows": view_samples.writes,
    "power_sum_rows": product_samples.power_sums,
    "dot_rows": product_samples.dots,
}

_PACKETS: dict[str, Callable[[str], Iterator[Sample]]] = {
    "pointwise_rows": pointwise_samples.pointwise_samples,
    "reduction_rows": product_samples.reductions,
    "pooling_rows": loss_samples.pools,
    "elementwise_rows": loss_samples.losses,
    "elementwise_backward_rows": loss_samples.losses,
    "nll_rows": loss_samples.nll,
    "nll_backward_rows": loss_samples.nll,
}


def samples_of(family: str, packet: str) -> list[Sample]:
    """Samples of a rule for an op; those of a family whose op is another are left out."""
    numbers.seed(len(packet))
    if packet == "outgrow.power_root":
        return list(product_samples.power_roots())
    if packet in ("aten.max.other", "aten.min.other"):
        return [sample_of(packet, numbers.real(8, 7), numbers.real(7))]
    if family in _PACKETS:
        return list(_PACKETS[family](packet))
    found = _FAMILIES[family]()
    return [
        sample
        for sample in found
        if sample.template.op.rpartition(".")[0].removesuffix("_") == packet.removesuffix("_")
        or sample.template.op == packet
    ]
