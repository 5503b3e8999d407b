"""Shards put together in the wrong order of ranks."""

__all__ = ["diagnose"]

from outgrow.compare.diagnosis.blocks import map_blocks
from outgrow.compare.diagnosis.context import Context
from outgrow.compare.diagnosis.diagnosis import Diagnosis


def diagnose(context: Context) -> Diagnosis | None:
    """One block for each rank along a dim, and they hold what is expected of each other."""
    ranks = len(context.finding.pair.actual)
    if ranks < 2:
        return None
    held = {size for record in context.finding.pair.actual for size in record.shape}
    for dim, size in enumerate(context.expected_window.shape):
        # A dim that a rank has in full was not put together.
        if size % ranks or size != context.expected.shape[dim] or size in held:
            continue
        mapping = map_blocks(context, dim, ranks)
        if mapping is not None and mapping.is_permutation:
            order = ", ".join(str(source) for source in mapping.sources)
            detail = (
                f"the shards of {ranks} ranks along dim {dim} are those expected of ranks {order}, up to a"
                f" relative error of {mapping.left:.2g}"
            )
            return Diagnosis(at=context.finding.pair.expected_name, kind="wrong_rank_order", detail=detail)
    return None
