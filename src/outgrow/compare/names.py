"""Which tensor of one run answers which of the other, by their names."""

__all__ = ["pair_records"]

from collections.abc import Mapping, Sequence

from outgrow.capture.recording import Recording
from outgrow.compare.pair import Pair, Pairing


def pair_records(
    expected: Recording, actual: Sequence[Recording], *, name_map: Mapping[str, str] | None = None
) -> Pairing:
    """Pair by name. `actual` are the ranks of one run, in order; a recording may hold several itself."""
    by_name = {record.name: record for record in actual[0].records}
    pairs = [
        Pair(expected=record, actual=(by_name[record.name],), stage=record.name, layer=None, how="identical")
        for record in expected.records
        if record.name in by_name
    ]
    names = {pair.expected.name for pair in pairs}
    return Pairing(
        pairs=tuple(pairs),
        unpaired_expected=tuple(record for record in expected.records if record.name not in names),
        unpaired_actual=tuple(record for record in actual[0].records if record.name not in names),
        near={},
    )
