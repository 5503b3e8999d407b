"""How a model is called: which tensors go in under which names, and of which shapes."""

__all__ = ["CallForm", "call_form_of", "inputs_with"]

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from torch import Tensor, nn

from outgrow.errors import InputError, nearest_names
from outgrow.evolve.archive.structure import NotSaved, nested, structure_of
from outgrow.evolve.example_inputs import ExampleInputs

_ALIKE = {"tuple": "list", "output": "dict", "named": "dict"}
"""Containers that a caller may exchange for one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallForm:
    """The one way in which a saved graph can be called."""

    names: tuple[str, ...]
    """The arguments of `forward`, in order: positional ones are known by them."""
    arguments: tuple[tuple[str, Any], ...]
    """Each argument with its nesting, as `structure_of` gives it."""
    tensors: tuple[Mapping[str, Any], ...]
    """Of each tensor in them its `dtype`, and its `shape` with None for the size of the batch."""
    smallest: int | None
    """The least size of the batch; None where it is fixed."""

    def as_json(self) -> dict[str, Any]:
        """All by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> Self:
        """What `as_json` gave, after it was read from a file."""
        return cls(
            names=tuple(held["names"]),
            arguments=tuple((name, structure) for name, structure in held["arguments"]),
            tensors=tuple(held["tensors"]),
            smallest=held["smallest"],
        )

    def leaves(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
        """The tensors of a call, in the graph's order.

        Raises:
            InputError: it is not called so; says how.
        """
        given = self._by_name(args, kwargs)
        found: list[Any] = []
        for name, expected in self.arguments:
            if name not in given:
                if "plain" in expected:
                    continue
                known = ", ".join(name for name, _ in self.arguments)
                raise InputError(f"the argument {name!r} is missing", hint=f"the graph takes {known}")
            leaves: list[Any] = []
            actual = structure_of(given[name], leaves, [], name)
            if _alike(actual) != _alike(expected):
                raise InputError(
                    f"the argument {name!r} is not of the form that the archive was saved with",
                    hint=f"the graph was made for {_words(expected)}; save it again to call it otherwise",
                )
            found += leaves
        self._check(found)
        return found

    def _by_name(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        if len(args) > len(self.names):
            raise InputError(
                f"the model is called with {len(args)} positional arguments, and it has {len(self.names)}",
                hint=f"they are {', '.join(self.names)}",
            )
        given = dict(zip(self.names, args, strict=False))
        known = [name for name, _ in self.arguments]
        for name, value in kwargs.items():
            if name in given:
                raise InputError(
                    f"the argument {name!r} is given twice", hint="give it by name or by position"
                )
            given[name] = value
        for name, value in given.items():
            if name not in known and value is not None:
                near = ", ".join(nearest_names(name, known) or known)
                raise InputError(
                    f"the graph has no argument {name!r}",
                    hint=f"it was saved with {near}; save it again to call it otherwise",
                )
        return given

    def _check(self, found: Sequence[Tensor]) -> None:
        sizes = set()
        for number, (tensor, expected) in enumerate(zip(found, self.tensors, strict=True)):
            shape, dtype = expected["shape"], expected["dtype"]
            if str(tensor.dtype).removeprefix("torch.") != dtype:
                raise InputError(
                    f"input {number} is of {tensor.dtype}, expected torch.{dtype}",
                    hint="convert it, or save the model again with such example inputs",
                )
            fits = tensor.dim() == len(shape) and all(
                size is None or size == here for size, here in zip(shape, tensor.shape, strict=True)
            )
            if not fits:
                words = ", ".join("batch" if size is None else str(size) for size in shape)
                raise InputError(
                    f"input {number} has the shape {list(tensor.shape)}, expected [{words}]",
                    hint="a graph has the shapes that it was saved with; save the model again with others",
                )
            # While somebody traces the model again, a size may be a symbol.
            sizes |= {
                here
                for size, here in zip(shape, tensor.shape, strict=True)
                if size is None and isinstance(here, int)
            }
        if len(sizes) > 1:
            raise InputError(
                f"the inputs have batches of {' and '.join(map(str, sorted(sizes)))}",
                hint="give all of them one size",
            )
        if sizes and min(sizes) < (self.smallest or 0):
            raise InputError(
                f"the batch has {min(sizes)}, and the graph needs {self.smallest} at least",
                hint="repeat a row and leave its output out",
            )


def call_form_of(
    model: nn.Module, inputs: ExampleInputs
) -> tuple[list[str], list[tuple[str, Any]], list[Tensor]]:
    """The names of `forward`'s arguments, the nesting of each that is given, and the tensors in them.

    Raises:
        NotSaved: an argument is of a kind that no archive can hold.
    """
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [
        parameter.name
        for parameter in inspect.signature(model.forward).parameters.values()
        if parameter.kind in kinds
    ]
    # What goes into `*args` has no name of its own.
    names += [f"argument_{number}" for number in range(len(names), len(inputs.args))]
    given = dict(zip(names, inputs.args, strict=False)) | dict(inputs.kwargs)
    arguments, tensors = [], []
    for name, value in given.items():
        leaves: list[Any] = []
        left_out: list[str] = []
        arguments.append((name, structure_of(value, leaves, left_out, name)))
        if left_out:
            raise NotSaved(
                f"the argument {left_out[0]} cannot be kept in an archive",
                hint="give example inputs that hold tensors, numbers and text",
            )
        tensors += leaves
    return names, arguments, tensors


def inputs_with(
    arguments: Sequence[tuple[str, Any]], positional: int, tensors: Sequence[Any]
) -> ExampleInputs:
    """A call with these tensors in the places of those that `call_form_of` found; the first `positional`
    arguments go by position."""
    values, at = {}, 0
    for name, structure in arguments:
        count = _count(structure)
        values[name] = nested(structure, tensors[at : at + count])
        at += count
    names = list(values)
    return ExampleInputs(
        args=tuple(values[name] for name in names[:positional]),
        kwargs={name: values[name] for name in names[positional:]},
    )


def _count(structure: Any) -> int:
    if isinstance(structure, list):
        return sum(_count(each) for each in structure)
    if not isinstance(structure, dict):
        return 0
    return 1 if "leaf" in structure else sum(_count(each) for each in structure.values())


def _alike(structure: Any) -> Any:
    if isinstance(structure, list):
        return [_alike(each) for each in structure]
    if not isinstance(structure, dict):
        return structure
    ((kind, held),) = structure.items()
    return {_ALIKE.get(kind, kind): held if kind in ("leaf", "plain") else _alike(held)}


def _words(structure: Any) -> str:
    ((kind, held),) = structure.items()
    return {"leaf": "a tensor", "plain": f"{held!r}"}.get(kind, f"a {kind}")
