"""One entry examined: each exam in each variant, against torch alone."""

__all__ = ["examine"]

import contextlib
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from bench.oracle.entries import exams
from bench.oracle.exam import Exam, Outcome
from bench.oracle.options import Entry, Options
from bench.oracle.rowchoice import Picker
from bench.oracle.side import Plain, Processes, Workers
from bench.oracle.variants import Variant, variants
from bench.oracle.verdict import difference, judge_exception
from bench.oracle.words import WORDS

_KEPT = 6
"""Cases that are not equal, written out for one entry, for each word and phase."""


class Late(BaseException):
    """A case took too long. Not an Exception: nothing that is examined may swallow it."""


def examine(
    entry: Entry,
    options: Options,
    say: Callable[[str], None] = lambda case: None,
    without: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """A plain record; `say` is told the name of each case before it runs, those of `without` are left out."""
    started = time.perf_counter()
    words: Counter[tuple[str, str]] = Counter()
    kept: list[dict[str, str]] = []
    seen: dict[str, set[str]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for exam in exams(entry, options.seed, options.samples):
            if options.case is not None and not options.case.startswith(f"{exam.name}@"):
                continue
            for case, found in _cases(entry, exam, options, seen, say, without):
                for phase, (word, said) in found.items():
                    words[phase, word] += 1
                    if (
                        word != "equal"
                        and sum(k["word"] == word and k["phase"] == phase for k in kept) < _KEPT
                    ):
                        kept.append({"case": case, "phase": phase, "word": word, "said": said})
    return {
        "database": entry.database,
        "name": entry.name,
        "world_size": entry.world_size,
        "seed": options.seed,
        "engine": options.engine,
        "seconds": round(time.perf_counter() - started, 3),
        "forward": _worst(words, "forward"),
        "backward": _worst(words, "backward"),
        "cases": {f"{phase} {word}": count for (phase, word), count in sorted(words.items())},
        "kept": kept,
        "rows": {op: sorted(rows) for op, rows in sorted(seen.items())},
    }


def _cases(
    entry: Entry,
    exam: Exam,
    options: Options,
    seen: dict[str, set[str]],
    say: Callable[[str], None],
    without: frozenset[str],
) -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    plain = Plain()
    expected = exam.run(plain)
    shapes = [tuple(given.shape) for given, _ in plain.moved.values()]
    elements = plain.elements
    most = options.variants if not exam.name.startswith("error/") else 1
    key = f"{entry}/{exam.name}/{options.seed}"
    for variant in variants(key, shapes, entry.world_size, most):
        case = f"{exam.name}@{variant.name}"
        if options.case not in (None, case) or case in without:
            continue
        say(case)
        yield case, _judged(entry, exam, variant, expected, elements, options, seen)


def _judged(
    entry: Entry,
    exam: Exam,
    variant: Variant,
    expected: Outcome,
    elements: int,
    options: Options,
    seen: dict[str, set[str]],
) -> dict[str, tuple[str, str]]:
    choose = Picker(entry.world_size, variant.seed, seen)
    kind = Workers if options.engine == "simulated" else Processes
    side = kind(entry.world_size, variant.where, choose)
    try:
        with _deadline(options.timeout_seconds), side.active():
            actual = exam.run(side)
    except Late:
        return {"forward": ("hang", f"no answer within {options.timeout_seconds:g} s")}
    found: dict[str, tuple[str, str]] = {}
    for phase in ("forward", "backward"):
        stopped = actual.error is not None and actual.phase == phase
        should = expected.error if expected.phase == phase else None
        if stopped:
            assert actual.error is not None
            found[phase] = judge_exception(actual.error, should)
            return found
        if should is not None:
            text = f"{type(should).__name__}: {str(should)[:200]}"
            # Values of workers lie in no memory, so that nothing is read where it is written.
            is_overlap = "refer to a single memory location" in text
            word = ("equal", "") if is_overlap else ("error", f"accepted; torch alone raises {text}")
            found[phase] = word
            return found
        said = difference(
            getattr(actual, phase), getattr(expected, phase), elements=elements, entry=entry.name
        )
        if said is not None:
            found[phase] = ("silent", said)
        elif getattr(expected, phase):
            found[phase] = ("equal", "")
    return found


def _worst(words: Counter[tuple[str, str]], phase: str) -> str | None:
    return next((word for word in WORDS if words[phase, word]), None)


@contextlib.contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    def late(number: int, frame: Any) -> None:
        raise Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
