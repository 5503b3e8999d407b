"""The user's word on names and layouts, as the page says and sees it."""

__all__ = ["check_of", "layout_of", "mapping_of", "rules_from"]

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from outgrow.capture.recording import Record, Recording
from outgrow.compare.comparison import Comparison
from outgrow.compare.finding import Finding
from outgrow.compare.layout import Identity, Rearrange, hint_of
from outgrow.compare.layout.by_hand import common_layouts, dims_of, hint_by_hand
from outgrow.compare.layout.chain import split_chain
from outgrow.compare.layout.hint import hear_hint, parse_hint
from outgrow.compare.layout.steps import LayoutStep, check_layout, steps_of
from outgrow.compare.mapping import for_all_layers, mapping_text
from outgrow.compare.names import NameMap, NameRule, make_rule, pair_records, text_of
from outgrow.compare.names.entity import collect
from outgrow.compare.names.known_names import KnownNames
from outgrow.compare.pair import FusedPart
from outgrow.compare.view.plain import shown
from outgrow.errors import InputError

Shape = tuple[int, ...]
_MOST_RULES = 10_000
_MOST_DIMS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Two:
    """The tensors of a rule."""

    expected: Record
    actual: tuple[Record, ...]
    fused: FusedPart | None

    @property
    def shapes(self) -> list[Shape]:
        return [record.shape for record in self.actual]


def mapping_of(comparison: Comparison, *, is_whole: bool) -> dict[str, Any]:
    """The rules, and a file that says them: those of the user, or where `is_whole` all that was found."""
    rules = comparison.name_map.rules
    return {
        "rules": [_shown_rule(rule) for rule in rules],
        "text": mapping_text(comparison) if is_whole else text_of(replace(rule, line=None) for rule in rules),
    }


def rules_from(comparison: Comparison, given: object) -> NameMap:
    """What the page says, with names as it was told them.

    Raises:
        InputError: it is no list of rules.
    """
    if not isinstance(given, list) or len(given) > _MOST_RULES:
        raise InputError(
            "the mapping is no list of rules",
            hint=f"send up to {_MOST_RULES:,} objects with expected, actual and layout",
        )
    names = _Names(comparison)
    rules = tuple(names.found(_rule(entry)) for entry in given)
    twice, times = Counter(rules).most_common(1)[0] if rules else (None, 0)
    if times > 1:
        raise InputError(f"the rule {twice} is there twice", hint="keep one of them")
    text_of(rules)  # which refuses what could not be saved
    return NameMap(rules=rules)


def check_of(comparison: Comparison, body: Mapping[str, Any]) -> dict[str, Any]:
    """What would come of pairing two tensors and laying them out so; nothing is compared.

    `layout` is a text, or null where it is to be found; `pieces` and `order` are as in `hint_by_hand` and say
    a layout by dims. The answer has the usual layouts for these shapes, and the rule for all layers.

    Raises:
        InputError: the body has something that cannot be meant.
    """
    rule = _Names(comparison).found(_rule(body))
    if rule.is_pattern or rule.expected is None or rule.actual is None:
        raise InputError(f"{rule} is not about two tensors", hint="name one of each run")
    two = _two(comparison, rule)
    layout, failure = rule.layout, None
    if "pieces" in body or "order" in body:
        layout, failure = _by_hand(two, body)
    stage = for_all_layers(replace(rule, layout=None))
    answer: dict[str, Any] = {
        "ok": failure is None, "shape": None, "message": failure or "", "steps": [],
        "pieces": None, "order": None, "layout": None if layout is None else shown(layout),
        "expected_shape": list(two.expected.shape),
        "actual_shapes": [list(record.shape) for record in two.actual],
        "common": [
            {"name": one.name, "layout": one.hint}
            for one in common_layouts(two.expected.shape, two.shapes, fused=two.fused)
        ],
        "for_all_layers": None if stage is None else {"expected": stage.sides[0], "actual": stage.sides[1]},
    }  # fmt: skip
    if layout is not None and failure is None:
        found = check_layout(two.expected.shape, two.shapes, layout)
        answer |= {
            "ok": found.is_fit,
            "shape": None if found.shape is None else list(found.shape),
            "message": shown(found.message),
            "steps": [_step(step) for step in found.steps],
        }
        if found.is_fit:
            answer |= _dims(two, layout)
    return answer


def _dims(two: _Two, layout: str) -> dict[str, Any]:
    """The layout as dims set against each other, where it can be put so."""
    told = parse_hint(layout, shapes=two.shapes, target=two.expected.shape)
    first, rest = split_chain(told.layout) if len(two.actual) > 1 else (None, told.layout)
    if isinstance(rest, Identity):
        source = two.shapes[0] if first is None else getattr(first, "shape", ())
        dims = tuple(range(len(source)))
        rest = Rearrange(source=source, atoms=source, order=dims, shape=source)
    found = dims_of(rest) if told.expected_layout.is_identity else None
    return {} if found is None else {"pieces": found[0], "order": found[1]}


def layout_of(finding: Finding) -> dict[str, Any]:
    """What `Detail.layout` says beyond words: the text that says it again, and its picture."""
    pair, found = finding.pair, finding.layout
    assert found.layout is not None, "there is something to say"
    hint = pair.layout_hint or hint_of(found.layout, found.expected_layout)
    shapes = [record.shape for record in pair.actual]
    steps = () if hint is None else steps_of(pair.expected.shape, shapes, hint)
    return {
        "hint": None if hint is None else shown(hint),
        "is_given": pair.layout_hint is not None,
        "steps": [_step(step) for step in steps],
    }


def _two(comparison: Comparison, rule: NameRule) -> _Two:
    """As a comparison under this rule pairs them."""
    for pair in comparison.pairing.pairs:
        if (pair.expected_name, pair.actual_name) == (rule.expected, rule.actual):
            return _Two(expected=pair.expected, actual=pair.actual, fused=pair.fused)
    rules = NameMap(rules=(replace(rule, layout=None),))
    expected = _only(rule.expected or "", (comparison.expected,))
    actual = _only(rule.actual or "", comparison.actual)
    if expected is None or actual is None:
        # Which says what names there are.
        expected, actual = [comparison.expected], list(comparison.actual)
    pairs = [pair for pair in pair_records(expected[0], actual, name_map=rules).pairs if pair.how == "map"]
    if not pairs:
        raise InputError(
            f"{rule} pairs nothing", hint="they are not of one kind, call and step, or one is there twice"
        )
    return _Two(expected=pairs[0].expected, actual=pairs[0].actual, fused=pairs[0].fused)


def _only(name: str, recordings: Sequence[Recording]) -> list[Recording] | None:
    """The same runs with what has this name alone, so that a hundred thousand others need not be paired."""
    known = KnownNames(collect(recordings).entities)
    whole = name if name in known else name.rpartition("[")[0]
    if whole not in known:
        return None
    wanted = {id(record) for entity in known[whole] for record in entity.records.values()}
    return [
        Recording(label=side.label, records=[record for record in side.records if id(record) in wanted])
        for side in recordings
    ]


def _by_hand(two: _Two, body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The layout, or why there is none."""
    first = body.get("layout")
    if first is None and len(two.actual) > 1:
        return None, "say first how the ranks make one tensor: concatenate(0), stack, replicated, sum"
    try:
        shape = two.shapes[0]
        if first is not None:
            shape = hear_hint(str(first), shapes=two.shapes, target=two.expected.shape).shape
        pieces, order = (_lists(body.get(key)) for key in ("pieces", "order"))
        hint = hint_by_hand(shape, pieces, order, two.expected.shape)
    except InputError as err:
        return None, shown(f"{err.message}; {err.hint}" if err.hint else err.message)
    parts = [part for part in (first, hint) if part is not None and part != "identity"]
    return ", ".join(parts) or "identity", None


def _lists(given: object) -> list[list[int]]:
    is_right = (
        isinstance(given, list)
        and len(given) <= _MOST_DIMS
        and all(
            isinstance(one, list) and len(one) <= _MOST_DIMS and all(type(item) is int for item in one)
            for one in given
        )
    )
    if not is_right:
        raise InputError("pieces and order are lists of lists of whole numbers", hint="one for each dim")
    assert isinstance(given, list)
    return given


def _rule(given: object) -> NameRule:
    if not isinstance(given, Mapping):
        raise InputError("a rule is no object", hint="send expected, actual and layout")
    texts = {}
    for key in ("expected", "actual", "layout"):
        text = given.get(key)
        if text is not None and (not isinstance(text, str) or len(text) > 10_000):
            raise InputError(f"{key} of a rule is no text", hint="send names as texts")
        texts[key] = text
    return make_rule(texts["expected"], texts["actual"], texts["layout"] or "")


def _shown_rule(rule: NameRule) -> dict[str, Any]:
    here, there = rule.sides
    layout = None if rule.layout is None else shown(rule.layout)
    return {"expected": shown(here), "actual": shown(there), "layout": layout, "is_pattern": rule.is_pattern}


def _step(step: LayoutStep) -> dict[str, Any]:
    dims = [list(dim) for dim in step.dims]
    return {"side": step.side, "name": step.name, "shape": list(step.shape), "dims": dims}


class _Names:
    """Names as the page was told them, for those that cannot be printed."""

    def __init__(self, comparison: Comparison) -> None:
        self._sides = ((comparison.expected,), comparison.actual)

    def found(self, rule: NameRule) -> NameRule:
        """The same rule with the names as they are."""
        if rule.is_pattern:
            return rule
        here, there = (
            name if name is None or "\\" not in name else self._as_shown[side].get(name, name)
            for side, name in enumerate((rule.expected, rule.actual))
        )
        return replace(rule, expected=here, actual=there)

    @cached_property
    def _as_shown(self) -> tuple[dict[str, str], dict[str, str]]:
        """Of each side the names that are shown otherwise than they are, by what is shown: where that is no
        name itself, and stands for one alone. Once for all rules: to collect a hundred thousand names takes a
        while."""
        expected, actual = (_as_shown(KnownNames(collect(side).entities)) for side in self._sides)
        return expected, actual


def _as_shown(known: KnownNames) -> dict[str, str]:
    found = [(shown(name), name) for name in known if not name.isprintable()]
    counts = Counter(text for text, _ in found)
    return {text: name for text, name in found if counts[text] == 1 and text not in known}
