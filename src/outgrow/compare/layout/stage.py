"""One layout for a stage, from the tensors of all its layers."""

__all__ = ["StageLayout", "check_hints", "find_stage_layouts", "group_of"]

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from outgrow.compare.layout.chain import chain, split_chain
from outgrow.compare.layout.combining import one_tensor
from outgrow.compare.layout.hint import Told, parse_hint
from outgrow.compare.layout.layout import Identity, Layout
from outgrow.compare.layout.pair_search import PairFound, search_pair
from outgrow.compare.layout.pattern import pattern_of
from outgrow.compare.layout.placement import declared_combination
from outgrow.compare.layout.rank_order import RankOrder, find_order
from outgrow.compare.layout.ranks import PartialSum, Replicated
from outgrow.compare.layout.rearrange import squeezed
from outgrow.compare.layout.replicas import Replicas, look_at_replicas
from outgrow.compare.layout.sides import Option, Sides
from outgrow.compare.memory import Memory, key_of
from outgrow.compare.pair import Pair
from outgrow.errors import InputError

_FUSED_STAGES = ("qkv", "gate_up")
"""Ends of the names of stages that hold several parts in one tensor."""
_SAMPLED = 3
_MOST_SAMPLED = 8
_SURE = 8
_CHECKED = 512
"""Places that are looked at in layers that did not vote, in runs of 8 neighbours."""
_DOUBTFUL = 0.2
"""Agreement from which a layer that did not vote goes with the others without a search of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLayout:
    """What was found for one pair."""

    layout: Layout | None
    """None where no map fits: the pair cannot be measured."""
    expected_layout: Layout = field(default_factory=Identity)
    """To be applied to the expected tensor first: takes one part of a fused tensor, repeats key-value
    heads."""
    reason: str | None = None
    """Why there is none, or what was assumed."""
    suspected: Mapping[str, str] = field(default_factory=dict)
    """Evidence that is never applied by itself, for the diagnosis, by kind: `rank_order`, `partial_sum`,
    `replicas_differ`, `other_layout`. For readers it is in `reason`, too."""

    def describe(self) -> str | None:
        """Both layouts for readers; None where there is none."""
        if self.layout is None:
            return None
        if self.expected_layout.is_identity:
            return self.layout.describe()
        return f"{self.layout.describe()}; expected: {self.expected_layout.describe()}"


def find_stage_layouts(pairs: Sequence[Pair], *, memory: Memory | None = None) -> list[StageLayout]:
    """One for each pair, in their order.

    Pairs of one rank with equal shapes are the identity and are not read. For the others the tensors of a
    few layers are looked at, and the layers of a stage vote on one layout. Partial sums are taken as such
    only where every layer has them and the ranks agree on what comes next; otherwise an all-reduce is
    missing, and that is not to be laid out but to be seen. What `memory` knows is not read again.
    """
    memory = Memory() if memory is None else memory
    found: dict[int, StageLayout] = {}
    undecided: list[tuple[list[int], tuple[Option, ...]]] = []
    groups: dict[object, list[int]] = {}
    for index, pair in enumerate(pairs):
        if pair.layout_hint is not None:
            found[index] = _as_told(pair, pair.layout_hint, memory)
        elif _is_plain(pair):
            found[index] = StageLayout(layout=Identity())
        else:
            groups.setdefault(_key(pair), []).append(index)
    for members in groups.values():
        voted, tried = _vote([pairs[index] for index in members], memory)
        found.update(zip(members, voted, strict=True))
        if tried:
            undecided.append((members, tried))
    layouts = [found[index] for index in range(len(pairs))]
    for members, tried in undecided:
        _follow_others(pairs, layouts, members, tried)
    for members in groups.values():
        if _is_summed(layouts[members[0]]) and declared_combination(pairs[members[0]].actual) is None:
            _doubt_sums(pairs, layouts, members, memory)
    return layouts


def check_hints(pairs: Sequence[Pair]) -> None:
    """Refuse layouts of the user's that do not fit, before anything is read.

    Raises:
        InputError: one of them, named with its pair.
    """
    for pair in pairs:
        if pair.layout_hint is not None:
            _told(pair, pair.layout_hint)


def _as_told(pair: Pair, hint: str, memory: Memory) -> StageLayout:
    """What the user's map says, which is not doubted; but ranks that should be equal are looked at."""
    told = _told(pair, hint)
    combination, rest = split_chain(told.layout)
    if not isinstance(combination, Replicated):
        return StageLayout(layout=told.layout, expected_layout=told.expected_layout, reason="as given")
    found = _replicated(pair, combination, rest, told.expected_layout, None, "as given", memory)
    return dataclasses.replace(found, layout=told.layout, reason="as given") if told.has_rank else found


def _told(pair: Pair, hint: str) -> Told:
    part = "part" if pair.fused is None else pair.fused.parts[pair.fused.index]
    shapes = [record.shape for record in pair.actual]
    try:
        return parse_hint(hint, shapes=shapes, target=pair.expected.shape, part=part)
    except InputError as err:
        raise InputError(
            f"{pair.expected_name!r} and {pair.actual_name!r}: {err.message}", hint=err.hint
        ) from err


def _is_plain(pair: Pair) -> bool:
    return len(pair.actual) == 1 and pair.actual[0].shape == pair.expected.shape and pair.fused is None


def group_of(pair: Pair) -> object:
    """Equal for pairs whose layout is looked for together; None where there is nothing to look for."""
    return None if pair.layout_hint is not None or _is_plain(pair) else _key(pair)


def _key(pair: Pair) -> object:
    fused = pair.fused and (pair.fused.side, pair.fused.parts, pair.fused.index)
    shapes = pair.expected.shape, *(record.shape for record in pair.actual)
    # A recording may hold a stage as summands in one layer and whole in the next, and says so itself.
    return pair.stage, pair.expected.kind, shapes, fused, declared_combination(pair.actual)


def _vote(pairs: Sequence[Pair], memory: Memory) -> tuple[list[StageLayout], tuple[Option, ...]]:
    """One layout for pairs of one stage and equal shapes; or none, and what was tried in vain."""
    if _needs_no_search(pairs[0]):
        ((option,),) = one_tensor(pairs[0].actual[0].shape, pairs[0].expected.shape)
        return [StageLayout(layout=option.layout)] * len(pairs), ()
    ballots: dict[int, PairFound] = {}
    for index in _order_of_sampling(len(pairs)):
        if len(ballots) >= _SAMPLED and any(_weight(ballot) >= _SURE for ballot in ballots.values()):
            break
        ballots[index] = _search(pairs[index], memory)
    are_sums = {index: _is_sum(ballot) for index, ballot in ballots.items()}
    is_summed = all(are_sums.values())
    votes: Counter[Option] = Counter()
    for index in sorted(ballots):
        choice = ballots[index].found.option
        if choice is not None and (is_summed or not are_sums[index]):
            votes[choice] += _weight(ballots[index])
    if not votes and any(are_sums.values()):
        return [_as_replicas(pair, ballots.get(index), memory) for index, pair in enumerate(pairs)], ()
    if not votes:
        one = ballots[min(ballots)]
        return [StageLayout(layout=None, reason=_why_none(one))] * len(pairs), one.tried
    chosen = votes.most_common(1)[0][0]
    leader = next(ballots[index] for index in sorted(ballots) if ballots[index].found.option == chosen)
    return [_seen(pair, chosen, leader, ballots.get(index), memory) for index, pair in enumerate(pairs)], ()


def _follow_others(
    pairs: Sequence[Pair], layouts: list[StageLayout], members: Sequence[int], tried: Sequence[Option]
) -> None:
    """Where no layer of a stage says anything, lay it out as other stages are, if one way alone fits."""
    patterns = {
        (pattern_of(found.layout), pattern_of(found.expected_layout)): pairs[index].stage
        for index, found in enumerate(layouts)
        if found.layout is not None and found.reason is None and not found.layout.is_identity
    }
    alike = {
        option: stage
        for option in tried
        if (stage := patterns.get((pattern_of(option.layout), pattern_of(option.expected_layout))))
        is not None
    }
    if len(alike) == 1:
        ((option, stage),) = alike.items()
        reason = f"laid out as {stage} is, which the numbers confirm; here they do not"
        for index in members:
            layouts[index] = StageLayout(
                layout=option.layout, expected_layout=option.expected_layout, reason=reason
            )


def _search(pair: Pair, memory: Memory) -> PairFound:
    return memory.recall(
        ("search", key_of(pair)),
        lambda: search_pair(
            pair.expected.read(),
            [record.read() for record in pair.actual],
            fused=pair.fused,
            declared=declared_combination(pair.actual),
            is_fused=pair.stage.endswith(_FUSED_STAGES),
        ),
    )


def _needs_no_search(pair: Pair) -> bool:
    """Whether the shapes differ in dims of size 1 alone, or there are no numbers."""
    actual, expected = pair.actual[0], pair.expected
    if len(pair.actual) > 1 or pair.fused is not None or actual.elements != expected.elements:
        return False
    return squeezed(actual.shape) == squeezed(expected.shape) or not expected.elements


def _seen(
    pair: Pair, option: Option, leader: PairFound, ballot: PairFound | None, memory: Memory
) -> StageLayout:
    """The stage's layout on one of its layers, with what that layer says against it."""
    combination, rest = split_chain(option.layout)
    if isinstance(combination, Replicated):
        return _replicated(pair, combination, rest, option.expected_layout, ballot, _why(leader), memory)
    reason, suspected = _why(leader), {}
    if ballot is None:
        is_doubtful, order = memory.recall(("doubt", key_of(pair), option), lambda: _doubt(pair, option))
        if is_doubtful:
            ballot = _search(pair, memory)
    else:
        order = ballot.order
    if order is not None:
        suspected["rank_order"] = order.describe()
    other = None if ballot is None else ballot.found.option
    if ballot is not None and other is not None and other != option and ballot.found.ground == "confirmed":
        suspected["other_layout"] = (
            f"{other.layout.describe()} fits here, unlike in the other layers of {pair.stage}"
        )
    if ballot is not None and ballot is not leader and other is None:
        reason = f"as in the other layers of {pair.stage}; the numbers do not confirm it here"
    return StageLayout(
        layout=option.layout,
        expected_layout=option.expected_layout,
        reason="; ".join(filter(None, [reason, *suspected.values()])) or None,
        suspected=suspected,
    )


def _doubt(pair: Pair, option: Option) -> tuple[bool, RankOrder | None]:
    """Whether the numbers of a layer that did not vote speak against its stage's layout; and if they do, the
    order of ranks in which they would not."""
    sides = Sides(
        pair.expected.read(), [record.read() for record in pair.actual],
        elements=_elements(option), expected_layout=option.expected_layout, count=_CHECKED, block=8,
    )  # fmt: skip
    if sides.agreement(option) >= _DOUBTFUL:
        return False, None
    return True, find_order(sides, option)


def _elements(option: Option) -> int:
    count = 1
    for size, _ in option.digits:
        count *= size
    return count


def _as_replicas(pair: Pair, ballot: PairFound | None, memory: Memory) -> StageLayout:
    """Where the ranks' sum fits in some layers and in others nothing does."""
    if ballot is None:
        ballot = _search(pair, memory)
    option = ballot.found.option
    if option is None:
        return StageLayout(layout=None, reason=_why_none(ballot))
    combination, rest = split_chain(option.layout)
    assert isinstance(combination, PartialSum | Replicated), "ranks of the whole shape"
    replicated = Replicated(ranks=combination.ranks, local=combination.local)
    return _replicated(pair, replicated, rest, option.expected_layout, ballot, None, memory)


def _replicated(
    pair: Pair,
    replicated: Replicated,
    rest: Layout,
    expected_layout: Layout,
    ballot: PairFound | None,
    reason: str | None,
    memory: Memory,
) -> StageLayout:
    replicas = memory.recall(
        ("replicas", key_of(pair), rest, expected_layout), lambda: _look(pair, rest, expected_layout)
    )
    if replicas is None:
        return StageLayout(
            layout=chain(replicated, rest), expected_layout=expected_layout, reason=reason
        )  # fmt: skip
    if ballot is None:
        ballot = _search(pair, memory)
    text = replicas.describe()
    suspected = {"replicas_differ": text}
    if _is_sum(ballot):
        suspected["partial_sum"] = f"the sum of the {len(pair.actual)} ranks fits: they were not added up"
        text = f"{text}; {suspected['partial_sum']}"
    return StageLayout(
        layout=chain(dataclasses.replace(replicated, uses=replicas.worst), rest),
        expected_layout=expected_layout,
        reason=text,
        suspected=suspected,
    )


def _look(pair: Pair, rest: Layout, expected_layout: Layout) -> Replicas | None:
    tensors = [record.read() for record in pair.actual]
    return look_at_replicas(tensors, expected_layout.apply([pair.expected.read()]), rest)


def _doubt_sums(
    pairs: Sequence[Pair], layouts: list[StageLayout], members: Sequence[int], memory: Memory
) -> None:
    """Take partial sums back where the ranks do not agree on the next tensor that all of them hold: it was
    computed from summands that nobody had added up."""
    following = next(
        (
            layouts[index]
            for index in range(members[0] + 1, len(layouts))
            if isinstance(_combination(layouts[index]), Replicated)
        ),
        None,
    )
    if following is None or "replicas_differ" not in following.suspected:
        return
    for index in members:
        layouts[index] = _as_replicas(pairs[index], None, memory)


def _combination(found: StageLayout) -> Layout | None:
    return None if found.layout is None else split_chain(found.layout)[0]


def _is_summed(found: StageLayout) -> bool:
    return isinstance(_combination(found), PartialSum)


def _is_sum(ballot: PairFound) -> bool:
    option = ballot.found.option
    return option is not None and isinstance(split_chain(option.layout)[0], PartialSum)


def _order_of_sampling(count: int) -> list[int]:
    """First, middle, last, then the others from the front: faults spread to later layers."""
    places = [0, count // 2, count - 1, *range(count)]
    return list(dict.fromkeys(places))[:_MOST_SAMPLED]


def _weight(ballot: PairFound) -> int:
    return {"confirmed": _SURE, "equal": 2, "partly": 2, "shapes": 1}.get(ballot.found.ground, 0)


def _why(ballot: PairFound) -> str | None:
    found = ballot.found
    option = found.option
    if found.ground == "confirmed":
        if option is not None and isinstance(split_chain(option.layout)[0], PartialSum):
            return "the sum of the ranks fits, and no rank by itself: taken as partial sums"
        return None
    if found.ground == "equal":
        others = ", ".join(repr(other.layout.describe()) for other in found.others)
        return f"the simplest of several that give the same numbers: {others}" if others else None
    if found.ground == "partly":
        return f"fits better than all others, but not everywhere (agreement {found.agreement:.2f})"
    return "the only one that the shapes allow; the numbers do not confirm it"


def _why_none(ballot: PairFound) -> str:
    if ballot.note is not None:
        return ballot.note
    found = ballot.found
    if found.ground == "ambiguous":
        others = ", ".join(repr(other.layout.describe()) for other in found.others)
        return f"the shapes allow several maps and the numbers confirm none: {others}"
    return "no map of whole axis factors leads from one shape to the other"
