"""Which tensor of one run answers which of the other, by their names."""

__all__ = [
    "FAMILIES",
    "Family",
    "NameMap",
    "NameRule",
    "make_rule",
    "pair_records",
    "parse_name_map",
    "text_of",
]

from outgrow.compare.names.families import FAMILIES, Family
from outgrow.compare.names.name_map import NameMap, NameRule, make_rule, parse_name_map, text_of
from outgrow.compare.names.pairing import pair_records
