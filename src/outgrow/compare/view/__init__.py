"""What a page asks of one pair of tensors: windows, pictures and places, read when they are asked for."""

__all__ = [
    "MOST_CELLS",
    "Cells",
    "PairCells",
    "Side",
    "Spec",
    "Tile",
    "aligned_sides",
    "compare_cells",
    "draw_difference",
    "draw_tile",
    "own_side",
    "read_cells",
]

from outgrow.compare.view.cells import Cells, read_cells
from outgrow.compare.view.pair_cells import PairCells, compare_cells
from outgrow.compare.view.side import Side, aligned_sides, own_side
from outgrow.compare.view.spec import MOST_CELLS, Spec
from outgrow.compare.view.tile import Tile, draw_difference, draw_tile
