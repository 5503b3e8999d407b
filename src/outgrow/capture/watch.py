"""See every call of a model's modules, and leave no trace on the model afterwards."""

__all__ = ["Call", "watch"]

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from outgrow.names import matches


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of one module."""

    module: nn.Module
    """The module that is called."""
    name: str
    """Its qualified name; empty for the model itself. A shared module has the first of its names."""
    args: tuple[Any, ...]
    """Positional arguments as the module's forward gets them."""
    kwargs: Mapping[str, Any]
    """Keyword arguments as the module's forward gets them."""

    def arguments(self) -> dict[str, Any]:
        """The arguments by the names that `forward` gives them; those of `*args` under `name[0]`, `name[1]`,
        ...

        Raises:
            TypeError: they do not fit the signature of `forward`.
        """
        signature = inspect.signature(self.module.forward)
        named: dict[str, Any] = {}
        for name, value in signature.bind(*self.args, **self.kwargs).arguments.items():
            kind = signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                named.update({f"{name}[{index}]": item for index, item in enumerate(value)})
            elif kind is inspect.Parameter.VAR_KEYWORD:
                named.update(value)
            else:
                named[name] = value
        return named


@contextlib.contextmanager
def watch(
    model: nn.Module,
    *,
    enter: Callable[[Call], None] | None = None,
    leave: Callable[[Call, Any, BaseException | None], None] | None = None,
    only: str = "*",
) -> Iterator[None]:
    """Report calls of `model`'s modules for as long as the `with` block lasts; detached also after
    exceptions.

    Args:
        model: the model; nothing about it is changed but hooks, which go when the block ends.
        enter: called before each forward, outer modules first.
        leave: called after it with its output, inner modules first; with None and the exception where it
            raised one. After an exception that is no `Exception` (Ctrl-C) torch calls no hooks, so neither is
            `leave`.
        only: glob over qualified names; the model's own name is the empty string.

    What the callbacks raise reaches the caller of the module.
    """
    handles: list[Any] = []
    try:
        for name, module in model.named_modules():
            if not matches(name, only):
                continue
            if enter is not None:
                hook = _enter_hook(name, enter)
                # First of all hooks, so that a watcher sees a call before anybody can end it.
                handles.append(module.register_forward_pre_hook(hook, prepend=True, with_kwargs=True))
            if leave is not None:
                after = _leave_hook(name, leave)
                handles.append(module.register_forward_hook(after, with_kwargs=True, always_call=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _enter_hook(name: str, enter: Callable[[Call], None]) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        enter(Call(module, name, args, kwargs))

    return hook


def _leave_hook(name: str, leave: Callable[[Call, Any, BaseException | None], None]) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        # torch calls hooks with always_call from within its own handler, where the exception is the current
        # one.
        error = sys.exc_info()[1] if output is None else None
        leave(Call(module, name, args, kwargs), output, error)

    return hook
