"""One case, drawn, compared and written down as a JSON value."""

__all__ = ["DIAGNOSES", "measure_case"]

import math
from typing import Any

from bench.planted.case import draw_case
from bench.planted.outcome import examine, judge_alone

DIAGNOSES: dict[str, tuple[str, ...]] = {
    "heads_permuted": ("permutation",),
    "halves_swapped": ("permutation",),
    "token_shift": ("shift",),
    "embedding_shifted": ("shift",),
    "constant_factor": ("constant_factor",),
    "embedding_scaled": ("constant_factor",),
    "scale_missing": ("constant_factor",),
    "rank_order": ("wrong_rank_order",),
    "rank_order_healed": ("wrong_rank_order",),
    "all_reduce_missing": ("missing_all_reduce",),
    "nan_born": ("nan_born",),
    "inf_born": ("nan_born",),
    "bad_element": ("bad_element",),
    "dtype_downgrade": ("dtype_downgrade",),
    "weight_transposed": ("transposed",),
}
"""For kinds of faults that have one: the diagnoses that are right at the tensor in which it was planted."""
_UNDIAGNOSABLE = {("rank_order", "post_attn_pre_resid"), ("rank_order", "post_mlp")}
"""Where the tensor itself is not in another order, but computed from one that is."""


def measure_case(task: tuple[int, str, str, bool]) -> dict[str, Any]:
    """`task` is seed, kind, dtype, and whether only the judge is to be examined."""
    seed, kind, dtype, is_judge_alone = task
    case = draw_case(seed, kind, dtype)
    outcome = judge_alone(case) if is_judge_alone else examine(case)
    right = DIAGNOSES.get(kind) if case.is_at_fault else None
    if case.truth is not None and (kind, case.truth.stage) in _UNDIAGNOSABLE:
        right = None
    if kind == "weight_transposed" and "parameters" not in case.variant.families:
        right = None
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
        "truth": None if case.truth is None else "/".join(sorted(case.wrong_parameters)) or str(case.truth),
        "effect": _finite(case.effect),
        "noise": _finite(case.noise),
        "effect_over_noise": _finite(case.ratio),
        "is_below_rounding": case.is_below_rounding,
        "word": outcome.word,
        "said": outcome.said,
        "diagnoses": list(outcome.diagnoses),
        "is_diagnosed": None
        if right is None or case.is_below_rounding or is_judge_alone
        else any(diagnosis in right for diagnosis in outcome.diagnoses),
        "unmeasured": list(outcome.unmeasured),
        "wrong_layouts": list(outcome.wrong_layouts),
        "unpaired": list(outcome.unpaired),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
