"""How the tensors of a call or an answer are nested, as JSON, and how to nest them so again."""

__all__ = ["NotSaved", "Output", "nested", "structure_of"]

import dataclasses
import keyword
from collections import namedtuple
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from outgrow.errors import InputError


class NotSaved(InputError):
    """The model cannot be put into an archive; nothing was written."""


class Output(dict[str, Any]):
    """What a model gave by name, for outputs whose own class need not be there: `out.logits`,
    `out["logits"]` and `out[0]` are the same."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getitem__(name)
        except KeyError as err:
            raise AttributeError(name) from err

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def to_tuple(self) -> tuple[Any, ...]:
        """The values, in order."""
        return tuple(self.values())


def structure_of(value: Any, leaves: list[Any], left_out: list[str], name: str = "output") -> Any:
    """The nesting of `value` as JSON; what is in it goes to `leaves`, what cannot be kept to `left_out`."""
    if isinstance(value, torch.Tensor | torch.SymInt | torch.SymFloat | torch.SymBool):
        leaves.append(value)
        return {"leaf": len(leaves) - 1}
    if value is None or isinstance(value, bool | int | float | str):
        return {"plain": value}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise NotSaved(f"{name} is a mapping whose keys are not text", hint="give it keys that are text")
        kind = "dict" if type(value) is dict else "output"
        return {kind: _items(value.items(), leaves, left_out, name)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {"named": _items(zip(value._fields, value, strict=True), leaves, left_out, name)}
    if isinstance(value, tuple | list):
        items = [structure_of(each, leaves, left_out, f"{name}[{at}]") for at, each in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
        return {"output": _items(fields, leaves, left_out, name)}
    # Caches and the like are the model's own notes, in classes that the reader need not have.
    left_out.append(f"{name} ({type(value).__name__})")
    return None


def _items(pairs: Any, leaves: list[Any], left_out: list[str], name: str) -> list[Any]:
    found = [(key, structure_of(value, leaves, left_out, f"{name}.{key}")) for key, value in pairs]
    return [[key, held] for key, held in found if held is not None]


def nested(structure: Any, leaves: Sequence[Any]) -> Any:
    """Nest `leaves` as `structure` says.

    Raises:
        ValueError: it makes no sense.
    """
    if not isinstance(structure, dict) or len(structure) != 1:
        raise ValueError(f"{structure!r} is no structure")
    ((kind, held),) = structure.items()
    if kind == "leaf" and type(held) is int and 0 <= held < len(leaves):
        return leaves[held]
    if kind == "plain":
        return held
    if kind in ("tuple", "list"):
        items = [nested(each, leaves) for each in held]
        return tuple(items) if kind == "tuple" else items
    pairs = {key: nested(each, leaves) for key, each in held}
    if kind == "dict":
        return pairs
    if kind == "output":
        return Output(pairs)
    if kind == "named":
        if not all(name.isidentifier() and not keyword.iskeyword(name) for name in pairs):
            raise ValueError(f"{list(pairs)!r} are no names")
        return namedtuple("Named", pairs, rename=True)(**pairs)
    raise ValueError(f"{structure!r} is no structure")
