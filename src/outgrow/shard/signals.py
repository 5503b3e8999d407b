"""Named stretches of a program, for a file to say where tensors lie: `gt.signal.context("layer1")`."""

__all__ = [
    "PlacementWarning",
    "context",
    "current_backward_signal",
    "current_signal",
    "enter",
    "exit",
    "get_config",
    "get_signal_config",
    "load_config",
    "register_config",
    "signal",
    "tensor",
]

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from outgrow.errors import InputError
from outgrow.placement import Owned, Placement, Replicate, Shard
from outgrow.shard.client.session import default_session
from outgrow.shard.client.tensor import WorkersTensor
from outgrow.shard.environment import Environment
from outgrow.shard.interface.placing import checked, hold, place, place_result, world_size
from outgrow.shard.interface.signal_config import ConfigurationError, SignalConfig
from outgrow.shard.interface.signal_table import Config


class PlacementWarning(UserWarning):
    """A signal was followed as far as it can be."""


class Scope(NamedTuple):
    """A signal that has been entered and not left."""

    name: str
    backward: str | None
    mode: "_Placing"


_config = Config()
"""The program's signals: they belong to the default session, which is there once, too."""
_state = threading.local()
_has_read_environment = False


def get_config() -> Config:
    """All signals, those of `GT_CONFIG` included."""
    global _has_read_environment
    if not _has_read_environment:
        _has_read_environment = True
        named = Environment.read().config
        if named is not None:
            _config.load(named)
    return _config


def load_config(config_file: str | os.PathLike[str]) -> None:
    """Add the signals of a YAML file.

    Raises:
        ConfigurationError: see `Config.load`.
    """
    get_config().load(config_file)


def get_signal_config(name: str) -> SignalConfig | None:
    """What a signal says; None where there is none of that name."""
    return get_config().get_signal(name)


def register_config(name: str, config: SignalConfig) -> None:
    """Add a signal from the program; it takes the place of one of the same name."""
    get_config().register_signal(name, config)


def current_signal() -> str | None:
    """The name of the signal entered last, in this thread."""
    scopes = _scopes()
    return scopes[-1].name if scopes else None


def current_backward_signal() -> str | None:
    """The signal for gradients of what runs now, in this thread."""
    scopes = _scopes()
    return scopes[-1].backward if scopes else None


@contextlib.contextmanager
def context(name: str, backward: str | None = None) -> Iterator[None]:
    """Tensors made inside, and results of ops, lie as the signal says; gradients as `backward` says.

    A signal without a definition says nothing, as does one whose axis a tensor does not have.

    Raises:
        ConfigurationError: a worker that is not there, or a `backward` that is no signal.
    """
    enter(name, backward)
    try:
        yield
    finally:
        exit(name)


signal = context


def enter(name: str, backward: str | None = None) -> None:
    """Begin what `exit(name)` ends; see `context`."""
    if not isinstance(name, str):
        raise InputError(f"the name of a signal is {name!r}, expected text", hint="signal.context('layer1')")
    forwards = get_signal_config(name)
    if backward is None and forwards is not None:
        backward = forwards.backward_signal
    mode = _Placing(_placement(name), _placement(backward) if backward is not None else _placement(name))
    mode.__enter__()  # type: ignore[no-untyped-call]
    _scopes().append(Scope(name, backward, mode))


def exit(name: str) -> None:
    """End the signal entered last.

    Raises:
        InputError: another one was entered last, or none.
    """
    scopes = _scopes()
    if not scopes:
        raise InputError(f"no signal to leave, expected {name!r}", hint="signal.enter() comes first")
    if scopes[-1].name != name:
        raise InputError(
            f"the signal entered last is {scopes[-1].name!r}, not {name!r}", hint="leave it first"
        )
    scopes.pop().mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]


def tensor(tensor_arg: Tensor, name: str, backward_name: str | None = None) -> Tensor:
    """Place one tensor as a signal says, not what it was computed from.

    Raises:
        InputError: no such signal.
        ConfigurationError: the tensor cannot be held so.
    """
    config = get_config()
    if not config.has_signal(name):
        raise InputError(
            f"there is no signal {name!r}",
            hint=f"did you mean: {config.nearest(name)}?"
            if config.signals
            else "gt.load_config() reads some",
        )
    target = _placement(name)
    if target is None:
        return tensor_arg
    try:
        return place(
            tensor_arg, target, backward=None if backward_name is None else _placement(backward_name)
        )
    except InputError as err:
        if isinstance(err, ConfigurationError):
            raise
        raise ConfigurationError(f"{config.title(name)}: {err.message}", hint=err.hint) from err


def _placement(name: str) -> Placement | None:
    """What a signal says, checked against the workers there are."""
    config = get_config()
    found = config.get_signal(name)
    if found is None or found.shard is None:
        return None
    shard = found.shard
    workers = shard.workers
    if workers is not None:
        there = world_size(default_session())
        wrong = [one for one in workers if one >= there]
        if wrong:
            raise ConfigurationError(
                f"{config.title(name)} asks for worker {wrong[0]}, and there are {there}",
                hint=f"possible are 0 to {there - 1}; GT_WORKERS={max(workers) + 1} starts enough",
            )
        if len(workers) == 1 and there > 1:
            return Owned(workers[0])
        if len(workers) < there:
            warnings.warn(
                f"{config.title(name)} asks for {len(workers)} of {there} workers: "
                "its tensors are spread over all of them",
                PlacementWarning,
                stacklevel=4,
            )
    return Replicate() if shard.replicated else Shard(shard.axis)


def _scopes() -> list[Scope]:
    if not hasattr(_state, "scopes"):
        _state.scopes = []
    found: list[Scope] = _state.scopes
    return found


class _Placing(TorchFunctionMode):
    """Places every new tensor that a torch function gives while it is entered."""

    def __init__(self, target: Placement | None, gradient: Placement | None) -> None:
        super().__init__()
        self.target = target
        self.gradient = gradient

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.target is None or not isinstance(result, WorkersTensor) or _state.__dict__.get("is_placing"):
            return result
        is_new = result._view is None and not any(result is argument for argument in args)
        if not is_new or not _fits(result, self.target):
            return result
        _state.is_placing = True
        try:
            # All that `place` does is ours, not the program's.
            with torch._C.DisableTorchFunction():
                session = result._session
                target = gradient = checked(self.target, result, session)
                if self.gradient is not None and _fits(result, self.gradient):
                    gradient = checked(self.gradient, result, session)
                if any(isinstance(argument, WorkersTensor) for argument in args):
                    return place_result(result, target, gradient)
                hold(result, target)  # made from nothing: a parameter, perhaps, and so for good
                return result
        finally:
            _state.is_placing = False


def _fits(tensor: Tensor, placement: Placement) -> bool:
    return not isinstance(placement, Shard) or -tensor.dim() <= placement.dim < tensor.dim()
