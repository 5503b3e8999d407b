"""Edits as JSON, and done again on another model."""

__all__ = ["edits_as_json", "edits_from_json", "replay"]

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from torch import nn

from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.edits.replay import apply, operator_of


def edits_as_json(edits: Iterable[Edit]) -> list[dict[str, Any]]:
    """Each edit as an object, without the tensors that would undo it."""
    return [json.loads(dataclasses.replace(edit, inverse=None).to_json()) for edit in edits]


def edits_from_json(held: Iterable[dict[str, Any]]) -> tuple[Edit, ...]:
    """What `edits_as_json` gave.

    Raises:
        EditUnreadable: one of them is damaged or of a newer version.
    """
    return tuple(Edit.from_json(json.dumps(each)) for each in held)


def replay(
    model: nn.Module,
    edits: Iterable[Edit],
    *,
    example_inputs: Any,
    optimizer: Any = None,
    scheduler: Any = None,
    ema: Any = None,
    allow: str | None = None,
) -> list[Edit]:
    """Do the same edits again, in order, to a model of the same architecture, in place.

    Shapes come out the same; contents do where the model's weights are those that the edits were made with.

    Args:
        model: changed in place.
        edits: what the operators returned.
        example_inputs: as for the operators.
        optimizer: of the model; its state follows, as at the first time.
        scheduler: of the optimizer.
        ema: an average of the model.
        allow: the weakest promise that is allowed; each edit's own by default.

    Raises:
        InputError: an edit is by an operator that this outgrow does not know; nothing has changed.
        EditUnreadable: an operator takes other arguments than an edit says; nothing has changed.
        SiteNotFound: there is no such site in this model; the edits before that one stay.
        SiteRefused: what was exact with the weights of the first time cannot be with these; the same.
        NotExact: a change moved the outputs further than it did the first time; the ones before it stay.
    """
    edits = list(edits)
    for edit in edits:
        operator_of(edit)
    return [
        apply(
            model,
            edit,
            example_inputs,
            optimizer=optimizer,
            scheduler=scheduler,
            ema=ema,
            allow=allow or edit.promise,
        )
        for edit in edits
    ]
