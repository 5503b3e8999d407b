"""From the measures of all pairs, in order of execution, to a verdict. Values in, values out."""

__all__ = ["judge"]

import re
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from outgrow.compare.judge.evidence import (
    JUMP,
    LAYERS,
    Objection,
    Past,
    bias_of,
    object_to,
    object_to_exact,
    object_to_outside,
    peak_error,
)
from outgrow.compare.judge.judgement import Judged, Judgement, Measured, Verdict
from outgrow.compare.judge.rounding import floor_of, unit_roundoff
from outgrow.compare.judge.rules import Rules
from outgrow.compare.measures import Measures, SideFigures

BRANCHES = (
    {"query": "query", "q": "query", "key": "key", "k": "key", "value": "value", "v": "value"},
    {"gate": "gate", "up": "up"},
)
"""Words in a stage's name that tell which of several parallel ways it is on."""


STILL = 2.0
"""Once something went wrong, an error is called right again up to this many times what it was before: the
room that a jump has would let in what was inherited and averaged away in part."""


class _Wrong:
    """Pairs that went wrong, the worst first: with 100,000 of them nobody asks all about each other."""

    def __init__(self) -> None:
        self._by_error: list[tuple[float, int, Measured]] = []
        self._born: list[Measured] = []

    def add(self, pair: Measured, error: float) -> None:
        """`error` is infinite for a pair that could not be measured."""
        insort(self._by_error, (-error, len(self._by_error), pair))
        if pair.measures is None or pair.measures.max_abs == float("inf"):
            self._born.append(pair)

    def explains(self, pair: Measured, objection: Objection) -> bool:
        """Whether one of them, that this pair may come from, is reason enough."""
        if pair.measures is None:
            return False
        if objection.evidence == "born":
            return any(not _are_parallel(other, pair) for other in self._born)
        worst = next((-error for error, _, other in self._by_error if not _are_parallel(other, pair)), None)
        return worst is not None and pair.measures.finite_relative_error <= JUMP * worst


@dataclass(slots=True)
class _Chain:
    """What is known while walking: pairs of one kind, one after the other."""

    error: float = 0.0
    """Largest relative error of a pair that is right."""
    peak: float = 0.0
    """Largest `peak_error` of one."""
    bias: float = 0.0
    """Largest `bias_of` one."""
    floor: float = 0.0
    """Largest `floor_of`."""
    roundoffs: dict[str, float] = field(default_factory=lambda: {"expected": 0.0, "actual": 0.0})
    """Largest `unit_roundoff` of each side."""
    growths: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    """By kind and stage: by which factors the error grew there, the largest `LAYERS` of them; how many there
    are and which is the largest is all that is asked for."""
    is_wrong: bool = False
    """Whether a pair went wrong."""

    def past(self, pair: Measured) -> Past:
        if pair.layer is not None:
            growths = self.growths.get((pair.kind, pair.stage), [])
        else:
            # What comes after the layers has no like: it may do what any stage of them did.
            known = [rows for rows in self.growths.values() if len(rows) >= LAYERS]
            growths = [growth for rows in known for growth in rows]
        return Past(
            error=self.error, peak=self.peak, floor=self.floor, bias=self.bias, growths=growths,
            roundoffs=self.roundoffs,
        )  # fmt: skip

    def inherit(self, other: "_Chain") -> None:
        """Begin no lower than another chain that this one is computed from."""
        self.error = max(self.error, other.error)
        self.peak = max(self.peak, other.peak)
        self.bias = max(self.bias, other.bias)
        self.floor = max(self.floor, other.floor)
        for side, roundoff in other.roundoffs.items():
            self.roundoffs[side] = max(self.roundoffs[side], roundoff)

    def see(self, measures: Measures) -> None:
        """Take in the dtypes of a pair, right or wrong."""
        self.floor = max(self.floor, floor_of(measures))
        for side, dtype in (("expected", measures.expected_dtype), ("actual", measures.actual_dtype)):
            self.roundoffs[side] = max(self.roundoffs[side], unit_roundoff(dtype))

    def add(self, pair: Measured, measures: Measures) -> None:
        """Take in a pair that is right, after `see` took in its dtypes."""
        error = measures.finite_relative_error
        before = max(self.error, self.floor)
        if before > 0 and pair.layer is not None:
            growths = self.growths.setdefault((pair.kind, pair.stage), [])
            growths.append(error / before)
            # A run may have 100,000 pairs of one stage.
            if len(growths) > LAYERS:
                growths.remove(min(growths))
        self.error = max(self.error, error)
        self.peak = max(self.peak, peak_error(measures))
        self.bias = max(self.bias, bias_of(measures))


def judge(
    measured: Sequence[Measured],
    *,
    rules: Rules | None = None,
    exact: bool = False,
    expected_records: int | None = None,
    actual_records: int | None = None,
) -> Judgement:
    """Walk through the pairs in order of execution.

    `rules` replace the jump rule, `exact` asks for every bit instead. `expected_records` and
    `actual_records` are how many tensors each side has that could have been paired; without them all were.
    """
    chains = {"activations": _Chain(), "gradients": _Chain(), "parameters": _Chain()}
    wrong = _Wrong()
    judged: list[Judged] = []
    for pair in measured:
        objection, allowed = _object(pair, chains, rules, exact=exact)
        error = None if pair.measures is None else pair.measures.finite_relative_error
        if objection is None:
            judged.append(Judged(status="ok", reason=_tell_right(pair), error=error, allowed=allowed))
            continue
        status = "inherited" if wrong.explains(pair, objection) else "differs"
        judged.append(
            Judged(
                status=status,  # type: ignore[arg-type]
                reason=objection.reason,
                evidence=objection.evidence,
                error=error,
                allowed=allowed,
            )
        )
        wrong.add(pair, float("inf") if error is None else error)
    first = next((index for index, word in enumerate(judged) if word.status != "ok"), None)
    healed_at = _find_healing(measured, judged)
    if healed_at is not None:
        for index in range(healed_at, len(judged)):
            judged[index] = replace(judged[index], status="healed")
    verdict = _decide(len(measured), first, expected_records, actual_records)
    return Judgement(
        verdict=verdict,
        first_divergence=first,
        healed_at=healed_at,
        judged=tuple(judged),
        reason=_tell(verdict, measured, judged, first, healed_at),
    )


def _chain_of(kind: str) -> str:
    if kind in ("parameters", "optimizer"):
        return "parameters"
    return "gradients" if kind == "gradients" else "activations"


def _object(
    pair: Measured, chains: dict[str, _Chain], rules: Rules | None, *, exact: bool
) -> tuple[Objection | None, float | None]:
    if pair.measures is None:
        return Objection(evidence="shape", reason=pair.reason or "no layout lays one over the other"), None
    if exact:
        return object_to_exact(pair.measures), None
    if rules is not None:
        return object_to_outside(pair.measures, *rules.tolerance(pair.name)), None
    name = _chain_of(pair.kind)
    chain = chains[name]
    # Gradients inherit from the activations that they are computed with, weights after a step from gradients.
    if name == "gradients":
        chain.inherit(chains["activations"])
    elif name == "parameters":
        chain.inherit(chains["gradients"])
    objection, allowed = object_to(pair.measures, chain.past(pair))
    # Nothing is computed from a weight before it: one in half precision excuses none in float32.
    if name != "parameters":
        chain.see(pair.measures)
    if objection is None and chain.is_wrong:
        objection = _object_to_rest(pair.measures, chain)
    if objection is None and name != "parameters":
        chain.add(pair, pair.measures)
    chain.is_wrong = chain.is_wrong or objection is not None
    return objection, allowed


def _object_to_rest(measures: Measures, chain: _Chain) -> Objection | None:
    """What is left of an error that was inherited, where it is too small for a jump."""
    before = max(chain.error, chain.floor, floor_of(measures))
    error = measures.finite_relative_error
    if error <= STILL * before:
        return None
    return Objection(
        evidence="rest", reason=f"relative error {error:.2g}, still {error / before:.1f} times what was right"
    )


def _branch(stage: str) -> tuple[int, str] | None:
    words = re.split(r"[^a-z]+", stage.lower())
    for family, names in enumerate(BRANCHES):
        for word in words:
            if word in names:
                return family, names[word]
    return None


def _are_parallel(one: Measured, other: Measured) -> bool:
    """Whether neither comes from the other: query and key of one layer."""
    here, there = _branch(one.stage), _branch(other.stage)
    return (
        one.layer == other.layer
        and here is not None
        and there is not None
        and here[0] == there[0]
        and here != there
    )


def _find_healing(measured: Sequence[Measured], judged: Sequence[Judged]) -> int | None:
    """The first pair after the last wrong one that comes from it and is right; None where there is none, or
    where gradients or weights after it are wrong."""
    chain = [index for index, pair in enumerate(measured) if _chain_of(pair.kind) == "activations"]
    last = max((index for index in chain if judged[index].status != "ok"), default=None)
    if last is None:
        return None
    first = next(index for index in chain if judged[index].status != "ok")
    known = {_content(pair) for pair in measured[:first]}
    later = (
        index
        for index in chain
        if index > last and not _are_parallel(measured[index], measured[last])
        # A scale, or what an encoder gave and the model gives again at its end, comes from nothing wrong.
        if not _is_constant(measured[index]) and _content(measured[index]) not in known
    )
    found = next(later, None)
    return None if found is None or any(word.status != "ok" for word in judged[found:]) else found


def _content(pair: Measured) -> tuple[int, SideFigures] | None:
    return None if pair.measures is None else (pair.measures.elements, pair.measures.expected)


def _is_constant(pair: Measured) -> bool:
    return pair.measures is None or not pair.measures.expected.std


def _decide(pairs: int, first: int | None, expected: int | None, actual: int | None) -> Verdict:
    sides = [count for count in (expected, actual) if count is not None]
    if not pairs or (sides and 2 * pairs < min(sides)):
        return "insufficient"
    return "match" if first is None else "differ"


def _tell_right(pair: Measured) -> str:
    if pair.measures is None or pair.measures.is_equal:
        return "equal"
    return f"relative error {pair.measures.finite_relative_error:.2g}"


def _tell(
    verdict: Verdict,
    measured: Sequence[Measured],
    judged: Sequence[Judged],
    first: int | None,
    healed_at: int | None,
) -> str:
    if verdict == "insufficient" and first is None:
        if not measured:
            return "nothing could be paired"
        return (
            "1 pair is too few to say" if len(measured) == 1 else f"{len(measured)} pairs are too few to say"
        )
    if first is None:
        return f"all {len(measured)} pairs match"
    text = f"{measured[first].name} is the first that differs: {judged[first].reason}"
    if healed_at is not None:
        text += f"; right again from {measured[healed_at].name} on"
    return text if verdict == "differ" else f"too few pairs to say, but {text}"
