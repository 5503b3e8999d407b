"""What a page asks of one pair of tensors: windows, pictures and places, read when they are asked for."""

__all__ = [
    "MOST_CELLS",
    "Cells",
    "Found",
    "Histogram",
    "PairCells",
    "Query",
    "Side",
    "Spec",
    "Tile",
    "Window",
    "aligned_sides",
    "compare_cells",
    "draw_difference",
    "draw_histogram",
    "draw_tile",
    "find",
    "find_maximum",
    "own_side",
    "read_cells",
]

from outgrow.compare.view.cells import Cells, read_cells
from outgrow.compare.view.find import Found, Query, find, find_maximum
from outgrow.compare.view.histogram import Histogram, draw_histogram
from outgrow.compare.view.pair_cells import PairCells, compare_cells
from outgrow.compare.view.side import Side, aligned_sides, own_side
from outgrow.compare.view.spec import MOST_CELLS, Spec
from outgrow.compare.view.tile import Tile, draw_difference, draw_tile
from outgrow.compare.view.window import Window
