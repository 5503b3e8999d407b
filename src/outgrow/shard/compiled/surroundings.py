"""Everything in Python that a function reads besides its arguments: found once, checked before a replay."""

__all__ = ["Surroundings"]

import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from torch import Tensor, nn

from outgrow.errors import InputError
from outgrow.shard.client.tensor import WorkersTensor

_MOST: Final = 100_000
"""Objects that are looked at."""
_PLAIN: Final = (
    *(int, float, complex, str, bytes, bool, type(None), type(...), range, slice, type),
    *(torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format),
    *(types.BuiltinFunctionType, types.MethodDescriptorType),
)
_TRUSTED: Final = ("torch", "outgrow", "math", "builtins", "operator", "functools", "itertools", "numpy")
"""Packages whose functions and modules keep nothing that a step would change."""
_OWN: Final = (
    "outgrow.shard.client",
    "outgrow.shard.compiled",
    "outgrow.shard.engines",
    "outgrow.shard.wire",
)
_MISSING: Final = object()


class Surroundings:
    """What was found; `still_hold` says whether all of it is what it was.

    Modules and their flags, parameters, buffers and hooks; optimizers with their settings and state;
    whatever else closures, globals and attributes lead to. What cannot be watched is refused by name.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        """Raises InputError where the function leads to something that cannot be watched."""
        self.entries: list[tuple[dict[Any, Any], Any, Any]] = []
        """Dicts, with a key and what it must lead to."""
        self.items: list[tuple[Any, int, Any]] = []
        """Lists, with an index and what must be there."""
        self.cells: list[tuple[types.CellType, Any]] = []
        self.lengths: list[tuple[Any, int]] = []
        self.tensors: dict[int, tuple[WorkersTensor, Any, int, tuple[int, Any, int] | None]] = {}
        """Tensors on workers, their storage, how often it was written, and the same of their gradient.

        Of a gradient, only its identity and weakly its storage: it must go when the next call drops it. Not
        weakly itself: torch swaps no tensor that has a weak reference.
        """
        self.host_tensors: list[tuple[str, Tensor, int]] = []
        """Tensors in this process, with their version."""
        self._seen: dict[int, Any] = {}
        self._look(function, getattr(function, "__qualname__", "the function"))

    def still_hold(self) -> bool:
        """Whether everything is what it was found to be; a few ten nanoseconds for each thing."""
        for entries, key, expected in self.entries:
            now = entries.get(key, _MISSING)
            if now is not expected and not _is_same(now, expected):
                return False
        for items, index, expected in self.items:
            if items[index] is not expected and not _is_same(items[index], expected):
                return False
        for cell, expected in self.cells:
            if cell.cell_contents is not expected and not _is_same(cell.cell_contents, expected):
                return False
        return (
            all(len(one) == count for one, count in self.lengths)
            and all(tensor._version == version for _, tensor, version in self.host_tensors)
            and all(_is_untouched(*known) for known in self.tensors.values())
        )

    def made_anew(self, before: "Surroundings") -> list[WorkersTensor]:
        """Tensors on workers that were not there before, and all gradients: identities may come back."""
        found: list[Any] = []
        for number, (tensor, _, _, gradient) in self.tensors.items():
            if number not in before.tensors:
                found.append(tensor)
            if gradient is not None:
                found.append(tensor.grad)
        return found

    def changed_plainly(self) -> str | None:
        """What a call of the function changed in Python besides tensors on workers; None where nothing."""
        for entries, key, expected in self.entries:
            now = entries.get(key, _MISSING)
            if now is not expected and not _is_same(now, expected) and not isinstance(now, WorkersTensor):
                return f"{key!r} changed from {_short(expected)} to {_short(now)}"
        for one, count in self.lengths:
            if len(one) != count:
                return f"a {type(one).__name__} of {count} grew to {len(one)}"
        for name, tensor, version in self.host_tensors:
            if tensor._version != version:
                return f"{name}, a tensor in this process, was written"
        for cell, expected in self.cells:
            if cell.cell_contents is not expected and not _is_same(cell.cell_contents, expected):
                return f"a variable changed from {_short(expected)} to {_short(cell.cell_contents)}"
        return None

    def _look(self, thing: Any, name: str) -> None:
        todo = [(thing, name)]
        while todo:
            one, called = todo.pop()
            if isinstance(one, _PLAIN) or id(one) in self._seen:
                continue
            self._seen[id(one)] = one
            if len(self._seen) > _MOST:
                raise InputError(
                    f"{name} leads to more than {_MOST} objects", hint="let it reach only what a step needs"
                )
            todo += self._parts(one, called)
        self._seen.clear()

    def _parts(self, one: Any, called: str) -> Iterator[tuple[Any, str]]:
        if isinstance(one, WorkersTensor):
            self.tensors[id(one)] = (one, one._cell, one._cell.version, _gradient(one))
        elif isinstance(one, Tensor):
            self.host_tensors.append((called, one, one._version))
        elif isinstance(one, dict):
            yield from self._dict(one, called)
        elif isinstance(one, (list, tuple, set, frozenset)):
            self.lengths.append((one, len(one)))
            for index, part in enumerate(one):
                if isinstance(one, list):
                    self.items.append((one, index, part))
                yield part, f"{called}[{index}]"
        elif isinstance(one, types.MethodType):
            yield one.__self__, called
            yield one.__func__, called
        elif isinstance(one, types.FunctionType):
            yield from self._function(one, called)
        elif isinstance(one, types.ModuleType):
            if one.__name__.split(".")[0] not in _TRUSTED:
                raise self._refused(called, f"the module {one.__name__}, whose variables may change")
        elif type(one).__module__.startswith(_OWN):
            return  # a session and what belongs to it: changes with every call, and decides nothing
        elif isinstance(one, nn.Module | torch.optim.Optimizer) or hasattr(one, "__dict__"):
            if not isinstance(one, nn.Module | torch.optim.Optimizer) and hasattr(one, "__next__"):
                raise self._refused(called, f"a {type(one).__name__}, which gives something else every time")
            yield from self._dict(vars(one), called)
        elif not callable(one):
            raise self._refused(called, f"a {type(one).__name__}, which cannot be watched")

    def _dict(self, one: dict[Any, Any], called: str) -> Iterator[tuple[Any, str]]:
        self.lengths.append((one, len(one)))
        for key, part in one.items():
            self.entries.append((one, key, part))
            yield part, f"{called}.{key}" if isinstance(key, str) else f"{called}[...]"

    def _function(self, one: types.FunctionType, called: str) -> Iterator[tuple[Any, str]]:
        if (one.__module__ or "").split(".")[0] in _TRUSTED:
            return
        code = one.__code__
        for name, cell in zip(code.co_freevars, one.__closure__ or (), strict=True):
            self.cells.append((cell, cell.cell_contents))
            yield cell.cell_contents, name
        for name in _names(code):
            if name in one.__globals__:
                part = one.__globals__[name]
                self.entries.append((one.__globals__, name, part))
                yield part, name
        if one.__defaults__:
            yield one.__defaults__, called

    def _refused(self, called: str, why: str) -> InputError:
        return InputError(
            f"{called} leads to {why}: the compiled function could not notice a change",
            hint="give it as an argument, or leave the function uncompiled: workers replay it all the same",
        )


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _gradient(tensor: WorkersTensor) -> tuple[int, Any, int] | None:
    gradient: Any = tensor.grad if tensor.is_leaf else None
    if gradient is None:
        return None
    return id(gradient), weakref.ref(gradient._cell), gradient._cell.version


def _is_untouched(
    tensor: WorkersTensor, cell: Any, version: int, gradient: tuple[int, Any, int] | None
) -> bool:
    if tensor._cell is not cell or cell.version != version:
        return False
    now: Any = tensor.grad if tensor.is_leaf else None
    if gradient is None or now is None:
        return gradient is None and now is None
    number, storage, written = gradient
    return id(now) == number and now._cell is storage() and now._cell.version == written


def _is_same(one: Any, other: Any) -> bool:
    """Numbers and texts that are equal, of one type: who sets them again changes nothing."""
    return type(one) is type(other) and isinstance(one, (int, float, str, bool)) and one == other


def _short(thing: Any) -> str:
    if not isinstance(thing, (int, float, str, bool, type(None))):
        return f"a {type(thing).__name__}"
    text = repr(thing)
    return text if len(text) < 60 else text[:57] + "..."
