"""The window's state machine, driven by hand."""

from outgrow.stream.residency import Residency
from outgrow.stream.weights import Footprint


def footprint(nbytes, alignment=64):
    return Footprint(nbytes=nbytes, alignment=alignment, lead=0, is_in_place=False, read_bytes=nbytes)


def machine(window=300, order=(0, 1, 2, 3), sizes=(100, 100, 100, 100), lookahead=None):
    prints = {piece: footprint(nbytes, 1) for piece, nbytes in enumerate(sizes)}
    return Residency(window_bytes=window, footprints=prints, order=order, lookahead=lookahead)


def told(fetches):
    """Instructions as (piece, first byte, urgent)."""
    return [(fetch.ticket.piece, fetch.ticket.begin, fetch.is_urgent) for fetch in fetches]


def load(residency, fetches):
    """Answer instructions, and those that follow, until there are none."""
    pending = list(fetches)
    while pending:
        pending.extend(residency.loaded(pending.pop(0).ticket))
        residency.check()
