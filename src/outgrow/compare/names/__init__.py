"""Which tensor of one run answers which of the other, by their names."""

__all__ = ["FAMILIES", "Family", "NameMap", "NameRule", "pair_records", "parse_name_map"]

from outgrow.compare.names.families import FAMILIES, Family
from outgrow.compare.names.name_map import NameMap, NameRule, parse_name_map
from outgrow.compare.names.pairing import pair_records
