"""Everything in Python that a function reads besides its arguments: found once, checked before a replay."""

__all__ = ["Surroundings"]

import functools
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from outgrow.errors import InputError
from outgrow.shard.client.tensor import WorkersTensor

_MOST: Final = 100_000
"""Objects that are looked at."""
_PLAIN: Final = (
    *(int, float, complex, str, bytes, bool, type(None), type(...), range, slice),
    *(torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format),
    *(types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType),
    *(types.ClassMethodDescriptorType, types.MemberDescriptorType, types.GetSetDescriptorType),
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
_CALLED_BY_TORCH: Final = frozenset(("forward", "backward", "setup_context"))


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
        self.sets: list[tuple[set[Any], frozenset[Any]]] = []
        self.attributes: list[tuple[types.FunctionType, str, Any]] = []
        """Functions, with an attribute and what it must be."""
        self.tensors: dict[int, tuple[WorkersTensor, Any, int, tuple[int, Any, int] | None]] = {}
        """Tensors on workers, their storage, how often it was written, and the same of their gradient.

        Of a gradient, only its identity and weakly its storage: it must go when the next call drops it. Not
        weakly itself: torch swaps no tensor that has a weak reference.
        """
        self.host_tensors: list[tuple[str, Tensor, int]] = []
        """Tensors in this process, with their version."""
        self._seen: dict[int, Any] = {}
        self._names: set[str] = set()
        """That functions found so far use."""
        self._unused: dict[str, list[tuple[Any, Any, str]]] = {}
        """By name: what classes have of it, until a function is found that uses the name."""
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
            and all(one == expected for one, expected in self.sets)
            and all(getattr(one, name) is expected for one, name, expected in self.attributes)
            and all(tensor._version == version for _, tensor, version in self.host_tensors)
            and all(_is_untouched(*known) for known in self.tensors.values())
        )

    def written_since(self, before: "Surroundings") -> list[int]:
        """Keys of `tensors` whose storage, or whose gradient, a call of the function writes or makes anew."""
        return [
            key
            for key, (_, cell, version, gradient) in self.tensors.items()
            if gradient is not None
            or (known := before.tensors.get(key)) is None
            or known[1] is not cell
            or known[2] != version
        ]

    def storages(self) -> set[int]:
        """Identities of the storages that the function reaches."""
        return {id(cell) for _, cell, _, _ in self.tensors.values()}

    def note_writes(self, keys: list[int]) -> None:
        """These were written without their Python: whoever else looks at them must see that they were."""
        for key in keys:
            tensor, cell, _, gradient = self.tensors[key]
            cell.version += 1
            if gradient is not None:
                own: Any = tensor.grad
                if own._cell is not cell:
                    own._cell.version += 1
                gradient = (gradient[0], gradient[1], own._cell.version)
            self.tensors[key] = (tensor, cell, cell.version, gradient)

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
        if any(one != expected for one, expected in self.sets):
            return "a set has other elements"
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
            if isinstance(one, set):
                self.sets.append((one, frozenset(one)))
            for index, part in enumerate(one):
                if isinstance(one, list):
                    self.items.append((one, index, part))
                yield part, f"{called}[{index}]"
        elif isinstance(one, types.MethodType):
            yield one.__self__, called
            yield one.__func__, called
        elif isinstance(one, types.FunctionType):
            yield from self._function(one, called)
        elif isinstance(one, type):
            yield from self._class(one, called)
        elif isinstance(one, types.ModuleType):
            if one.__name__.split(".")[0] not in _TRUSTED:
                raise self._refused(called, f"the module {one.__name__}, whose variables may change")
        elif type(one).__module__.startswith("outgrow.shard.compiled") and hasattr(one, "function"):
            yield one.function, called  # compiled itself, and part of this one
        elif type(one).__module__.startswith(_OWN):
            return  # a session and what belongs to it: changes with every call, and decides nothing
        elif isinstance(one, nn.Module | torch.optim.Optimizer) or hasattr(one, "__dict__"):
            if not isinstance(one, nn.Module | torch.optim.Optimizer) and hasattr(one, "__next__"):
                raise self._refused(called, f"a {type(one).__name__}, which gives something else every time")
            yield from self._dict(vars(one), called)
            yield type(one), called
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
            if name not in self._names:
                self._names.add(name)
                for entries, part, owner in self._unused.pop(name, ()):
                    self.entries.append((entries, name, part))
                    yield _function_of(part), f"{owner}.{name}"
        for attribute in ("__code__", "__defaults__", "__kwdefaults__"):
            self.attributes.append((one, attribute, getattr(one, attribute)))
        yield from ((part, called) for part in (one.__defaults__, one.__kwdefaults__) if part)
        yield from self._dict(vars(one), called)

    def _class(self, one: type, called: str) -> Iterator[tuple[Any, str]]:
        """Methods and variables of a class of the user's, once a function uses their names."""
        if _is_installed(one.__module__):
            return
        entries: Any = vars(one)
        for name, part in entries.items():
            is_special = name.startswith("__") and name.endswith("__")
            if is_special and not isinstance(part, types.FunctionType):
                continue
            if is_special or name in self._names or name in _CALLED_BY_TORCH:
                self.entries.append((entries, name, part))
                yield _function_of(part), f"{called}.{name}"
            else:
                self._unused.setdefault(name, []).append((entries, part, called))
        for base in one.__bases__:
            yield base, called

    def _refused(self, called: str, why: str) -> InputError:
        return InputError(
            f"{called} leads to {why}: the compiled function could not notice a change",
            hint="give it as an argument, or leave the function uncompiled: workers replay it all the same",
        )


@functools.cache
def _is_installed(module: str) -> bool:
    """Whether a module belongs to Python or to a package that was installed, as `_TRUSTED` are."""
    root = module.partition(".")[0]
    if root in _TRUSTED or root in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(root), "__file__", None)
    return file is not None and not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def _function_of(part: Any) -> Any:
    """The function behind a method of a class, as it lies in the class."""
    if isinstance(part, staticmethod | classmethod):
        return part.__func__
    if isinstance(part, property):
        return part.fget
    return part.func if isinstance(part, functools.cached_property) else part


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, str):  # as in getattr(model, "scale")
            yield constant
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
    if type(one) is not type(other) or not isinstance(one, (int, float, str, bool)):
        return False
    return one.hex() == other.hex() if isinstance(one, float) else bool(one == other)


def _short(thing: Any) -> str:
    if not isinstance(thing, (int, float, str, bool, type(None))):
        return f"a {type(thing).__name__}"
    text = repr(thing)
    return text if len(text) < 60 else text[:57] + "..."
