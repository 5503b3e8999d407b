"""Finished runs, one JSON line each, so that a killed sweep goes on where it stopped."""

__all__ = ["Key", "Ledger"]

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What makes a run the run it is."""

    arm: str
    """Name of the arm."""
    budget: float
    """In units of 1x."""
    lr: float
    """Peak learning rate."""
    seed: int
    """Of weights, order of batches and growth."""
    split: str
    """`tune` (test data closed) or `final` (fresh seeds, test data opened)."""


class Ledger:
    """An append-only file of runs; a line that a kill cut short is ignored and run again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[Key, dict[str, Any]] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:
                    continue
                self.rows[Key(**row["key"])] = row

    def __contains__(self, key: Key) -> bool:
        return key in self.rows

    def add(self, key: Key, figures: dict[str, Any]) -> dict[str, Any]:
        """Append one run and make sure that it reached the disk."""
        row = {"key": asdict(key), **figures}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = (
            not self.path.exists() or self.path.read_bytes().endswith(b"\n") or not self.path.stat().st_size
        )
        with self.path.open("a") as file:
            file.write(("" if whole else "\n") + json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.rows[key] = row
        return row

    def find(self, **wanted: Any) -> list[dict[str, Any]]:
        """All rows whose key has these values, by seed."""
        found = [
            row
            for key, row in self.rows.items()
            if all(getattr(key, name) == value for name, value in wanted.items())
        ]
        return sorted(found, key=lambda row: row["key"]["seed"])
