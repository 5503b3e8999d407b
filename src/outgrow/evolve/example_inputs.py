"""What a model is called with, in each of the forms that users give."""

__all__ = ["ExampleInputs", "call_form"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from outgrow.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleInputs:
    """One call of a model."""

    args: tuple[Any, ...] = ()
    """Positional arguments."""
    kwargs: Mapping[str, Any]
    """Keyword arguments."""

    def call(self, model: nn.Module) -> Any:
        """Call `model` with them."""
        return model(*self.args, **self.kwargs)


def call_form(given: Any) -> ExampleInputs:
    """Take a tensor, a tuple of positional arguments or a mapping of keyword arguments.

    Raises:
        InputError: it is none of them.
    """
    if isinstance(given, ExampleInputs):
        return given
    if isinstance(given, Tensor):
        return ExampleInputs(args=(given,), kwargs={})
    if isinstance(given, Mapping):
        return ExampleInputs(kwargs=dict(given))
    if isinstance(given, tuple | list):
        return ExampleInputs(args=tuple(given), kwargs={})
    raise InputError(
        f"example_inputs is a {type(given).__name__}",
        hint="give a tensor, a tuple of positional arguments or a dict of keyword arguments",
    )
