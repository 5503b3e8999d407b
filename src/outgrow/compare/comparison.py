"""Two runs, side by side: from what the user gives to the verdict."""

__all__ = ["Comparison", "compare"]

import contextlib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from os import PathLike
from types import TracebackType
from typing import Literal, Self

from torch import Tensor

from outgrow.capture.recording import Recording, Refusal
from outgrow.compare.diagnosis import Diagnosis, diagnose
from outgrow.compare.finding import Finding
from outgrow.compare.in_order import in_order
from outgrow.compare.judge import (
    Judgement,
    Measured,
    Precision,
    Rules,
    as_computed,
    find_precisions,
    is_too_fine,
    is_unseen,
    judge,
)
from outgrow.compare.layout import StageLayout, check_hints, find_stage_layouts
from outgrow.compare.layout.simplified import simplified
from outgrow.compare.lease import Lease
from outgrow.compare.measures import Measures, measure
from outgrow.compare.memory import Memory, key_of
from outgrow.compare.names import NameMap, NameRule, pair_records, parse_name_map
from outgrow.compare.pair import Pair, Pairing
from outgrow.compare.readers import open_recording
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.opening import Source
from outgrow.compare.sample import SampleFigures, sample
from outgrow.errors import InputError, nearest_names
from outgrow.events import Listener, Progress, ignore


class Comparison:
    """What there is to say of two runs. Names are paired at once; tensors are read when the first answer that
    needs them is asked for, and never all at a time. Close it, or use it in `with`."""

    def __init__(
        self,
        expected: Recording,
        actual: Sequence[Recording],
        pairing: Pairing,
        *,
        name_map: NameMap | None = None,
        rules: Rules | None = None,
        is_exact: bool = False,
        listener: Listener = ignore,
        lease: Lease | None = None,
        memory: Memory | None = None,
    ) -> None:
        """Use `compare`."""
        self.expected = expected
        self.actual = tuple(actual)
        self.pairing = pairing
        self.name_map = name_map or NameMap(rules=())
        """The user's word on names and layouts."""
        self.rules = rules
        self.is_exact = is_exact
        self._listener = listener
        self._lease = Lease((expected, *actual)) if lease is None else lease
        self._memory = Memory() if memory is None else memory

    def remapped(
        self, name_map: NameMap | Sequence[NameRule], *, listener: Listener | None = None
    ) -> "Comparison":
        """The same runs under another map, which takes the place of the one before: what `compare` with it
        would say, but of pairs that stay the same nothing is read again. Both comparisons can be used, and
        both are to be closed: the runs are closed with the last one.

        Args:
            name_map: the whole map. Without rules everything is paired as if there never was one.
            listener: told how far it has come; where none is given, that of this comparison.

        Raises:
            InputError: a rule names what is not there, two of them want the same tensor, or a layout does not
                fit. Nothing has changed then.
        """
        rules = name_map if isinstance(name_map, NameMap) else NameMap(rules=tuple(name_map))
        pairing = _paired(self.expected, self.actual, rules, self.rules)
        return Comparison(
            self.expected,
            self.actual,
            pairing,
            name_map=rules,
            rules=self.rules,
            is_exact=self.is_exact,
            listener=listener or self._listener,
            lease=self._lease.share(),
            memory=self._memory,
        )

    @cached_property
    def layouts(self) -> tuple[StageLayout, ...]:
        """How the actual tensors have to be put, a layout for each pair."""
        return tuple(find_stage_layouts(self.pairing.pairs, memory=self._memory))

    @cached_property
    def judgement(self) -> Judgement:
        """The verdict, and a word on each pair."""
        expected, actual = self._sizes()
        return judge(
            as_computed(self._measured, self.precisions),
            rules=self.rules,
            exact=self.is_exact,
            expected_records=expected,
            actual_records=actual,
        )

    @cached_property
    def precisions(self) -> tuple[Precision, ...]:
        """Sides that computed in a coarser dtype than they were saved in; they are judged by what they
        computed in. Not looked for where tolerances were given."""
        if self.rules is not None or self.is_exact:
            return ()
        return tuple(found for found in find_precisions(self._measured) if self._holds_where_equal(found))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed of both runs, for the reader."""
        return (*self.pairing.notes, *map(str, self.precisions))

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """A row for each pair, in order of execution."""
        rows = zip(self.pairing.pairs, self.layouts, self._measured, self.judgement.judged, strict=True)
        return tuple(
            Finding(pair=pair, layout=layout, measures=measured.measures, judged=judged)
            for pair, layout, measured, judged in rows
        )

    @cached_property
    def diagnoses(self) -> tuple[Diagnosis, ...]:
        """What probably happened, where there is evidence."""
        return diagnose(self.findings, read=self.tensors)

    @property
    def verdict(self) -> Literal["match", "differ", "insufficient"]:
        """`match`, `differ`, or `insufficient` where too few tensors could be paired to say."""
        return self.judgement.verdict

    @property
    def first_divergence(self) -> Finding | None:
        """The first pair, in order of execution, that went wrong."""
        index = self.judgement.first_divergence
        return None if index is None else self.findings[index]

    @property
    def healed_at(self) -> Finding | None:
        """The first pair after it from which on all is right again."""
        index = self.judgement.healed_at
        return None if index is None else self.findings[index]

    @property
    def refused(self) -> tuple[Refusal, ...]:
        """What was met on either side and not compared; once where several sides refuse the same."""
        sides = (self.expected, *self.actual)
        return tuple(dict.fromkeys(refusal for side in sides for refusal in side.refused))

    def tensors(self, finding: Finding) -> tuple[Tensor, Tensor]:
        """The actual tensor as it was laid out, and the expected one: equal shapes.

        Raises:
            InputError: no layout was found for this pair.
            StoreError: the bytes cannot be read.
        """
        return _tensors(finding.pair, finding.layout)

    def __repr__(self) -> str:
        return f"<Comparison of {self.expected.label!r} and {[rank.label for rank in self.actual]}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from outgrow.compare.report import as_notebook  # which reads comparisons

        return as_notebook(self)

    def close(self) -> None:
        """Close both runs, unless another comparison of them is open; may be called twice."""
        self._lease.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _holds_where_equal(self, precision: Precision) -> bool:
        """Whether no tensor that is equal on both sides speaks against it."""
        rows = zip(self.pairing.pairs, self.layouts, self._measured, strict=True)
        unseen = ((pair, layout) for pair, layout, row in rows if is_unseen(row, precision))
        return not any(is_too_fine(self._sample(pair, layout), precision) for pair, layout in unseen)

    def _sample(self, pair: Pair, layout: StageLayout) -> SampleFigures:
        return self._memory.recall(
            ("sample", *_laid_out(pair, layout)), lambda: sample(*_tensors(pair, layout))
        )

    def _sizes(self) -> tuple[int, int]:
        """How many tensors each side has to pair. Each part of a fused one counts, as its pair does; what was
        refused counts where the other side has something that it could have answered."""
        pairing = self.pairing
        here, there = len(pairing.unpaired_expected), len(pairing.unpaired_actual)
        refused = len(self.expected.refused), sum(len(rank.refused) for rank in self.actual)
        pairs = len(pairing.pairs)
        return pairs + here + min(refused[0], there), pairs + there + min(refused[1], here)

    @cached_property
    def _measured(self) -> tuple[Measured, ...]:
        pairs = self.pairing.pairs
        total, done = sum(pair.expected.nbytes for pair in pairs), 0
        measured = []
        # Reading, the arithmetic and what is made of it go on at the same time.
        rows = zip(pairs, self.layouts, strict=True)
        known = [self._memory.has(("measures", *_laid_out(pair, layout))) for pair, layout in rows]
        sizes = [
            0 if is_known else 2 * pair.expected.nbytes for pair, is_known in zip(pairs, known, strict=True)
        ]
        with contextlib.closing(in_order(self._measures, sizes)) as found:
            for pair, layout in zip(pairs, self.layouts, strict=True):
                self._listener(Progress(task="comparing", done=done, total=total, item=pair.expected_name))
                measured.append(
                    Measured(
                        name=pair.expected_name,
                        stage=pair.stage,
                        layer=pair.layer,
                        kind=pair.expected.kind,
                        measures=next(found),
                        reason=layout.reason,
                    )
                )
                done += pair.expected.nbytes
        self._listener(Progress(task="comparing", done=done, total=total))
        return tuple(measured)

    def _measures(self, index: int) -> Measures | None:
        pair, layout = self.pairing.pairs[index], self.layouts[index]
        if layout.layout is None:
            return None
        rtol, atol = (0.0, 0.0) if self.rules is None else self.rules.tolerance(pair.expected_name)
        return self._memory.recall(
            ("measures", *_laid_out(pair, layout)),
            lambda: measure(*_tensors(pair, layout), rtol=rtol, atol=atol),
        )


def compare(
    *,
    expected: Source,
    actual: Source | Sequence[Source],
    only: str = "*",
    name_map: NameMap | str | PathLike[str] | Mapping[str, str | None] | None = None,
    rules: Rules | None = None,
    is_exact: bool = False,
    limits: Limits | None = None,
    listener: Listener = ignore,
) -> Comparison:
    """Compare two runs. Keywords only, since others order the two the other way round.

    Args:
        expected: the run that is right: a path (recording, folder, archive, file) or tensors by name.
        actual: the run in question, or one for each of its ranks, in order.
        only: glob over names; others are left out on both sides.
        name_map: which expected name answers which actual one, or the path of a file that says so.
        rules: tolerances, where the judge should not find out by itself what is too far.
        is_exact: any number that is not equal is a difference.
        limits: on what is read from files.
        listener: told how far it has come.

    Raises:
        InputError: a path does not exist or holds nothing to compare, or the map is wrong.
        StoreError: a file cannot be read.
    """
    sources: list[Source] = [*actual] if isinstance(actual, list | tuple) else [actual]  # type: ignore[list-item]
    if not sources:
        raise InputError("there is no actual run to compare", hint="give at least one")
    with contextlib.ExitStack() as opened:
        sides = [
            opened.enter_context(open_recording(source, limits=limits, only=only, listener=listener))
            for source in (expected, *sources)
        ]
        mapped = name_map if isinstance(name_map, NameMap) else parse_name_map(name_map or {})
        pairing = _paired(sides[0], sides[1:], mapped, rules)
        opened.pop_all()
    return Comparison(
        sides[0],
        sides[1:],
        pairing,
        name_map=mapped,
        rules=rules,
        is_exact=is_exact,
        listener=listener,
    )


def _paired(
    expected: Recording, actual: Sequence[Recording], name_map: NameMap, rules: Rules | None
) -> Pairing:
    """Pairs, after all that can be wrong in what the user said of them was looked at."""
    pairing = pair_records(expected, actual, name_map=name_map if name_map.rules else None)
    if rules is not None:
        _check_fit(rules, pairing)
    check_hints(pairing.pairs)
    return pairing


def _check_fit(rules: Rules, pairing: Pairing) -> None:
    """A tolerance for a mistyped name would be none at all."""
    names = [pair.expected_name for pair in pairing.pairs]
    for pattern, _, _ in rules.patterns:
        if names and not any(fnmatchcase(name, pattern) for name in names):
            near = ", ".join(map(repr, nearest_names(pattern, names) or names[:3]))
            raise InputError(f"no tensor fits the rule for {pattern!r}", hint=f"there are {near}")


def _laid_out(pair: Pair, layout: StageLayout) -> tuple[object, ...]:
    """What the numbers of a pair depend on, besides the tolerances."""
    made = None if layout.layout is None else simplified(layout.layout)
    return key_of(pair), made, simplified(layout.expected_layout)


def _tensors(pair: Pair, layout: StageLayout) -> tuple[Tensor, Tensor]:
    if layout.layout is None:
        raise InputError(
            f"{pair.expected_name!r} cannot be laid out like its counterpart: {layout.reason}",
            hint="look at the shapes",
        )
    actual = layout.layout.apply([record.read() for record in pair.actual])
    return actual, layout.expected_layout.apply([pair.expected.read()])
