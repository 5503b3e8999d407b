"""One case, drawn, compared and written down as a JSON value."""

__all__ = ["DIAGNOSES", "measure_case"]

import math
from typing import Any

from bench.planted.case import draw_case
from bench.planted.outcome import examine, judge_alone

DIAGNOSES: dict[str, tuple[str, ...]] = {}
"""For kinds of faults that have one: the diagnoses that are right."""


def measure_case(task: tuple[int, str, str, bool]) -> dict[str, Any]:
    """`task` is seed, kind, dtype, and whether only the judge is to be examined."""
    seed, kind, dtype, is_judge_alone = task
    case = draw_case(seed, kind, dtype)
    outcome = judge_alone(case) if is_judge_alone else examine(case)
    right = DIAGNOSES.get(kind)
    return {
        "seed": seed,
        "kind": kind,
        "dtype": dtype,
        "families": list(case.variant.families),
        "transport": case.variant.transport,
        "is_mirrored": case.variant.is_mirrored,
        "tp": case.tp,
        "layers": case.shape.layers,
        "detail": case.detail,
        "truth": None if case.truth is None else str(case.truth),
        "effect": _finite(case.effect),
        "noise": _finite(case.noise),
        "effect_over_noise": _finite(case.ratio),
        "is_below_rounding": case.is_below_rounding,
        "word": outcome.word,
        "said": outcome.said,
        "diagnoses": list(outcome.diagnoses),
        "is_diagnosed": None
        if right is None or case.is_below_rounding or is_judge_alone
        else any(kind in right for kind in outcome.diagnoses),
        "unmeasured": list(outcome.unmeasured),
        "wrong_layouts": list(outcome.wrong_layouts),
        "unpaired": list(outcome.unpaired),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
