"""Put the rows of an enumeration together into the one small file that policies are compared on."""

__all__ = ["add_row", "read_rows", "table_of"]

import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.evolve_decisions.actions import ACTIONS
from bench.evolve_decisions.enumeration import BATCH
from bench.evolve_decisions.tasks import DEPTH, TASKS
from outgrow.evolve.policies.environment import TABLE_FORMAT


def table_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Tables of the tasks and seeds of which every branch is there; losses in nats, rounded to four digits.

    A row is one branch: `task`, `seed`, the `action` that it began with (-1 for the segment before the first)
    and `nodes` by path.
    """
    by_run: dict[tuple[str, int], dict[str, Any]] = {}
    branches: dict[tuple[str, int], set[int]] = {}
    for row in rows:
        run = row["task"], row["seed"]
        by_run.setdefault(run, {}).update(row["nodes"])
        branches.setdefault(run, set()).add(row["action"])
    whole = set(range(-1, len(ACTIONS)))
    tasks: dict[str, Any] = {}
    for name in TASKS:
        runs = [by_run[run] for run in sorted(by_run) if run[0] == name and branches[run] == whole]
        if runs:
            tasks[name] = _task(name, runs)
    return {"format": TABLE_FORMAT, "depth": DEPTH, "actions": [list(one) for one in ACTIONS], "tasks": tasks}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; one that a kill cut short is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def add_row(path: Path, row: dict[str, Any]) -> None:
    """Append a row; after it returns, a kill cannot take it away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_whole = not path.exists() or not path.stat().st_size or path.read_bytes().endswith(b"\n")
    with path.open("a") as file:
        file.write(("" if is_whole else "\n") + json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _task(name: str, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    task = TASKS[name]
    paths = [
        path
        for depth in range(DEPTH + 1)
        for path in map("".join, itertools.product("01234"[: len(ACTIONS)], repeat=depth))
        if path in runs[0]
    ]
    decided = [path for path in paths if len(path) < DEPTH]
    layers = {path: [row[:5] for row in runs[0][path]["layers"]] for path in decided}
    macs = sum(row[4] for row in layers[""])
    return {
        "data": task.data,
        "start": list(task.start),
        "steps": task.steps,
        "lr": task.lr,
        "segment_macs": task.steps * BATCH * macs,
        "paths": paths,
        "layers": layers,
        "seeds": [
            {
                **{
                    figure: [round(run[path][figure], 4) for path in paths]
                    for figure in ("validation", "test", "probe")
                },
                "train": [round(run[path]["train"], 3) for path in decided],
                "gradient": [[round(row[5], 3) for row in run[path]["layers"]] for path in decided],
                "redundancy": [[round(row[6], 3) for row in run[path]["layers"]] for path in decided],
            }
            for run in runs
        ],
    }
