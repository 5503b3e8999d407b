"""A module around another one that goes on looking like it."""

__all__ = ["Around", "first_tensor", "with_first"]

from typing import Any

from torch import Tensor, nn

from outgrow.errors import InputError


class Around(nn.Module):
    """Holds the module that it stands in for as `trunk`; what it does not know itself, it asks that one."""

    trunk: nn.Module

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.training = trunk.training

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            trunk = self.__dict__.get("_modules", {}).get("trunk")
            if trunk is None:
                raise
            return getattr(trunk, name)


def first_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """The first argument, positional ones first.

    Raises:
        InputError: it is no tensor.
    """
    first = next(iter((*args, *kwargs.values())), None)
    if not isinstance(first, Tensor):
        raise InputError(
            f"an inserted module got a {type(first).__name__} as its first argument",
            hint="call it as the model called it when it was inserted, with a tensor first",
        )
    return first


def with_first(output: Any, change: Any) -> Any:
    """`output` with `change` applied to the tensor that it is, or that comes first in it."""
    if isinstance(output, Tensor):
        return change(output)
    if type(output) in (tuple, list) and output and isinstance(output[0], Tensor):
        return type(output)([change(output[0]), *output[1:]])
    raise InputError(
        f"a module behind which another was inserted gave a {type(output).__name__}",
        hint="it has to give a tensor, or a tuple with one in front, as when the module was inserted",
    )
