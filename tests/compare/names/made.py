"""Recordings of names alone, for the tests of pairing."""

import torch

from outgrow.capture.recording import Record, Recording


def record(name, sequence=0, *, shape=(12,), **more):
    return Record(
        name=name,
        sequence=sequence,
        dtype=torch.float32,
        shape=shape,
        read=lambda: torch.zeros(shape),
        **more,
    )


def recording(*names, is_ordered=False, shapes=None, **more):
    """`names` are names or records."""
    records = [
        record(name, index, shape=(shapes or {}).get(name, (12,)), **more) if isinstance(name, str) else name
        for index, name in enumerate(names)
    ]
    return Recording(label="made", records=records, is_ordered=is_ordered)


def layers(numbers, *stages):
    return [f"{number}_{stage}" for number in numbers for stage in stages]


def shown(pairing):
    """Who answers whom."""
    return {pair.expected_name: pair.actual_name for pair in pairing.pairs}
