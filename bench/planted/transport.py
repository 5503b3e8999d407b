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
            _source(tensors, transport, root / f"rank{rank}", dump.are_modules, rank)
            for rank, tensors in enumerate(dump.ranks)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()


def _source(tensors: Mapping[str, Tensor], transport: str, path: Path, are_modules: bool, rank: int) -> Any:
    if transport == "mapping":
        return dict(tensors)
    if transport == "recording":
        return _recording(tensors, are_modules, rank)
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


def _recording(tensors: Mapping[str, Tensor], are_modules: bool, rank: int) -> Recording:
    records = []
    for index, (name, tensor) in enumerate(tensors.items()):
        records.append(
            Record(
                name=f"{name}.output" if are_modules else name,
                sequence=index,
                dtype=tensor.dtype,
                shape=tuple(tensor.shape),
                read=lambda tensor=tensor: tensor,
                module=name if are_modules else None,
                kind="outputs" if are_modules else "tensor",
                rank=rank,
            )
        )
    return Recording(label="(in memory)", records=records, is_ordered=True)
