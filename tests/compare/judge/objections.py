"""What is said against one pair, with what came before it."""

import torch

from outgrow.compare.judge.evidence import Past, object_to

BF16 = torch.bfloat16
FLOOR = 2.0**-22
"""Of float32: four unit roundoffs."""
HALF_FLOOR = 1.5 * 2.0**-8
"""Of bfloat16: one and a half."""
HALF = {"dtype": BF16, "digits": (8, 8)}


def past(*, error=0.0, peak=0.0, floor=0.0, bias=0.0, growths=(), expected=0.0, actual=0.0):
    return Past(
        error=error, peak=peak, floor=floor, bias=bias, growths=growths,
        roundoffs={"expected": expected, "actual": actual},
    )  # fmt: skip


def objection(found, before=None):
    """Its evidence and reason, or None twice."""
    said, _ = object_to(found, before or past())
    return (None, None) if said is None else (said.evidence, said.reason)


def evidence(found, before=None):
    return objection(found, before)[0]
