"""A match, with the ranks of both runs looked at, as pairs."""

__all__ = ["answer"]

from outgrow.compare.names.entity import Entity
from outgrow.compare.names.match import Match
from outgrow.compare.names.sequence import stage_of
from outgrow.compare.pair import Pair


def answer(match: Match, expected_ranks: int, actual_ranks: int) -> tuple[list[Pair], str | None]:
    """The pairs: one where the expected run has one rank, else one for each rank. With a note where ranks are
    missing.
    """
    expected, actual = match.expected, match.actual
    if expected_ranks > 1:
        both = [rank for rank in expected.records if rank in actual.records]
        pairs = [
            _pair(match, expected.records[rank], (actual.records[rank],), f"rank {rank}") for rank in both
        ]
        if len(both) == len(expected.records) == len(actual.records):
            return pairs, None
        return pairs, f"{expected.record.name!r} was not compared on all ranks: {_missing(expected, actual)}"
    records = tuple(actual.records[rank] for rank in sorted(actual.records))
    if len(records) == actual_ranks:
        return [_pair(match, expected.record, records)], None
    has = ", ".join(map(str, sorted(actual.records)))
    told = f"of {actual_ranks} ranks only {has} " + ("have" if len(records) > 1 else "has")
    if _is_whole(match):
        return [_pair(match, expected.record, records, f"{told} it, and its size is whole")], None
    return (
        [],
        f"{expected.record.name!r} was not paired: {told} {actual.record.name!r}, and not all elements of it",
    )


def _is_whole(match: Match) -> bool:
    """Whether the ranks that have it can have all of it: each by itself, or all together."""
    if match.fused is not None and match.fused.side == "expected":
        return all(record.placement == "Replicate()" for record in match.actual.records.values())
    sizes = [record.elements for record in match.actual.records.values()]
    wanted = match.expected.record.elements
    if match.fused is not None:
        # The parts before this one are not known here; a rank that lacks them would lack them all.
        return len(set(sizes)) == 1 and sizes[0] >= wanted
    return all(size == wanted for size in sizes) or sum(sizes) == wanted


def _missing(expected: Entity, actual: Entity) -> str:
    lacking = sorted(expected.records.keys() ^ actual.records.keys())
    return "one run lacks rank " + ", ".join(map(str, lacking))


def _pair(match: Match, expected: object, actual: tuple[object, ...], more: str | None = None) -> Pair:
    notes = [note for note in (match.note, more) if note]
    return Pair(
        expected=expected,  # type: ignore[arg-type]
        actual=actual,  # type: ignore[arg-type]
        stage=stage_of(match),
        layer=match.expected.spelling.layer,
        how=match.how,
        fused=match.fused,
        note="; ".join(notes) or None,
        layout_hint=match.layout_hint,
    )
