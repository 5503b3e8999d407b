"""From weights, their order of use and a budget to a plan: what stays, what streams, and how large the window
is. Pure.

Access is cyclic: every pass uses the same weights in the same order. Then a static resident set is optimal
(Belady 1966: an LRU of any size below the whole has no hits), and what streams is spread evenly over the
pass, so that the disk never waits for memory and computation never waits for a burst.
"""

__all__ = ["BudgetTooSmall", "Plan", "least_budget", "make_plan"]

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from outgrow.errors import InputError
from outgrow.quantities import format_bytes
from outgrow.stream.resident_set import most_together, spread
from outgrow.stream.weights import (
    PAGE_BYTES,
    STAGED_CHUNK_BYTES,
    Footprint,
    Piece,
    Use,
    Weight,
    cut_weight,
    footprint,
    round_up,
    staging_for,
)

PIECES_IN_BUDGET = 16
"""A weight is cut into tiles of at most this part of the budget, so that a window of a few tiles stays
small."""
TILE_LEAST_BYTES = 1 << 20
TILE_MOST_BYTES = 24 << 20
"""Larger tiles gain no bandwidth; smaller ones cost a call to the kernel each."""
SMALL_BYTES = 64 << 10
"""Norms, biases and whatever else is at most this size stays in memory: a read each would cost more than they
take."""
STAGING_PART = 32
"""All threads' staging memory together is at most about this part of the budget."""
WINDOW_PIECES = 4
"""The first window holds this many of the largest piece: one in use, one ready, two on their way."""
WINDOW_SHARE = 4
"""... but at most this part of the budget."""


class BudgetTooSmall(InputError):
    """No plan fits the budget; `least_bytes` is the least budget that one fits."""

    def __init__(self, message: str, *, hint: str | None = None, least_bytes: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.least_bytes = least_bytes


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What stays in memory, what streams, and in which order."""

    budget_bytes: int
    """Most that weights in memory, window and staging memory may take together."""
    window_bytes: int
    """Memory that streamed pieces pass through; 0 where nothing streams."""
    staging_bytes: int
    """Memory that reads pass through which cannot go straight to their place; 0 where none do."""
    pieces: tuple[Piece, ...]
    """All pieces of all weights, by index."""
    resident: frozenset[int]
    """Pieces that stay in memory."""
    order: tuple[int, ...]
    """Pieces that stream, in order of use over one pass; a piece used twice is in it twice."""
    gathered: frozenset[int]
    """Weights (by index) that are never read whole: tables whose rows are read one by one."""
    chunk_bytes: int = STAGED_CHUNK_BYTES
    """Most bytes of one read through staging memory."""
    in_place: bool = True
    """Whether the disk can write straight into the window."""
    staging_counts: bool = True
    """Whether staging memory is part of the budget: pinned main memory in front of a GPU is not."""

    @cached_property
    def footprints(self) -> Mapping[int, Footprint]:
        """Footprint of every piece, by index."""
        return {piece.index: footprint(piece, in_place=self.in_place) for piece in self.pieces}

    @cached_property
    def pieces_of(self) -> Mapping[int, tuple[Piece, ...]]:
        """Pieces of every weight, by the weight's index, in order of rows."""
        found: dict[int, list[Piece]] = {}
        for piece in self.pieces:
            found.setdefault(piece.weight.index, []).append(piece)
        return {index: tuple(pieces) for index, pieces in found.items()}

    @cached_property
    def resident_bytes(self) -> int:
        """Memory of the resident set. Resident weights lie in memory of exactly their size."""
        return sum(self.pieces[index].nbytes for index in self.resident)

    @property
    def reserved_bytes(self) -> int:
        """All memory that the plan takes; never above the budget."""
        return self.resident_bytes + self.window_bytes + self.counted_staging_bytes

    @property
    def counted_staging_bytes(self) -> int:
        """Staging memory that is part of the budget."""
        return self.staging_bytes if self.staging_counts else 0

    @cached_property
    def pass_bytes(self) -> int:
        """Bytes that one pass reads from disk, single rows of tables not counted."""
        return sum(self.footprints[index].read_bytes for index in self.order)

    @cached_property
    def weights_bytes(self) -> int:
        """Bytes of all weights as they would be in memory."""
        return sum(piece.nbytes for piece in self.pieces)

    @property
    def streams_nothing(self) -> bool:
        """Whether every weight is resident, so that streaming costs nothing."""
        return len(self.resident) == len(self.pieces)


def make_plan(
    weights: Sequence[Weight],
    *,
    budget_bytes: int,
    order: Sequence[int],
    io_threads: int = 4,
    groups: Sequence[Sequence[int]] = (),
    window_bytes: int | None = None,
    keep_resident: frozenset[int] = frozenset(),
    in_place: bool = True,
    staged_bytes: int | None = None,
) -> Plan:
    """The plan for `weights` within `budget_bytes`.

    Args:
        weights: all weights, by index.
        budget_bytes: most memory for resident weights, window and staging memory.
        order: indices of weights in the order in which one pass uses them; one that is never used is not in
            it.
        io_threads: how many threads read; each needs staging memory where reads cannot go in place.
        groups: weights that are in use at the same time: those of a module, and of modules within which it
            runs.
        window_bytes: size of the window, clamped to what is possible; None for the default.
        keep_resident: weights that must stay in memory whole.
        in_place: whether the disk can write straight into the window; into a GPU's memory it cannot.
        staged_bytes: most bytes of one read through staging memory that lies outside of the budget; None
            where staging memory is part of the budget, so that its size follows from that.

    Raises:
        BudgetTooSmall: no plan fits; its message and `least_bytes` name the least budget that one fits.
    """
    total = sum(weight.nbytes for weight in weights)
    if total <= budget_bytes:
        pieces = _pieces(weights, limit_bytes=total)
        return Plan(
            budget_bytes=budget_bytes,
            window_bytes=0,
            staging_bytes=0,
            pieces=pieces,
            resident=frozenset(piece.index for piece in pieces),
            order=(),
            gathered=frozenset(),
            in_place=in_place,
            staging_counts=staged_bytes is None,
        )
    plan = _streamed_plan(
        _Asked(
            weights=weights,
            budget_bytes=budget_bytes,
            order=order,
            io_threads=io_threads,
            groups=groups,
            window_bytes=window_bytes,
            keep_resident=keep_resident,
            in_place=in_place,
            staged_bytes=staged_bytes,
        )
    )
    if plan is None:
        least = least_budget(
            weights,
            order=order,
            io_threads=io_threads,
            groups=groups,
            keep_resident=keep_resident,
            in_place=in_place,
            staged_bytes=staged_bytes,
        )
        largest = max(weights, key=lambda weight: weight.nbytes)
        raise BudgetTooSmall(
            f"a budget of {format_bytes(budget_bytes)} ({budget_bytes:,} bytes) cannot run this model: its "
            f"weights take {format_bytes(total)}, the largest is {largest.name!r} with "
            f"{format_bytes(largest.nbytes)}",
            hint=f"the least budget that works is {least:,} bytes ({format_bytes(least)}); more of it runs "
            "faster",
            least_bytes=least,
        )
    return plan


def least_budget(
    weights: Sequence[Weight],
    *,
    order: Sequence[int],
    io_threads: int = 4,
    groups: Sequence[Sequence[int]] = (),
    keep_resident: frozenset[int] = frozenset(),
    in_place: bool = True,
    staged_bytes: int | None = None,
) -> int:
    """The least budget in bytes that `make_plan` takes, to within 2 %."""

    def fits(some: Sequence[Weight], used: Sequence[int], kept: frozenset[int], budget_bytes: int) -> bool:
        together = groups if some is weights else ()
        asked = _Asked(
            weights=some,
            budget_bytes=budget_bytes,
            order=used,
            io_threads=io_threads,
            groups=together,
            window_bytes=None,
            keep_resident=kept,
            in_place=in_place,
            staged_bytes=staged_bytes,
        )
        return _streamed_plan(asked) is not None

    # Of many equal weights one tells as much as all, and the least budget of 70 billion parameters takes no
    # minute.
    few, kept = _representatives(weights, keep_resident)
    high = max(sum(weight.nbytes for weight in weights), 1)
    low = 1
    while high - low > max(high // 50, PAGE_BYTES):
        middle = math.isqrt(low * high)
        if fits(few, range(len(few)), kept, middle):
            high = middle
        else:
            low = middle
    while not fits(weights, order, keep_resident, high):
        high += max(high // 50, PAGE_BYTES)
    return high


def _representatives(
    weights: Sequence[Weight], keep_resident: frozenset[int]
) -> tuple[list[Weight], frozenset[int]]:
    """One of each kind of weight, besides those that may stay in memory in any case; and which of them
    must."""
    chosen: list[Weight] = []
    seen: set[object] = set()
    for weight in weights:
        kind = (
            weight.shape,
            weight.dtype,
            weight.source.dtype,
            weight.use,
            weight.source.codec,
            weight.stride,
        )
        if weight.index in keep_resident or weight.nbytes <= SMALL_BYTES or kind not in seen:
            chosen.append(weight)
            seen.add(kind)
    kept = frozenset(place for place, weight in enumerate(chosen) if weight.index in keep_resident)
    return [replace(weight, index=place) for place, weight in enumerate(chosen)], kept


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a plan is asked for; the arguments of `make_plan`."""

    weights: Sequence[Weight]
    budget_bytes: int
    order: Sequence[int]
    io_threads: int
    groups: Sequence[Sequence[int]]
    window_bytes: int | None
    keep_resident: frozenset[int]
    in_place: bool
    staged_bytes: int | None


def _streamed_plan(asked: _Asked) -> Plan | None:
    """The plan in which something streams; None where it does not fit."""
    limit = min(max(asked.budget_bytes // PIECES_IN_BUDGET, TILE_LEAST_BYTES), TILE_MOST_BYTES)
    # A budget of kilobytes is a toy: there even small tiles and small weights have to stream. So have small
    # weights in a model of nothing else. The smallest tiles last: they take the smallest window.
    limit = min(limit, asked.budget_bytes // 4)
    small = min(SMALL_BYTES, asked.budget_bytes // 256)
    for tile_bytes, small_bytes in ((limit, small), (limit, 0), (1, small), (1, 0)):
        plan = _plan_keeping(asked, tile_bytes, small_bytes)
        if plan is not None:
            return plan
    return None


def _plan_keeping(asked: _Asked, tile_bytes: int, small_bytes: int) -> Plan | None:
    """The plan with tiles of about `tile_bytes` in which weights of up to `small_bytes` stay.

    None where it does not fit.
    """
    pieces = _pieces(asked.weights, limit_bytes=tile_bytes)
    prints = {piece.index: footprint(piece, in_place=asked.in_place) for piece in pieces}
    used = Counter(asked.order)
    by_weight: dict[int, list[Piece]] = {}
    for piece in pieces:
        by_weight.setdefault(piece.weight.index, []).append(piece)

    resident: set[int] = set()
    for piece in pieces:
        weight = piece.weight
        if weight.index in asked.keep_resident or weight.nbytes <= small_bytes:
            resident.add(piece.index)
    streamed = [
        piece.index
        for index in asked.order
        if asked.weights[index].use is not Use.GATHER
        for piece in by_weight[index]
        if piece.index not in resident
    ]
    chunk_bytes = min(
        max(asked.budget_bytes // STAGING_PART // asked.io_threads, PAGE_BYTES), STAGED_CHUNK_BYTES
    )
    chunk_bytes = asked.staged_bytes or chunk_bytes
    held = sum(pieces[index].nbytes for index in resident)
    # Whatever may ever come through the window: a pass may use weights that none before it did.
    passing = [
        piece for piece in pieces if piece.index not in resident and piece.weight.use is not Use.GATHER
    ]
    if held + sum(piece.nbytes for piece in passing) <= asked.budget_bytes:
        # All but tables fits, and tables need no window.
        resident.update(piece.index for piece in passing)
        held = sum(pieces[index].nbytes for index in resident)
        passing, streamed = [], []
    staged = (piece for piece in passing if not prints[piece.index].is_in_place)
    staging = asked.io_threads * staging_for(staged, chunk_bytes)
    largest = max((prints[piece.index].nbytes for piece in passing), default=0)
    least_window = round_up(
        max(largest, most_together(asked.groups, by_weight, resident, prints)), PAGE_BYTES
    )
    left = asked.budget_bytes - held - (0 if asked.staged_bytes else staging)
    if left < least_window:
        return None
    wish = WINDOW_PIECES * largest if asked.window_bytes is None else asked.window_bytes
    share = left // WINDOW_SHARE if asked.window_bytes is None else left
    window = round_up(max(least_window, min(wish, share)), PAGE_BYTES)
    window = min(window, left // PAGE_BYTES * PAGE_BYTES)
    window = window if passing else 0
    left -= window

    for index in spread(streamed, used, pieces, left):
        resident.add(index)
        left -= pieces[index].nbytes
    # What the order never shows: tables read by row, then weights that no pass used. Last, since streaming
    # them is free.
    ordered = set(streamed)
    rest = [piece.index for piece in pieces if piece.index not in resident and piece.index not in ordered]
    for index in sorted(rest, key=lambda index: pieces[index].weight.use is not Use.GATHER):
        if pieces[index].nbytes <= left:
            resident.add(index)
            left -= pieces[index].nbytes
    gathered = frozenset(
        weight.index
        for weight in asked.weights
        if weight.use is Use.GATHER and any(piece.index not in resident for piece in by_weight[weight.index])
    )
    return Plan(
        budget_bytes=asked.budget_bytes,
        window_bytes=window,
        staging_bytes=staging,
        pieces=pieces,
        resident=frozenset(resident),
        order=tuple(index for index in streamed if index not in resident),
        gathered=gathered,
        chunk_bytes=chunk_bytes,
        in_place=asked.in_place,
        staging_counts=asked.staged_bytes is None,
    )


def _pieces(weights: Sequence[Weight], *, limit_bytes: int) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for weight in weights:
        for first, last in cut_weight(weight, limit_bytes):
            pieces.append(Piece(index=len(pieces), weight=weight, first_row=first, last_row=last))
    return tuple(pieces)
