"""Every family against every other one: how many pairs, and how many of them are wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from outgrow.capture.recording import Record, Recording
from outgrow.compare.names import pair_records
from outgrow.compare.pair import Pair
from tests.compare.names.truth import Known, families, modules_of, parameters_of


@dataclass(slots=True)
class Tally:
    possible: int = 0
    """Parts that are on both sides."""
    paired: int = 0
    wrong: list[str] = field(default_factory=list)
    """Pairs of what is not the same."""
    said: list[str] = field(default_factory=list)
    """Of the wrong ones those that come with a note."""


def parts_of(known: Known) -> tuple[str, ...]:
    return (known.part,) if isinstance(known.part, str) else known.part


def recording(names: Sequence[Known], *, are_modules: bool) -> Recording:
    """With sizes that help nobody: a part has 12 elements, a fused tensor as many as its parts."""
    return Recording(
        label="written",
        records=[
            Record(
                name=f"{known.name}.output" if are_modules else known.name,
                sequence=index,
                dtype=torch.float32,
                shape=(12 * len(parts_of(known)),),
                read=lambda: torch.zeros(0),
                module=known.module if are_modules else None,
                kind="outputs" if are_modules else "tensor",
            )
            for index, known in enumerate(names)
        ],
        is_ordered=are_modules,
    )


def compare(expected: Sequence[Known], actual: Sequence[Known], *, are_modules: bool) -> Tally:
    suffix = ".output" if are_modules else ""
    left = {known.name + suffix: known for known in expected}
    right = {known.name + suffix: known for known in actual}
    tally = Tally()
    tally.possible = _count_possible(expected, actual)
    found = pair_records(
        recording(expected, are_modules=are_modules), [recording(actual, are_modules=are_modules)]
    )
    for pair in found.pairs:
        one, other = left[pair.expected.name], right[pair.actual[0].name]
        same = _same_parts(pair, one, other)
        tally.paired += same
        if not same:
            told = f"{pair.expected_name} - {pair.actual_name}: {one.part} is not {other.part}"
            (tally.said if pair.note else tally.wrong).append(told)
    return tally


def _same_parts(pair: Pair, one: Known, other: Known) -> int:
    """How many parts this pair pairs, or 0 where it is wrong."""
    if one.place != other.place:
        return 0
    if pair.fused is None:
        return len(parts_of(one)) if one.part == other.part else 0
    whole, piece = (one, other) if pair.fused.side == "expected" else (other, one)
    return int(parts_of(whole)[pair.fused.index] == piece.part)


def _count_possible(expected: Sequence[Known], actual: Sequence[Known]) -> int:
    """Parts that both have; of what is held in one tensor only if the other side has all of that."""
    here, there = ({(k.place, part) for k in side for part in parts_of(k)} for side in (expected, actual))
    return sum(
        len(parts_of(known))
        for known in expected
        if all((known.place, part) in there for part in parts_of(known)) and _is_answered(known, actual, here)
    )


def _is_answered(known: Known, actual: Sequence[Known], here: set[tuple[str, str]]) -> bool:
    """Whether the tensor on the other side that holds this part holds nothing that is missing here."""
    holders = [
        other
        for other in actual
        if other.place == known.place and set(parts_of(other)) & set(parts_of(known))
    ]
    return all((other.place, part) in here for other in holders for part in parts_of(other))


def _tell_towers(known: list[Known], *, are_told: bool) -> list[Known]:
    if are_told:
        return known
    return [
        Known(k.name, k.module, k.part, k.place.removeprefix("encoder").removeprefix("decoder"))
        for k in known
    ]


def run(*, are_modules: bool, against: Sequence[str] | None = None) -> dict[tuple[str, str], Tally]:
    """`against` are the families of the actual run; None for all."""
    names = {family: (modules_of if are_modules else parameters_of)(family) for family in families()}
    if are_modules:
        names = {family: known for family, known in names.items() if family != "gguf"}
    return {
        (one, other): _compare_names(one, other, names[one], names[other], are_modules=are_modules)
        for one in names
        for other in against or names
    }


def run_one(one: str, other: str, *, are_modules: bool) -> Tally:
    names = [(modules_of if are_modules else parameters_of)(family) for family in (one, other)]
    return _compare_names(one, other, *names, are_modules=are_modules)


def _compare_names(
    one: str, other: str, expected: list[Known], actual: list[Known], *, are_modules: bool
) -> Tally:
    # T5 has two towers; the only one of a run counts if the other run has one, too.
    has_tower = [any("coder" in known.place for known in side) for side in (expected, actual)]
    are_told = "t5" in (one, other) or all(has_tower)
    sides = [_tell_towers(side, are_told=are_told) for side in (expected, actual)]
    return compare(*sides, are_modules=are_modules)
