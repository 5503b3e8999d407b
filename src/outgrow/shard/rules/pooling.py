"""Ops on images that leave batch and channels alone: pooling, resizing, padding."""

__all__ = ["pooling_rows"]

from outgrow.placement import Shard
from outgrow.shard.instructions import Template
from outgrow.shard.ranks.pieces import piece_shape
from outgrow.shard.rules.arguments import bound, local_form, packet_of
from outgrow.shard.rules.cuts import cuts, linear_rows
from outgrow.shard.rules.row import Row

_NAMES = {
    1: """
        upsample_nearest1d _upsample_nearest_exact1d upsample_linear1d reflection_pad1d
        replication_pad1d adaptive_max_pool1d
    """,
    2: """
        max_pool2d_with_indices avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d upsample_nearest2d
        _upsample_nearest_exact2d upsample_bilinear2d upsample_bicubic2d _upsample_bilinear2d_aa
        _upsample_bicubic2d_aa reflection_pad2d replication_pad2d max_unpool2d
    """,
    3: """
        max_pool3d_with_indices avg_pool3d _adaptive_avg_pool3d adaptive_max_pool3d upsample_nearest3d
        _upsample_nearest_exact3d upsample_trilinear3d reflection_pad3d replication_pad3d max_unpool3d
    """,
}

POOLING: dict[str, int] = {
    f"aten.{name}{suffix}": dims
    for dims, names in _NAMES.items()
    for name in names.split()
    for suffix in ("", "_backward")
    if not (name.startswith(("max_unpool", "adaptive_max_pool1d")) and suffix)
}
"""How many last dims each op looks along; every tensor has the same leading dims."""

_NONLINEAR = ("aten.max_pool", "aten.adaptive_max_pool", "aten.max_unpool")


def pooling_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """Batch and channels of all tensors are cut alike."""
    packet = packet_of(template.op)
    shape = template.inputs[0].shape
    leading = len(shape) - POOLING[packet]
    metas = (*template.inputs, *template.outputs)
    if any(meta.shape[:leading] != shape[:leading] or len(meta.shape) != len(shape) for meta in metas):
        return ()
    sizes = bound(template).get("input_size")
    found = []
    for dim in range(leading):
        if not cuts(shape[dim], world_size):
            continue
        kernel = None
        if sizes is not None:

            def change(rank: int, ranks: int, dim: int = dim) -> dict[str, tuple[int, ...]]:
                return {"input_size": piece_shape(tuple(sizes), Shard(dim), rank, ranks)}

            kernel = local_form(template, change)
        found.append(Row((Shard(dim),) * len(template.inputs), (Shard(dim),) * len(template.outputs), kernel))
    is_linear = packet.endswith("_backward") or not packet.startswith(_NONLINEAR)
    return (*found, *linear_rows(template, ((0,),) if is_linear else ()))
