"""What was decided about a program's steps, and why: `gt.explain()`."""

__all__ = ["Explanation", "explain"]

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from outgrow.errors import InputError
from outgrow.shard.client.session import Session, default_session
from outgrow.shard.client.tensor import WorkersTensor


class Explanation:
    """Text where it is printed, a picture in notebooks and files."""

    def __init__(self, answer: dict[str, Any], names: Mapping[int, str] | None = None) -> None:
        """`names` are those of inputs of the first step, by their place."""
        self.answer = answer
        """What the workers said: `world_size` and `cycles`, plain JSON."""
        self.names = dict(names or {})
        """Of inputs of the first step."""

    def __str__(self) -> str:
        from outgrow.shard.planner.explanation import explanation_text

        return explanation_text(self.answer, self.names)

    __repr__ = __str__

    def _repr_svg_(self) -> str | None:
        return self.picture() if self.answer["cycles"] else None

    def sentence(self, *, cycle: int = 0) -> str:
        """How one repeated step runs, in a line; `cycle` counts them from 0."""
        from outgrow.shard.planner.explanation import cycle_sentence

        cycles = self.answer["cycles"]
        return cycle_sentence(cycles[cycle]) if cycle < len(cycles) else "nothing has repeated: op by op"

    def picture(self, *, cycle: int = 0) -> str:
        """One repeated step as the text of an SVG file; `cycle` counts them from 0."""
        from outgrow.shard.planner.picture import picture

        if not 0 <= cycle < len(self.answer["cycles"]):
            count = len(self.answer["cycles"])
            raise InputError(
                f"there is no step {cycle} among {count} that were repeated",
                hint="a step is planned once it was seen twice; explain after some of them",
            )
        return picture(self.answer, self.names if cycle == 0 else None, cycle=cycle)

    def save(self, path: str | os.PathLike[str], *, cycle: int = 0) -> None:
        """Write the picture, an SVG file.

        Raises:
            InputError: the file cannot be written, or nothing has been planned.
        """
        drawn = self.picture(cycle=cycle)
        try:
            Path(path).write_text(drawn, encoding="utf-8")
        except OSError as err:
            raise InputError(
                f"cannot write the picture {os.fspath(path)!r}: {err.strerror}",
                hint="give a file in a directory that exists and that you may write to",
            ) from err


def explain(*holders: Any) -> Explanation:
    """How the steps of this program run: candidates with what they were predicted and measured to take, where
    every tensor lies and why, and what is exchanged. Waits for what was sent before.

    Modules and optimizers that are given lend their names to what they hold: `explain(model, optimizer)`.
    """
    session = default_session()
    answer = session.ask("explain")
    return Explanation(answer, _names_of_inputs(answer, session, dict(_named(holders))))


def _named(holders: Iterable[Any]) -> Iterator[tuple[int, str]]:
    """From the number of a value that is held now to the name it has there."""
    titles: dict[int, str] = {}
    for holder in holders:
        if hasattr(holder, "named_parameters"):
            buffers = holder.named_buffers() if hasattr(holder, "named_buffers") else ()
            for name, tensor in itertools.chain(holder.named_parameters(), buffers):
                titles[id(tensor)] = name
                if isinstance(tensor, WorkersTensor):
                    yield tensor._read_value().number, name
        elif isinstance(holder, torch.optim.Optimizer):
            for parameter, state in holder.state.items():
                for kind, tensor in state.items():
                    if isinstance(tensor, WorkersTensor):
                        of = titles.get(id(parameter), "a parameter")
                        yield tensor._read_value().number, f"{kind} of {of}"
        else:
            raise InputError(
                f"{type(holder).__name__} has no names to lend",
                hint="give modules and optimizers to explain()",
            )


def _names_of_inputs(answer: dict[str, Any], session: Session, named: dict[int, str]) -> dict[int, str]:
    """Names of the first step's inputs, of what it changed as of what it did not."""
    if not answer["cycles"] or not named or len(answer["cycles"][0]["calls"]) != 1:
        return {}
    # All candidates answer one problem; those that leave everything to one worker list nothing.
    candidates = (one["details"].get("leaves") for one in answer["cycles"][0]["candidates"])
    leaves = next((leaves for leaves in candidates if leaves), ())
    segment = int(answer["cycles"][0]["calls"][0].partition(":")[0])
    inputs, live, outputs = session.latest.get(segment, ((), (), ()))
    becomes = dict(zip(live, outputs, strict=True))
    found = {}
    for leaf in leaves:
        number = leaf["input"]
        value = becomes.get(leaf.get("becomes"), inputs[number] if number < len(inputs) else None)
        if value in named:
            found[number] = named[value]
    return found
