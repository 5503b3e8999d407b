"""Names of dtypes that are text, as the predecessor has them, and equal torch's."""

__all__ = ["DtypeName", "as_torch_dtype", "bool_", "float32", "float64", "int32", "int64"]

from typing import Any, Final

import torch

from outgrow.errors import InputError, nearest_names


class DtypeName(str):
    """`"float32"`: text for numpy and for comparing, and equal to `torch.float32` as well."""

    __slots__ = ()

    @property
    def torch(self) -> torch.dtype:
        """The dtype itself, for torch's own calls that take no tensor of ours."""
        return as_torch_dtype(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, torch.dtype):
            return str(other) == f"torch.{self}"
        return str.__eq__(self, other) is True

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


float32: Final = DtypeName("float32")
float64: Final = DtypeName("float64")
int32: Final = DtypeName("int32")
int64: Final = DtypeName("int64")
bool_: Final = DtypeName("bool")

_KNOWN: Final = {
    name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype) and "_fn" not in name
}


def as_torch_dtype(dtype: Any) -> torch.dtype:
    """The dtype of a name, of a numpy dtype, or as it is.

    Raises:
        InputError: there is no such dtype.
    """
    if isinstance(dtype, torch.dtype):
        return dtype
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", None) or str(dtype)
    found = _KNOWN.get(name.removeprefix("torch."))
    if found is None:
        near = ", ".join(nearest_names(name, _KNOWN)) or "float32, int64, bool"
        raise InputError(f"there is no dtype {name!r}", hint=f"did you mean: {near}?")
    return found
