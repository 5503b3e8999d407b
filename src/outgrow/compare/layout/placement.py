"""What a recording itself says of how the ranks hold a tensor."""

__all__ = ["declared_combination"]

import re
from collections.abc import Sequence

from outgrow.capture.recording import Record
from outgrow.compare.layout.ranks import Combination, Concatenate, PartialSum, Replicated

_ONE = re.compile(r"(Shard|Replicate|Partial)\(([^)]*)\)")


def declared_combination(records: Sequence[Record]) -> Combination | None:
    """How the ranks' tensors make one, where all of them say the same of one axis of the mesh and nothing of
    the others. None where they say nothing, or more than one thing: then the numbers decide."""
    texts = {record.placement for record in records}
    if len(records) < 2 or len(texts) != 1 or (text := next(iter(texts))) is None:
        return None
    found = _ONE.findall(text)
    told = [(kind, value) for kind, value in found if kind != "Replicate"]
    shapes = tuple(record.shape for record in records)
    if found and not told and len(set(shapes)) == 1:
        return Replicated(ranks=len(records), local=shapes[0])
    if len(told) != 1 or len(found) != 1:
        return None
    kind, value = told[0]
    if kind == "Partial":
        is_sum = value in ("sum", "") and len(set(shapes)) == 1
        return PartialSum(ranks=len(records), local=shapes[0]) if is_sum else None
    dim = int(value) if re.fullmatch(r"-?\d+", value) else None
    if dim is None or not -len(shapes[0]) <= dim < len(shapes[0]):
        return None
    dim %= len(shapes[0])
    fits = len({(len(shape), shape[:dim], shape[dim + 1 :]) for shape in shapes}) == 1
    return Concatenate(dim=dim, shapes=shapes) if fits else None
