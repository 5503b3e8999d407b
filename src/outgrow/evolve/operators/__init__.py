"""The structural changes, one a file."""

__all__ = ["OPERATORS"]

from collections.abc import Callable

from outgrow.evolve.edit import Edit
from outgrow.evolve.operators.widen import widen

OPERATORS: dict[str, Callable[..., Edit]] = {
    "widen": widen,
}
"""Name in an `Edit` -> what makes it: `operator(model, site, **arguments, example_inputs=..., ...)`."""
