"""Two runs by their names alone, paired."""

from outgrow.compare.names import pair_records
from tests.compare.names.made import recording


def paired(expected, actual, **more):
    return pair_records(recording(*expected), [recording(*actual)], **more)


def hows(pairing):
    return {pair.how for pair in pairing.pairs}
