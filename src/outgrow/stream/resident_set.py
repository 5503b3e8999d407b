"""Which streamed pieces are worth their memory, and what the others need of it at once. Pure."""

__all__ = ["most_together", "spread"]

from collections import Counter
from collections.abc import Mapping, Sequence

from outgrow.stream.weights import PAGE_BYTES, Footprint, Piece, round_up


def most_together(
    groups: Sequence[Sequence[int]],
    by_weight: Mapping[int, Sequence[Piece]],
    resident: set[int],
    prints: Mapping[int, Footprint],
) -> int:
    """Bytes of window that hold any of `groups` whatever gaps the ring has between those already there."""
    most = 0
    for group in groups:
        passing = [[piece for piece in by_weight[index] if piece.index not in resident] for index in group]
        rounded = [
            [round_up(prints[piece.index].nbytes, PAGE_BYTES) for piece in pieces]
            for pieces in passing
            if pieces
        ]
        sizes = [pieces[0] for pieces in rounded if len(pieces) == 1]
        # Tiles are used one after the other, never together, but while all wholes may be in use.
        tiles = [max(pieces) for pieces in rounded if len(pieces) > 1]
        if tiles:
            sizes.append(max(tiles))
        if len(sizes) > 1:
            # n - 1 pieces in use leave at most n gaps; one of them is large enough if all together are n
            # times as large.
            most = max(most, sum(sizes) + (len(sizes) - 1) * max(sizes))
    return most


def spread(
    streamed: Sequence[int],
    used: Counter[int],
    pieces: Sequence[Piece],
    room_bytes: int,
) -> list[int]:
    """Which streamed pieces to keep within `room_bytes`: the most used first, among equals evenly spread over
    the pass."""
    kept: list[int] = []
    classes: dict[int, list[int]] = {}
    for index in dict.fromkeys(streamed):
        classes.setdefault(used[pieces[index].weight.index], []).append(index)
    for count in sorted(classes, reverse=True):
        members = classes[count]
        total = sum(pieces[index].nbytes for index in members)
        share = min(1.0, room_bytes / total) if total else 0.0
        # Bresenham's line: keep a piece whenever the kept bytes lag behind their share of the bytes gone by.
        debt = 0.0
        for index in members:
            nbytes = pieces[index].nbytes
            debt += share * nbytes
            if debt >= nbytes / 2 and nbytes <= room_bytes:
                kept.append(index)
                room_bytes -= nbytes
                debt -= nbytes
        chosen = set(kept)
        for index in sorted((i for i in members if i not in chosen), key=lambda i: -pieces[i].nbytes):
            if pieces[index].nbytes <= room_bytes:
                kept.append(index)
                room_bytes -= pieces[index].nbytes
    return kept
