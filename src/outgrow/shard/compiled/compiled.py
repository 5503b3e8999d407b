"""`gt.compile`: a function recorded until it repeats itself, then replayed as messages without its Python."""

__all__ = ["Compiled", "compile"]

import contextlib
import functools
import random
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from outgrow.errors import InputError
from outgrow.shard.client.backward import run_in_own_thread
from outgrow.shard.client.session import Session, default_session
from outgrow.shard.client.tensor import WorkersTensor, read, wrap
from outgrow.shard.client.values import Value
from outgrow.shard.compiled.replay import Output, Recording, Replay, differs
from outgrow.shard.compiled.surroundings import Surroundings
from outgrow.shard.compiled.tape import taping

TRIES: Final = 6
"""Calls within which a function must begin to repeat itself."""
REMEMBERED: Final = 64
"""Kinds of arguments for which recordings are kept; of more the one used longest ago is recorded anew."""

_thread = threading.local()
"""`is_recording`: a compiled function that this one calls is just a function."""


class Compiled:
    """A function whose calls are recorded, then replayed: see `compile`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.replays = 0
        """Calls that ran without the function's Python."""
        self._tracks: dict[Any, _Track] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function, or replay it."""
        if getattr(_thread, "is_recording", False):
            return self.function(*args, **kwargs)
        leaves, spec = pytree.tree_flatten((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, WorkersTensor)]
        cells = [tensor._cell for tensor in tensors]
        key = (
            spec,
            tuple([_form(leaf) for leaf in leaves]),
            # Two arguments that share a storage are another case than two that do not.
            tuple([cells.index(cell) for cell in cells]),
            (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype()),
        )
        track = self._tracks.pop(key, None) or _Track(self.function)
        if len(self._tracks) >= REMEMBERED:
            self._tracks.pop(next(iter(self._tracks)))
        self._tracks[key] = track
        found = track.replay(tensors)
        if found is not None:
            self.replays += 1
            return found[0]
        return track.record(args, kwargs, tensors)


class _Track:
    """Calls with arguments of one kind."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = getattr(function, "__qualname__", repr(function))
        self.why = ""
        """Why the last call could not be replayed."""
        self._recordings: list[Recording] = []
        self._around: Surroundings | None = None
        self._replay: Replay | None = None
        self._spec: Any = None
        self._leaves: list[Any] = []
        """Of what the function returns; an `Output` for each tensor."""
        self._written: list[int] = []
        """Tensors that each call writes, as the surroundings call them."""
        self._fresh: list[list[Any]] = []
        """Tensors that each call makes anew and leaves behind, gradients above all, with their storages, and
        how many references there were to each."""

    def replay(self, arguments: list[WorkersTensor]) -> tuple[Any] | None:
        """What the function returns; None where it must be run."""
        replay, around = self._replay, self._around
        if replay is None or around is None:
            return None
        if not (around.still_hold() and replay.is_possible() and self._is_unseen()):
            # Something was changed from outside: what the function does now is looked at anew.
            self._recordings, self._replay, self._fresh = [], None, []
            return None
        _refuse_reached(around, arguments, self.name)
        supply = iter(replay.run([read(tensor) for tensor in arguments]))
        around.note_writes(self._written)
        leaves = [
            wrap(next(supply), leaf.form, replay.session) if isinstance(leaf, Output) else leaf
            for leaf in self._leaves
        ]
        return (pytree.tree_unflatten(leaves, self._spec),)

    def record(self, args: Any, kwargs: Any, arguments: list[WorkersTensor]) -> Any:
        """Run the function and see what it does."""
        if self._around is not None and not self._around.still_hold():
            # Changed from outside since: that the function then does something else says nothing.
            self._recordings = []
        self._around = None
        if len(self._recordings) >= TRIES:
            raise InputError(
                f"{self.name} cannot be compiled: {self.why}",
                hint="call the function itself: workers replay what repeats all the same. "
                "An optimizer that counts its steps needs capturable=True",
            )
        session = arguments[0]._session if arguments else default_session()
        if any(tensor.requires_grad for tensor in arguments):
            raise InputError(
                f"{self.name} was given a tensor that requires a gradient: a replay would not carry it on",
                hint="detach it, or reach it through a closure as parameters are reached",
            )
        around = Surroundings(self.function)
        _refuse_reached(around, arguments, self.name)
        versions = [tensor._cell.version for tensor in arguments]
        given = tuple(read(tensor).number for tensor in arguments)
        drawn = _generators()
        with _recording(session), _watching(session) as watched, taping(session, self.name) as tape:
            result = self.function(*args, **kwargs)
        is_random = drawn != _generators()
        if [tensor._cell.version for tensor in arguments] != versions:
            raise InputError(
                f"{self.name} writes into a tensor that it was given", hint="return the new tensor instead"
            )
        self._recordings.append(self._recording(session, tape.calls, given, result, watched))
        self.why = self._settle(session, around, is_random) or ""
        return result

    def _recording(
        self,
        session: Session,
        calls: list[Any],
        given: tuple[int, ...],
        result: Any,
        watched: list["weakref.ref[Value]"],
    ) -> Recording:
        origin = {
            number: (at, position)
            for at, call in enumerate(calls)
            for position, number in enumerate(call.outputs)
        }
        leaves, self._spec = pytree.tree_flatten(result)
        self._leaves = [self._leaf(leaf, origin) for leaf in leaves]
        alive = [value for ref in watched if (value := ref()) is not None and value.number in origin]
        return Recording(
            calls=tuple(calls),
            arguments=given,
            outputs=tuple(one for one in self._leaves if isinstance(one, Output)),
            values={origin[value.number]: weakref.ref(value) for value in alive},
            places=tuple(session._sent.get(call.number, []) for call in calls),
        )

    def _leaf(self, leaf: Any, origin: dict[int, tuple[int, int]]) -> Any:
        if not isinstance(leaf, WorkersTensor):
            return leaf
        if leaf.requires_grad:
            raise InputError(
                f"{self.name} returns a tensor with a graph behind it, which a replay would not have",
                hint="call backward() inside the function and return loss.detach()",
            )
        made = origin.get(read(leaf).number)
        if made is None:
            raise InputError(
                f"{self.name} returns a tensor that it did not make", hint="return a copy: tensor.clone()"
            )
        return Output(made=made, form=leaf._form)

    def _settle(self, session: Session, before: Surroundings, is_random: bool) -> str | None:
        """Make a replay if the last calls were alike; why not."""
        after = self._around = Surroundings(self.function)
        changed = "it draws random numbers" if is_random else before.changed_plainly()
        if changed is not None:
            return changed
        if len(self._recordings) < 3:
            return "it has not run often enough"
        why = differs(*self._recordings[-3:])
        if why is None:
            self._replay = Replay(session, self._recordings[-1], self._recordings[-2])
            self._written = after.written_since(before)
            self._fresh = [[one, one._cell, 0, 0] for one in after.made_anew(before)]
            for entry in self._fresh:
                entry[2:] = sys.getrefcount(entry[0]), sys.getrefcount(entry[1])
        return why

    def _is_unseen(self) -> bool:
        """Whether nobody else keeps a tensor that the function makes anew: a replay would change it."""
        return all(
            sys.getrefcount(entry[0]) <= entry[2] and sys.getrefcount(entry[1]) <= entry[3]
            for entry in self._fresh
        )


def compile(function: Callable[..., Any]) -> Compiled:
    """A function that does the same with its tensors every time, sent as one message instead of op by op.

    The first calls run as always and are compared. Once a call was like the one before, later calls with
    arguments of the same shapes, dtypes and Python values are replayed: the function's Python does not run,
    its ops do. Before each replay everything that the function can reach is checked (modules and their
    flags, parameters, optimizers and their settings, closures, globals); whatever changed lets it be
    recorded anew. A scheduler that changes the learning rate after every step makes every call a recording:
    right, but no faster.

    Raises:
        InputError: when called: the function looks at a tensor's numbers, sends new ones (dropout does),
            writes into its arguments, reaches something that cannot be watched, returns a tensor with a
            graph, or does something else every time. A plain Adam does: its step count is a Python number;
            with `capturable=True` it is a tensor.
    """
    return Compiled(function)


def _form(leaf: Any) -> Any:
    if isinstance(leaf, WorkersTensor):
        return (leaf._form, leaf.requires_grad)
    if isinstance(leaf, float):
        return (type(leaf), leaf.hex())
    if isinstance(leaf, Tensor):
        raise InputError(
            f"a compiled function was given a tensor on the {leaf.device}",
            hint="move it with .to('workers')",
        )
    if isinstance(leaf, (int, bool, str, type(None), torch.dtype)):
        return (type(leaf), leaf)
    raise InputError(
        f"a compiled function was given a {type(leaf).__name__}, expected tensors, numbers and texts",
        hint="let the function reach it through a closure, or give its parts",
    )


def _refuse_reached(around: Surroundings, arguments: list[WorkersTensor], name: str) -> None:
    """A replay could not tell the argument from what the function reaches by itself."""
    reached = around.storages()
    if any(id(tensor._cell) in reached for tensor in arguments):
        raise InputError(
            f"{name} was given a tensor that it also reaches through a closure or a global",
            hint="give a copy, tensor.clone(), or leave it out of the arguments",
        )


def _generators() -> tuple[Any, ...]:
    """The states of the generators that Python code draws from."""
    numpy = sys.modules.get("numpy.random")
    state = () if numpy is None else numpy.get_state()
    drawn = tuple(one.tobytes() if hasattr(one, "tobytes") else one for one in state)
    return torch.get_rng_state().numpy().tobytes(), random.getstate(), drawn


@contextlib.contextmanager
def _recording(session: Session) -> Iterator[None]:
    """While inside, only this thread's instructions go to the session: they are what is recorded."""
    run_in_own_thread()  # a backward pass in another thread would wait for ever
    with session.lock:
        _thread.is_recording, session.is_sharing = True, False
        try:
            yield
        finally:
            _thread.is_recording, session.is_sharing = False, True


@contextlib.contextmanager
def _watching(session: Session) -> Iterator[list["weakref.ref[Value]"]]:
    """Every value that the session makes while inside."""
    found: list[weakref.ref[Value]] = []
    emit = session.emit

    def noted(*args: Any, **kwargs: Any) -> list[Value]:
        made = emit(*args, **kwargs)
        found.extend(weakref.ref(value) for value in made)
        return made

    session.emit = noted  # type: ignore[method-assign]
    try:
        yield found
    finally:
        del session.emit
