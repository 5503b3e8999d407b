"""What was changed: enough to do it again elsewhere, and to take it back."""

__all__ = ["EDIT_VERSION", "Edit"]

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from outgrow.errors import InputError
from outgrow.evolve.carry.averages import averaged
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.carry.replicas import agreed
from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.edits.inverse import Inverse, put_back
from outgrow.evolve.edits.inverse_json import inverse_from_json, inverse_tensors, inverse_to_json
from outgrow.evolve.errors import CannotUndo, EditUnreadable
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.surgery.surgery import Surgery
from outgrow.evolve.transactions.random_state import RandomState

EDIT_VERSION = 1
"""Of what `to_json` writes."""

_KEYS = {
    "format",
    "version",
    "operator",
    "site",
    "arguments",
    "promise",
    "change",
    "checked",
    "inverse",
    "average",
}
_FORMAT = "outgrow edit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One change of a model's architecture."""

    operator: str
    """`widen`, `prune`, ...: a name in `operators.OPERATORS`."""
    site: str
    """Qualified name of the site."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """The operator's arguments, as JSON can hold them, the seed included: enough to do the same again."""
    promise: str
    """`exact`, `bounded` or `lossy`."""
    change: float
    """The relative change of the outputs that was measured when it was made."""
    checked: tuple[str, ...] = ("eval",)
    """The modes in which outputs were compared: `eval`, and `train` where that could be done."""
    inverse: Inverse | None = field(default=None, repr=False, compare=False)
    """The way back; None where the edit was read without its tensors."""
    average: Inverse | None = field(default=None, repr=False, compare=False)
    """The way back for the model's average, where one followed."""

    def __post_init__(self) -> None:
        try:
            json.dumps(dict(self.arguments), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"the arguments of this {self.operator} cannot be written as JSON: {error}",
                hint="give numbers, strings, lists and dicts",
            ) from error

    def undo(
        self, model: nn.Module, *, optimizer: Any = None, scheduler: Any = None, ema: Any = None
    ) -> None:
        """Put `model`, or a copy of it, back as it was before this edit: every weight and buffer bit for bit.

        Later edits have to be undone first. What an optimizer and an average hold of the units that stay is
        kept; of units that come back they begin anew.

        Raises:
            CannotUndo: a weight that the edit touched is not as the edit left it (it was trained, or edited
                again), or the edit was read without its tensors; nothing has changed.
        """
        if self.inverse is None:
            raise CannotUndo(
                f"this edit ({self.operator} at {self.site!r}) was read without its tensors",
                hint="Edit.from_json(text, tensors=...) takes what edit.tensors() gave",
            )
        if ema is not None and self.average is None:
            raise CannotUndo(
                "this edit was made without ema, so that it has no way back for an average",
                hint="undo without ema, and make a new average",
            )
        # The average goes back by its own inverse, below: it is not followed.
        followers = Followers(optimizer=optimizer, scheduler=scheduler)
        followers.check(model)
        inner, inverse, average = unwrapped(model), self.inverse, self.average
        surgery = Surgery(inner)
        try:
            with agreed(model, surgery):
                put_back(surgery, inverse)
                followers.follow(
                    surgery,
                    lambda own: put_back(own, inverse),
                    inputs=ExampleInputs(kwargs={}),
                    promise="lossy",
                    random_state=RandomState.now(),
                )
                if ema is not None and average is not None:
                    own = Surgery(averaged(ema))
                    surgery.on_take_back(own.take_back)
                    put_back(own, average)
            followers.renew(model)
        except BaseException:
            surgery.take_back()
            followers.renew(model)
            raise

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that `undo` needs, by names that `from_json` knows; safetensors can hold them."""
        return {
            f"{key}.{name}": tensor
            for key, inverse in (("inverse", self.inverse), ("average", self.average))
            if inverse is not None
            for name, tensor in inverse_tensors(inverse).items()
        }

    def to_json(self) -> str:
        """This edit as one line of JSON; `tensors()` has what JSON cannot hold."""
        return json.dumps(
            {
                "format": _FORMAT,
                "version": EDIT_VERSION,
                "operator": self.operator,
                "site": self.site,
                "arguments": dict(self.arguments),
                "promise": self.promise,
                "change": self.change,
                "checked": list(self.checked),
                "inverse": None if self.inverse is None else inverse_to_json(self.inverse),
                "average": None if self.average is None else inverse_to_json(self.average),
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str, *, tensors: Mapping[str, Tensor] | None = None) -> "Edit":
        """The edit that `to_json` wrote; without `tensors` it can be replayed and not undone.

        Raises:
            EditUnreadable: it is damaged, something is missing or unknown, or a newer version wrote it.
        """
        try:
            given = json.loads(text)
        except ValueError as error:
            raise EditUnreadable(f"no JSON: {error}", hint="give what Edit.to_json wrote") from error
        _check_form(given)
        try:
            return cls(
                operator=str(given["operator"]),
                site=str(given["site"]),
                arguments=dict(given["arguments"]),
                promise=str(given["promise"]),
                change=float(given["change"]),
                checked=tuple(given["checked"]),
                inverse=_inverse(given, "inverse", tensors),
                average=_inverse(given, "average", tensors),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EditUnreadable(
                f"an edit whose contents cannot be used ({type(error).__name__}: {error})",
                hint="the file is damaged, or its tensors belong to another edit",
            ) from error


def _check_form(given: Any) -> None:
    if not isinstance(given, dict) or given.get("format") != _FORMAT:
        raise EditUnreadable("this JSON is no edit", hint="give what Edit.to_json wrote")
    version = given.get("version")
    if isinstance(version, int) and version > EDIT_VERSION:
        raise EditUnreadable(
            f"an edit of version {version}, and this outgrow reads up to {EDIT_VERSION}",
            hint="a newer outgrow wrote it: upgrade to read it",
        )
    if version != EDIT_VERSION or isinstance(version, bool):
        raise EditUnreadable(f"an edit of version {version!r}", hint=f"known is {EDIT_VERSION}")
    if given.keys() != _KEYS:
        what = ", ".join(sorted(given.keys() ^ _KEYS))
        raise EditUnreadable(f"missing or unknown in this edit: {what}", hint="the file is damaged")


def _inverse(given: Mapping[str, Any], key: str, tensors: Mapping[str, Tensor] | None) -> Inverse | None:
    if tensors is None or given[key] is None:
        return None
    own = {name.removeprefix(f"{key}."): one for name, one in tensors.items() if name.startswith(f"{key}.")}
    return inverse_from_json(given[key], own)
