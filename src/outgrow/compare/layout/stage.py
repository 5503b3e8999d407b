"""One layout for a stage, from the tensors of all its layers."""

__all__ = ["StageLayout", "find_stage_layouts"]

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from outgrow.compare.layout.chain import Chain, chain
from outgrow.compare.layout.combining import one_tensor
from outgrow.compare.layout.layout import Identity, Layout
from outgrow.compare.layout.pair_search import PairFound, search_pair
from outgrow.compare.layout.ranks import Replicated
from outgrow.compare.layout.rearrange import squeezed
from outgrow.compare.layout.replicas import look_at_replicas
from outgrow.compare.pair import Pair

_SAMPLED = 3
_MOST_SAMPLED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLayout:
    """What was found for one pair."""

    layout: Layout | None
    """None where no map fits: the pair cannot be measured."""
    expected_layout: Layout = field(default_factory=Identity)
    """To be applied to the expected tensor first: takes one part of a fused tensor."""
    reason: str | None = None
    """Why there is none, or what was assumed."""
    suspected: Mapping[str, str] = field(default_factory=dict)
    """Evidence that is never applied by itself, for the diagnosis: a permutation of equal shapes that would
    fit better, by kind and detail."""


def find_stage_layouts(pairs: Sequence[Pair]) -> list[StageLayout]:
    """One for each pair, in their order.

    Pairs of one rank with equal shapes are the identity and are not read. For the others the tensors of a
    few layers are looked at, and the layers of a stage vote on one layout.
    """
    found: dict[int, StageLayout] = {}
    groups: dict[object, list[int]] = {}
    for index, pair in enumerate(pairs):
        if _is_plain(pair):
            found[index] = StageLayout(layout=Identity())
        else:
            groups.setdefault(_key(pair), []).append(index)
    for members in groups.values():
        found.update(zip(members, _vote([pairs[index] for index in members]), strict=True))
    return [found[index] for index in range(len(pairs))]


def _is_plain(pair: Pair) -> bool:
    return len(pair.actual) == 1 and pair.actual[0].shape == pair.expected.shape and pair.fused is None


def _key(pair: Pair) -> object:
    fused = pair.fused and (pair.fused.side, pair.fused.parts, pair.fused.index)
    return pair.stage, pair.expected.shape, tuple(record.shape for record in pair.actual), fused


def _vote(pairs: Sequence[Pair]) -> list[StageLayout]:
    """One layout for pairs of one stage and equal shapes."""
    first = pairs[0]
    shape = first.actual[0].shape
    is_alike = squeezed(shape) == squeezed(first.expected.shape) or first.actual[0].elements == 0
    if (
        len(first.actual) == 1
        and first.fused is None
        and is_alike
        and first.actual[0].elements == first.expected.elements
    ):
        ((option,),) = one_tensor(shape, first.expected.shape)
        return [StageLayout(layout=option.layout)] * len(pairs)
    ballots: dict[int, PairFound] = {}
    for index in _order_of_sampling(len(pairs)):
        if len(ballots) >= _SAMPLED and any(_weight(ballot) >= 2 for ballot in ballots.values()):
            break
        ballots[index] = search_pair(pairs[index].expected.read(), [r.read() for r in pairs[index].actual])
    votes: Counter[Layout] = Counter()
    for index in sorted(ballots):
        layout = ballots[index].found.layout
        if layout is not None:
            votes[layout] += _weight(ballots[index])
    if not votes:
        one = next(iter(ballots.values()))
        return [StageLayout(layout=None, reason=_why_none(one))] * len(pairs)
    chosen = votes.most_common(1)[0][0]
    ballot = next(ballots[index] for index in sorted(ballots) if ballots[index].found.layout == chosen)
    return [_seen(pair, chosen, ballot) for pair in pairs]


def _seen(pair: Pair, layout: Layout, ballot: PairFound) -> StageLayout:
    replicated, rest = _replicated(layout)
    if replicated is not None:
        replicas = look_at_replicas([record.read() for record in pair.actual], pair.expected.read(), rest)
        if replicas is not None:
            layout = chain(dataclasses.replace(replicated, uses=replicas.worst), rest)
            text = replicas.describe()
            return StageLayout(layout=layout, reason=text, suspected={"replicas_differ": text})
    return StageLayout(layout=layout, reason=_why(ballot))


def _replicated(layout: Layout) -> tuple[Replicated | None, Layout]:
    parts = layout.layouts if isinstance(layout, Chain) else (layout,)
    first = parts[0]
    return (first, chain(*parts[1:])) if isinstance(first, Replicated) else (None, layout)


def _order_of_sampling(count: int) -> list[int]:
    """First, middle, last, then the others from the front: faults spread to later layers."""
    places = [0, count // 2, count - 1, *range(count)]
    return list(dict.fromkeys(places))[:_MOST_SAMPLED]


def _weight(ballot: PairFound) -> int:
    return {"confirmed": 8, "equal": 2, "partly": 2, "shapes": 1}.get(ballot.found.ground, 0)


def _why(ballot: PairFound) -> str | None:
    found = ballot.found
    if found.ground == "confirmed":
        return "; ".join(ballot.notes) or None
    if found.ground == "equal":
        others = ", ".join(repr(other.describe()) for other in found.others)
        return f"also fits and gives the same numbers: {others}"
    if found.ground == "partly":
        return f"fits better than all others, but not everywhere (agreement {found.agreement:.2f})"
    return "the only one that the shapes allow; the numbers do not confirm it"


def _why_none(ballot: PairFound) -> str:
    found = ballot.found
    if ballot.notes:
        return "; ".join(ballot.notes)
    if found.ground == "ambiguous":
        others = ", ".join(repr(other.describe()) for other in found.others)
        return f"the shapes allow several maps and the numbers confirm none: {others}"
    return "no map of whole axis factors leads from one shape to the other"
