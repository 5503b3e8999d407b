"""Replay runs whose every sequence of decisions was trained once: deciding is free, outcomes are known."""

__all__ = ["TABLE_FORMAT", "DecisionTable", "Replay", "TableInvalid"]

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outgrow.errors import InputError
from outgrow.evolve.policies.attention_figures import LayerFigures
from outgrow.evolve.policies.attention_state import OPERATORS, AttentionState, RunFigures, encode

TABLE_FORMAT = 1
"""What `DecisionTable.read` understands."""


class TableInvalid(InputError):
    """A file is no table of decisions, or not a whole one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionTable:
    """Every sequence of decisions of one task, for several seeds.

    A *path* is the sequence of the actions that were taken, a digit each; digit 0 is doing nothing. Before
    each decision and after the last one a segment is trained, all with equal FLOPs. What cannot be done is
    not in the table.
    """

    task: str
    """Name of the task."""
    data: str
    """Name of its data set."""
    actions: tuple[tuple[str, str], ...]
    """Operator and layer of each digit; those of digit 0 are empty or `none`."""
    depth: int
    """Decisions of a run."""
    segment_macs: float
    """Multiply-adds that each segment may spend, counted as forward passes."""
    paths: tuple[str, ...]
    """All of them; the shorter ones first."""
    layers: Mapping[str, tuple[tuple[str, str, int, int, float], ...]]
    """By path of a node where it is decided: each layer's name, kind, width, parameters, multiply-adds."""
    seeds: tuple[Mapping[str, Mapping[str, Any]], ...]
    """For each seed by path: `validation`, `test` and `probe` (a quarter into the segment, validation) losses
    in nats; where it is decided also `train`, and lists `gradient` and `redundancy` of the layers."""

    @classmethod
    def read(cls, path: Path) -> "dict[str, DecisionTable]":
        """The tables of a file, by name of the task.

        Raises:
            TableInvalid: it is no such file, of another format, or lacks a figure.
        """
        try:
            record = json.loads(path.read_text())
            if record["format"] != TABLE_FORMAT:
                raise TableInvalid(
                    f"{path.name} has format {record['format']}, this is {TABLE_FORMAT}",
                    hint="make the table anew: python -m bench evolve_decisions",
                )
            return {name: _table(name, record, record["tasks"][name]) for name in record["tasks"]}
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, IndexError, ValueError) as err:
            if isinstance(err, TableInvalid):
                raise
            raise TableInvalid(
                f"{path.name} is no table of decisions: {type(err).__name__}: {err}",
                hint="python -m bench evolve_decisions makes one",
            ) from err

    def following(self, path: str) -> tuple[int, ...]:
        """The digits that can follow, in order; empty after the last decision."""
        known = self.seeds[0]
        return tuple(digit for digit in range(len(self.actions)) if f"{path}{digit}" in known)

    def final(self, path: str) -> str:
        """The end of the run in which nothing more is changed."""
        return path + "0" * (self.depth - len(path))

    def loss(self, path: str, *, seed: int | None = None, split: str = "validation") -> float:
        """The loss at a node in nats: that of one seed, or the mean over all of them."""
        if seed is not None:
            return float(self.seeds[seed][path][split])
        return sum(float(one[path][split]) for one in self.seeds) / len(self.seeds)

    def ends(self) -> tuple[str, ...]:
        """The paths of whole runs."""
        return tuple(path for path in self.paths if len(path) == self.depth)

    def optimum(self, *, seed: int | None = None, split: str = "validation") -> str:
        """The run with the least loss."""
        return min(self.ends(), key=lambda path: self.loss(path, seed=seed, split=split))

    def regret(self, path: str, *, seed: int | None = None, split: str = "validation") -> float:
        """How much more loss a whole run ends with than the best one, in nats."""
        best = self.optimum(seed=seed, split=split)
        return self.loss(path, seed=seed, split=split) - self.loss(best, seed=seed, split=split)

    def reward(self, path: str, digit: int, *, seed: int | None = None) -> float:
        """What one decision is worth: by which share of the unchanged run's final loss the end comes lower.

        Ends are compared after which, and before which, nothing more is changed: doing nothing is worth
        exactly 0, and the rewards of a run add up to what the whole run gained.
        """
        if digit == 0:
            return 0.0
        before = self.loss(self.final(path), seed=seed)
        after = self.loss(self.final(f"{path}{digit}"), seed=seed)
        return (before - after) / self.loss(self.final(""), seed=seed)

    def state(self, path: str, *, seed: int) -> AttentionState:
        """What a policy sees at a node, from the figures of one seed."""
        here = self.seeds[seed][path]
        rows = self.layers[path]
        figures = [
            LayerFigures(
                name=name,
                kind=kind,
                width=width,
                parameters=parameters,
                macs=macs,
                gradient=gradient,
                redundancy=redundancy,
            )
            for (name, kind, width, parameters, macs), gradient, redundancy in zip(
                rows, here["gradient"], here["redundancy"], strict=True
            )
        ]
        left = self.depth - len(path)
        previous = self.seeds[seed][path[:-1]]["validation"] if path else here["validation"]
        run = RunFigures(
            progress=1 - left / (self.depth + 1),
            samples_left=left * self.segment_macs / sum(row[4] for row in rows),
            validation=here["validation"],
            previous=previous,
            train=here["train"],
        )
        return encode(figures, run, [self.actions[digit] for digit in self.following(path) if digit])

    def action(self, path: str, digit: int) -> int:
        """The number that a digit has among the scores of `state(path)`."""
        if digit == 0:
            return 0
        operator, layer = self.actions[digit]
        names = [row[0] for row in self.layers[path]]
        return 1 + names.index(layer) * len(OPERATORS) + OPERATORS.index(operator)

    def digit(self, path: str, action: int) -> int:
        """The digit that has this number among the scores.

        Raises:
            InputError: it cannot be done here.
        """
        for digit in self.following(path):
            if self.action(path, digit) == action:
                return digit
        raise InputError(
            f"action {action} cannot be done after {path!r}", hint="respect the mask of the state"
        )


class Replay:
    """One run through a table, a decision at a time."""

    def __init__(self, table: DecisionTable, seed: int) -> None:
        if not 0 <= seed < len(table.seeds):
            raise InputError(f"no seed {seed} in {table.task}", hint=f"seeds are 0 to {len(table.seeds) - 1}")
        self.table, self.seed, self.path = table, seed, ""

    def reset(self) -> AttentionState:
        """Begin again."""
        self.path = ""
        return self.table.state("", seed=self.seed)

    def step(self, action: int) -> tuple[AttentionState | None, float, bool]:
        """Decide.

        Returns what is seen next (None at the end), the reward and whether this was the last decision.

        Raises:
            InputError: the action is masked here, or the run is over.
        """
        if len(self.path) == self.table.depth:
            raise InputError("the run is over", hint="call reset")
        digit = self.table.digit(self.path, action)
        reward = self.table.reward(self.path, digit, seed=self.seed)
        self.path += str(digit)
        done = len(self.path) == self.table.depth
        return None if done else self.table.state(self.path, seed=self.seed), reward, done


def _table(name: str, record: Mapping[str, Any], task: Mapping[str, Any]) -> DecisionTable:
    paths = tuple(task["paths"])
    depth = int(record["depth"])
    layers = {
        path: tuple((str(a), str(b), int(c), int(d), float(e)) for a, b, c, d, e in task["layers"][path])
        for path in paths
        if len(path) < depth
    }
    return DecisionTable(
        task=name,
        data=task["data"],
        actions=tuple((operator, layer) for operator, layer in record["actions"]),
        depth=depth,
        segment_macs=float(task["segment_macs"]),
        paths=paths,
        layers=layers,
        seeds=tuple(_seed(paths, depth, seed) for seed in task["seeds"]),
    )


def _seed(paths: Sequence[str], depth: int, seed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {path: {} for path in paths}
    for figure in ("validation", "test", "probe"):
        for path, value in zip(paths, seed[figure], strict=True):
            found[path][figure] = value
    decided = [path for path in paths if len(path) < depth]
    for figure in ("train", "gradient", "redundancy"):
        for path, value in zip(decided, seed[figure], strict=True):
            found[path][figure] = value
    return found
