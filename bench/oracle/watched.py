"""Ranks whose every piece is looked at: a wrong one may come right by luck before anybody fetches it."""

__all__ = ["WrongPiece", "watch"]

from collections.abc import Sequence
from typing import Any

from outgrow.shard.ranks.executor import Executor
from outgrow.shard.ranks.held import Held
from outgrow.shard.ranks.pieces import piece_shape


class WrongPiece(AssertionError):
    """What a rank holds has not the shape or dtype that its placement says."""


def watch(executor: Executor) -> Executor:
    """Check the shape and dtype of each piece that each op makes, from now on."""
    eager, run = executor.eager, executor.eager._run

    def watched(op: Any, inputs: list[Held], floats: Sequence[float]) -> list[Held]:
        made = run(op, inputs, floats)
        for held in made:
            for lane, rank in enumerate(executor.fabric.lanes):
                piece = held.pieces[lane]
                wanted = piece_shape(held.meta.shape, held.placement, rank, executor.fabric.world_size)
                if piece is not None and (tuple(piece.shape) != wanted or piece.dtype != held.meta.dtype):
                    given = ", ".join(f"{one.placement} {list(one.meta.shape)}" for one in inputs)
                    raise WrongPiece(
                        f"{op.template.op} of {given} gave {list(piece.shape)} {piece.dtype}, expected "
                        f"{list(wanted)} {held.meta.dtype} for {held.placement} {list(held.meta.shape)}"
                    )
        return made

    eager._run = watched  # type: ignore[method-assign]
    return executor
