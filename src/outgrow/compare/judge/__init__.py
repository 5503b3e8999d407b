"""The judge: from the measures of all pairs to a verdict, by order of execution and without calibration."""

__all__ = [
    "Judged",
    "Judgement",
    "Measured",
    "Precision",
    "Rules",
    "as_computed",
    "find_precisions",
    "is_too_fine",
    "is_unseen",
    "judge",
]

from outgrow.compare.judge.computed import Precision, as_computed, find_precisions, is_too_fine, is_unseen
from outgrow.compare.judge.judgement import Judged, Judgement, Measured
from outgrow.compare.judge.rules import Rules
from outgrow.compare.judge.walk import judge
