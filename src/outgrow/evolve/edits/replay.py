"""Do again what an edit says."""

__all__ = ["apply", "operator_of"]

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from outgrow.errors import InputError, nearest_names
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.errors import EditUnreadable
from outgrow.evolve.operators import OPERATORS


def apply(
    model: nn.Module,
    edit: Edit,
    example_inputs: Any,
    *,
    optimizer: Any = None,
    scheduler: Any = None,
    ema: Any = None,
    allow: str | None = None,
) -> Edit:
    """Make the change that `edit` says on another model, and give the edit of that.

    On a copy of the model as it was before the edit the weights come out bit for bit the same, on every
    device: whatever is random is drawn on the CPU, from the edit's seed. On other weights of the same
    architecture, the same units change.

    Args:
        model: changed in place.
        edit: what an operator returned.
        example_inputs: as for the operators.
        optimizer: of the model; its state follows, as at the first time.
        scheduler: of the optimizer.
        ema: an average of the model.
        allow: the weakest promise that is allowed; by default an edit that was exact has to be exact here,
            too, and any other may be lossy.

    Raises:
        InputError: no operator of this name, or not with these arguments.
        OutgrowError: what the operator raises.
    """
    operator = operator_of(edit)
    return operator(
        model,
        edit.site,
        **edit.arguments,
        example_inputs=example_inputs,
        optimizer=optimizer,
        scheduler=scheduler,
        ema=ema,
        allow=allow or ("exact" if edit.promise == "exact" else "lossy"),
    )


def operator_of(edit: Edit) -> Callable[..., Edit]:
    """What made it, seen to take its arguments.

    Raises:
        InputError: it is no edit, or by an operator that this outgrow does not know.
        EditUnreadable: the operator takes other arguments.
    """
    if not isinstance(edit, Edit):
        raise InputError(
            f"edit is a {type(edit).__name__}", hint="give what an operator or Edit.from_json gave"
        )
    operator = OPERATORS.get(edit.operator)
    if operator is None:
        near = nearest_names(edit.operator, OPERATORS)
        raise InputError(
            f"this outgrow has no operator {edit.operator!r}",
            hint=(f"did you mean {near[0]!r}? " if near else "") + f"there are {', '.join(OPERATORS)}",
        )
    known = inspect.signature(operator).parameters
    unknown = sorted(edit.arguments.keys() - known.keys())
    if unknown:
        raise EditUnreadable(
            f"{edit.operator} takes no {', '.join(unknown)}", hint="another version of outgrow wrote the edit"
        )
    needed = {name for name, one in known.items() if one.default is one.empty} - {"model", "site"}
    missing = sorted(needed - edit.arguments.keys())
    if missing:
        raise EditUnreadable(
            f"this {edit.operator} does not say {', '.join(missing)}", hint="the edit is damaged"
        )
    return operator
