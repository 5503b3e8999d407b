"""Edits as JSON, and done again."""

__all__ = ["edits_as_json", "edits_from_json"]

import dataclasses
from collections.abc import Iterable
from typing import Any

from outgrow.evolve.edit import Edit


def edits_as_json(edits: Iterable[Edit]) -> list[dict[str, Any]]:
    """Each edit by its fields."""
    return [dataclasses.asdict(edit) for edit in edits]


def edits_from_json(held: Iterable[dict[str, Any]]) -> tuple[Edit, ...]:
    """What `edits_as_json` gave."""
    return tuple(Edit(**each) for each in held)
