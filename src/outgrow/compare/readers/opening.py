"""Whatever the user gives, as a recording."""

__all__ = ["Source", "open_recording"]

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor

from outgrow.capture.recording import Recording
from outgrow.compare.readers.entry import read_entry
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.records import records_of

Source = str | PathLike[str] | Recording | Mapping[str, Any] | Tensor
"""A path, an open recording, or tensors by name."""


def open_recording(source: Source, *, limits: Limits | None = None, only: str = "*") -> Recording:
    """Open a dump by its descriptions; tensors are read when they are asked for."""
    assert isinstance(source, str | PathLike)
    path = Path(source)
    content = read_entry(path.resolve(), path.name, limits or Limits())
    records, refused = records_of([(path.name, content)], only=only)
    return Recording(label=str(source), records=records, refused=refused)
