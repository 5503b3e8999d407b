"""The right numbers in other places: heads, halves, pairs."""

__all__ = ["diagnose", "tell_sources"]

from collections.abc import Sequence

from outgrow.compare.diagnosis.blocks import best_mapping
from outgrow.compare.diagnosis.context import Context
from outgrow.compare.diagnosis.diagnosis import Diagnosis

SHOWN = 8


def diagnose(context: Context) -> Diagnosis | None:
    """Blocks along a dim hold what is expected of other blocks."""
    mapping = best_mapping(context)
    if mapping is None:
        return None
    count = len(mapping.sources)
    detail = (
        f"along dim {mapping.dim} the {count} blocks of {mapping.block} hold what is expected of"
        f" {tell_sources(mapping.sources)}, up to a relative error of {mapping.left:.2g}"
    )
    return Diagnosis(at=context.finding.pair.expected_name, kind="permutation", detail=detail)


def tell_sources(sources: Sequence[int]) -> str:
    """`1, 0 (swapped)`, `0, 4, 1, 5, ... (halves interleaved)`."""
    count = len(sources)
    listed = ", ".join(str(source) for source in sources[:SHOWN]) + (", ..." if count > SHOWN else "")
    name = _name(sources)
    return f"{listed} ({name})" if name else listed


def _name(sources: Sequence[int]) -> str | None:
    count, given = len(sources), list(sources)
    half = count // 2
    if count == 2 and given == [1, 0]:
        return "the halves are swapped"
    if given == list(range(count))[::-1]:
        return "in reverse"
    if count % 2 == 0:
        if given == [*range(0, count, 2), *range(1, count, 2)]:
            return "pairs split into halves"
        if given == [index for pair in zip(range(half), range(half, count), strict=True) for index in pair]:
            return "halves interleaved into pairs"
    for step in range(1, count):
        if given == [(index + step) % count for index in range(count)]:
            return f"rolled by {step if step <= half else step - count}"
    for groups in (groups for groups in range(2, count) if count % groups == 0):
        if given == [index * groups % count + index * groups // count for index in range(count)]:
            return f"{count // groups} x {groups} transposed"
    if len(set(given)) < count:
        return f"only {len(set(given))} of {count} are there"
    return None
