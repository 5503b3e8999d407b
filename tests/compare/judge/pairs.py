"""Pairs for the judge, written out by their figures."""

import dataclasses
import math
import zlib

import torch

from outgrow.compare.judge import Measured, judge
from outgrow.compare.measures import Measures, SideFigures
from outgrow.compare.sample import SampleFigures

U = {torch.float32: 2.0**-24, torch.bfloat16: 2.0**-8}
STAGES = ("norm", "query", "key", "value", "post_attn", "pre_mlp", "post_mlp")


def side(*, nan=0, inf=0, mean=0.0):
    return SideFigures(
        mean=mean, std=1.0, minimum=-4.0, maximum=4.0, nan=nan, inf=inf, first_nan=(0,) if nan else None
    )


def measures(
    error=0.0, *, dtype=torch.float32, actual_dtype=None, elements=10_000, nan=0, inf=0, peak=None,
    exponents=None, mismatched=None, outside=None, lost=0, digits=(24, 24), max_abs=None, scale=1.0,
    shift=0.0,
):  # fmt: skip
    """Of numbers with mean 0 and deviation 1; `peak` is the largest distance, 4.5 errors where not given."""
    if mismatched is None:
        mismatched = 0 if error == 0 and not nan and not inf else elements
    largest = max_abs if max_abs is not None else math.inf if nan or inf else peak or 4.5 * error
    octave = math.frexp(error)[1] if error else 0
    spread = {octave - step: elements >> step for step in range(1, 12)} | {
        octave: elements // 3,
        octave + 1: 9,
    }
    return Measures(
        shape=(elements,),
        expected_dtype=dtype,
        actual_dtype=actual_dtype or dtype,
        elements=elements,
        mismatched=mismatched,
        outside=mismatched if outside is None else outside,
        max_abs=largest if mismatched else 0.0,
        max_abs_index=(0,) if mismatched else None,
        relative_error=math.inf if nan or inf else error,
        mse=error**2,
        max_ulp=1,
        cosine=1.0,
        scale=scale,
        finite_relative_error=error,
        distance_exponents=exponents if exponents is not None else spread if mismatched else {},
        expected=side(),
        actual=side(nan=nan, inf=inf, mean=shift),
        expected_at_max=0.0 if mismatched else None,
        size_at_max=1.0 if mismatched else None,
        sample=SampleFigures(
            elements=min(1024, elements), expected_digits=digits[0], actual_digits=digits[1], lost=lost
        )
        if mismatched
        else None,
    )


def pair(name, error=0.0, *, kind="outputs", layer=None, stage=None, **figures):
    """`3_query` is of layer 3 and stage `query`."""
    number, _, rest = name.partition("_")
    if layer is None and number.isdigit():
        layer, stage = int(number), stage or rest
    found = measures(error, **figures)
    # No two tensors are the same one.
    expected = dataclasses.replace(found.expected, minimum=-4.0 - zlib.crc32(name.encode()) * 2.0**-32)
    found = dataclasses.replace(found, expected=expected)
    return Measured(name=name, stage=stage or name, layer=layer, kind=kind, measures=found)


def run(errors, **figures):
    """Pairs of whole layers: an error for each stage, or one for all."""
    return [
        pair(f"{layer}_{stage}", error, **figures)
        for layer, row in enumerate(errors)
        for stage, error in zip(STAGES, row if isinstance(row, list | tuple) else [row] * 7, strict=True)
    ]


def words(judgement):
    return [word.status for word in judgement.judged]


def verdict(pairs, **options):
    judgement = judge(pairs, **options)
    first = judgement.first_divergence
    return judgement.verdict, None if first is None else pairs[first].name
