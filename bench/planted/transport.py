"""A dump on its way to the comparison: in memory, or as files."""

__all__ = ["Sources"]

import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from safetensors.torch import save_file
from torch import Tensor

from bench.planted.dump import Dump
from outgrow.capture.recording import Record, Recording

_MEMORY = Path("/dev/shm")


class Sources:
    """What `compare` is given for a dump, one source for each rank; files are gone after `with`."""

    def __init__(self, dump: Dump, transport: str) -> None:
        self._folder = tempfile.TemporaryDirectory(
            prefix="planted-", dir=_MEMORY if _MEMORY.is_dir() else None
        )
        root = Path(self._folder.name)
        self.ranks: list[Any] = [
            _source(dump, tensors, transport, root / f"rank{rank}", rank)
            for rank, tensors in enumerate(dump.ranks)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()


def _source(dump: Dump, tensors: Mapping[str, Tensor], transport: str, path: Path, rank: int) -> Any:
    if transport == "mapping":
        return dict(tensors)
    if transport == "recording":
        return _recording(dump, tensors, rank)
    if transport == "safetensors":
        target = path.with_suffix(".safetensors")
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, target)
        return target
    path.mkdir()
    for name, tensor in tensors.items():
        torch.save(tensor, path / f"{name}.pth")
    if transport == "directory":
        return path
    files = sorted(path.iterdir())
    if transport == "zip":
        target = path.with_suffix(".zip")
        with zipfile.ZipFile(target, "w") as archive:
            for file in files:
                archive.write(file, file.name)
        return target
    target = path.with_suffix(".tar.gz")
    with tarfile.open(target, "w:gz", compresslevel=1) as archive:
        for file in files:
            archive.add(file, file.name)
    return target


def _recording(dump: Dump, tensors: Mapping[str, Tensor], rank: int) -> Recording:
    """As `capture` leaves it: parameters first, then the outputs of modules."""
    records = []

    def add(name: str, tensor: Tensor, module: str | None, kind: str) -> None:
        records.append(
            Record(
                name=name,
                sequence=len(records),
                dtype=tensor.dtype,
                shape=tuple(tensor.shape),
                read=lambda: tensor,
                module=module,
                kind=kind,
                rank=rank,
            )
        )

    for name, tensor in dump.parameters.items():
        add(name, tensor, name.rpartition(".")[0], "parameters")
    for name, tensor in tensors.items():
        if dump.are_modules:
            add(f"{name}.output", tensor, name, "outputs")
        else:
            add(name, tensor, None, "tensor")
    return Recording(label="(in memory)", records=records, is_ordered=True)
