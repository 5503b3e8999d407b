"""A graph of ATen ops read from JSON and run, op after op: no class, no pickle, no code from the file."""

__all__ = ["GraphUnreadable", "Program", "read_program"]

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from outgrow.errors import InputError, nearest_names
from outgrow.evolve.archive.literals import Reference, decode, references
from outgrow.evolve.archive.size_functions import size_function

_FORBIDDEN = frozenset({"from_file", "set_", "set_data", "resize_", "_resize_output_", "record_stream"})
"""ATen ops that reach beyond the values they are given."""


class GraphUnreadable(InputError):
    """The graph in an archive needs something that this torch has not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    run: Callable[..., Any]
    arguments: list[Any]
    keywords: dict[str, Any]
    result: int
    dropped: tuple[int, ...]
    """Values that nobody needs after this step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A graph that can be run."""

    inputs: tuple[int, ...]
    """The number that each input's value gets."""
    steps: tuple[_Step, ...]
    """The ops, in order."""
    outputs: list[Any]
    """The values that come out: references, or numbers as they are."""

    def run(self, values: Sequence[Any]) -> list[Any]:
        """Give the outputs for the inputs' values; what ops write into, they write into."""
        held = dict(zip(self.inputs, values, strict=True))
        for step in self.steps:
            held[step.result] = step.run(
                *(_filled(each, held) for each in step.arguments),
                **{name: _filled(each, held) for name, each in step.keywords.items()},
            )
            for number in step.dropped:
                held.pop(number, None)
        return [_filled(each, held) for each in self.outputs]


def read_program(graph: Mapping[str, Any], device: torch.device) -> Program:
    """A program from the JSON of a graph, whose own device is `device`.

    Raises:
        GraphUnreadable: an op that this torch has not, or that no archive may call.
        ValueError: it makes no sense.
    """
    known = set(graph["inputs"])
    steps = []
    for entry in graph["steps"]:
        arguments = decode(entry["args"], device)
        keywords = {name: decode(value, device) for name, value in entry.get("kwargs", {}).items()}
        needed = set(references([arguments, keywords]))
        if not needed <= known or type(entry["to"]) is not int:
            raise ValueError("a step needs values that come later")
        known.add(entry["to"])
        run = _block(entry, device) if "block" in entry else _function(entry["op"])
        steps.append((run, arguments, keywords, entry["to"], needed))
    outputs = decode(graph["outputs"], device)
    lasting = set(references(outputs))
    if not lasting <= known:
        raise ValueError("an output is computed nowhere")
    finished: list[_Step] = []
    for run, arguments, keywords, result, needed in reversed(steps):
        dropped = (needed | {result}) - lasting
        lasting |= dropped
        finished.append(
            _Step(run=run, arguments=arguments, keywords=keywords, result=result, dropped=tuple(dropped))
        )
    return Program(inputs=tuple(graph["inputs"]), steps=tuple(reversed(finished)), outputs=outputs)


def _filled(value: Any, held: Mapping[int, Any]) -> Any:
    if isinstance(value, Reference):
        return held[value.number]
    if isinstance(value, list):
        return [_filled(each, held) for each in value]
    return value


def _function(name: str) -> Callable[..., Any]:
    function = size_function(name)
    if function is not None:
        return function
    space, _, rest = name.partition(".")
    packet, _, overload = rest.partition(".")
    if space != "aten" or packet in _FORBIDDEN:
        raise GraphUnreadable(
            f"the graph calls {name!r}, which no archive may",
            hint="evolve.load(path, model=...) puts edits and weights onto the model's own class",
        )
    found = getattr(getattr(torch.ops.aten, packet, None), overload or "default", None)
    if not isinstance(found, torch._ops.OpOverload):
        near = nearest_names(packet, dir(torch.ops.aten))
        raise GraphUnreadable(
            f"the graph calls the op {name!r}, which torch {torch.__version__} has not"
            + (f"; it has {', '.join(near)}" if near else ""),
            hint="use the torch that the archive names, or evolve.load(path, model=...), which puts edits "
            "and weights onto the model's own class",
        )
    return found


def _block(entry: Mapping[str, Any], device: torch.device) -> Callable[..., Any]:
    """Steps under a mode of torch: without gradients, or under autocast."""
    program = read_program(entry["block"], device)
    mode = decode(entry["mode"]["args"], device)
    kind = entry["mode"]["kind"]
    if kind == "grad":
        (is_enabled,) = mode
        return lambda *values: _run_in(torch.set_grad_enabled(is_enabled), program, values)
    if kind == "autocast":
        device_type, dtype, is_enabled, cache = mode
        return lambda *values: _run_in(
            torch.autocast(device_type, dtype=dtype, enabled=is_enabled, cache_enabled=cache), program, values
        )
    raise GraphUnreadable(
        f"the graph has a block of the kind {kind!r}, which this outgrow does not know",
        hint="update outgrow, or give evolve.load the model's own class with model=",
    )


def _run_in(mode: contextlib.AbstractContextManager[Any], program: Program, values: Sequence[Any]) -> Any:
    with mode:
        return program.run(values)
