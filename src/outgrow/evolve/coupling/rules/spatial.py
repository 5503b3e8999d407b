"""Pooling, resizing and padding by reflection: channels stay, places change."""

__all__ = ["SPATIAL", "follow_spatial"]

import re
from typing import Any

from torch import Tensor

from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.labels import Labels
from outgrow.evolve.coupling.trace import Trace

SPATIAL = (
    "max_pool2d_with_indices",
    "max_pool3d_with_indices",
    "max_pool2d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool2d",
    "avg_pool3d",
    "_adaptive_avg_pool2d",
    "_adaptive_avg_pool3d",
    "upsample_nearest1d",
    "upsample_nearest2d",
    "upsample_bilinear2d",
    "_upsample_bilinear2d_aa",
    "upsample_bicubic2d",
    "_upsample_bicubic2d_aa",
    "upsample_linear1d",
    "upsample_nearest3d",
    "upsample_trilinear3d",
    "_upsample_nearest_exact1d",
    "_upsample_nearest_exact2d",
    "_upsample_nearest_exact3d",
    "reflection_pad3d",
    "replication_pad3d",
    "fractional_max_pool2d",
    "fractional_max_pool3d",
    "adaptive_max_pool1d",
    "reflection_pad1d",
    "reflection_pad2d",
    "replication_pad1d",
    "replication_pad2d",
)
"""Names of ATen ops that change the last dims, as many as their name says, and no other."""


def follow_spatial(
    trace: Trace, func: Any, args: tuple[Any, ...], _kwargs: dict[str, Any], results: Any
) -> None:
    """Keep the leading dims."""
    found = re.search(r"([123])d", func._schema.name)
    assert found is not None
    x = trace.labels(args[0])
    trace.use_all(x)
    for tensor in results if isinstance(results, tuple) else (results,):
        if isinstance(tensor, Tensor):
            leading = tensor.dim() - int(found[1])
            for dim in range(leading, tensor.dim()):
                x.extents[dim].freeze("is a place of the inputs")
            places = [Extent(size, frozen="is a place of the inputs") for size in tensor.shape[leading:]]
            trace.label(tensor, Labels(extents=(*x.extents[:leading], *places)))
