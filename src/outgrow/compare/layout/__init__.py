"""Layouts: the same numbers, put otherwise; found from the data, voted per stage."""

__all__ = ["Identity", "Layout", "StageLayout", "find_stage_layouts"]

from outgrow.compare.layout.layout import Identity, Layout
from outgrow.compare.layout.stage import StageLayout, find_stage_layouts
