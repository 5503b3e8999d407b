"""Layouts: the same numbers, put otherwise; found from the data, voted per stage."""

__all__ = [
    "Chain",
    "Concatenate",
    "Identity",
    "Layout",
    "PartialSum",
    "Rearrange",
    "Replicated",
    "Sections",
    "Stack",
    "StageLayout",
    "check_hints",
    "find_stage_layouts",
    "group_of",
    "hint_of",
]

from outgrow.compare.layout.chain import Chain
from outgrow.compare.layout.layout import Identity, Layout
from outgrow.compare.layout.ranks import Concatenate, PartialSum, Replicated, Sections, Stack
from outgrow.compare.layout.rearrange import Rearrange
from outgrow.compare.layout.stage import StageLayout, check_hints, find_stage_layouts, group_of
from outgrow.compare.layout.written import hint_of
