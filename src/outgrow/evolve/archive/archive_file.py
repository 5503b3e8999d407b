"""The file of an archive: safetensors with the manifest as metadata, and a digest of everything."""

__all__ = ["ARCHIVE", "VERSION", "ArchiveContent", "ArchiveCorrupt", "read_archive", "write_archive"]

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from outgrow import __version__
from outgrow.errors import InputError, StoreError
from outgrow.store import StoreCorrupt, TensorMeta, make_reader, read_header, write_safetensors

VERSION = 1
"""Of the manifest; it goes up when an older outgrow could not read it rightly."""
ARCHIVE = "outgrow.evolve.archive"
"""The kind of file that `evolve.save` writes."""
_COPY = "copy the file again, or take another copy; nothing of it was used"


class ArchiveCorrupt(StoreError):
    """An archive is damaged, cut short, or contradicts itself; nothing of it is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveContent:
    """What is in an archive."""

    manifest: Mapping[str, Any]
    """What is said of the tensors."""
    tensors: Mapping[str, Tensor]
    """All tensors by name, on the CPU."""
    torch_version: str
    """The torch that wrote it."""


def write_archive(
    path: Path,
    manifest: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    overwrite: bool,
    kind: str = ARCHIVE,
) -> None:
    """Write an archive, or another file of the same form by its `kind`; it appears complete or not at all.

    Raises:
        InputError: something is at `path` already and `overwrite` is not set.
        StoreError: the disk is full or cannot be written; what was at `path` is there still.
    """
    if path.is_dir() or (path.exists() and not overwrite):
        raise InputError(
            f"{str(path)!r} is there already, and nothing is written over it",
            hint="give another path" + ("" if path.is_dir() else ", or overwrite=True"),
        )
    described = {name: _description(tensor) for name, tensor in tensors.items()}
    text = json.dumps(
        {**manifest, "tensors": described}, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    metadata = {
        "format": kind,
        "version": str(VERSION),
        "outgrow": __version__,
        "torch": str(torch.__version__),
        "manifest": text,
        "digest": _digest(text.encode()),
    }
    write_safetensors(path, tensors, metadata)


def read_archive(path: Path, *, kind: str = ARCHIVE) -> ArchiveContent:
    """Read an archive whole, and compare every byte with its digest.

    Raises:
        InputError: there is no such file, it is no archive, or one of a newer version.
        ArchiveCorrupt: it is damaged.
        StoreError: it cannot be read.
    """
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a directory", hint="give the file that evolve.save wrote")
    try:
        metas, metadata = read_header(path)
    except StoreCorrupt as err:
        raise ArchiveCorrupt(f"{str(path)!r} is no whole archive: {err.message}", hint=_COPY) from err
    if metadata.get("format") != kind:
        raise InputError(
            f"{str(path)!r} is a safetensors file, and not of the kind {kind!r}",
            hint="evolve.save writes archives; outgrow.stream and safetensors open plain weights",
        )
    version = metadata.get("version", "")
    if not version.isdecimal():
        raise ArchiveCorrupt(f"{str(path)!r} has no version", hint=_COPY)
    if int(version) > VERSION:
        raise InputError(
            f"{str(path)!r} is an archive of version {version}, written by outgrow "
            f"{metadata.get('outgrow')}; this one reads up to {VERSION}",
            hint="update outgrow",
        )
    text = metadata.get("manifest", "")
    if metadata.get("digest") != _digest(text.encode()):
        raise ArchiveCorrupt(f"the manifest of {str(path)!r} is not what was written", hint=_COPY)
    try:
        manifest = json.loads(text)
        described = dict(manifest["tensors"])
    except (KeyError, RecursionError, TypeError, ValueError) as err:
        raise ArchiveCorrupt(f"the manifest of {str(path)!r} makes no sense: {err}", hint=_COPY) from err
    return ArchiveContent(
        manifest=manifest,
        tensors=_read_tensors(path, metas, described),
        torch_version=metadata.get("torch", "unknown"),
    )


def _read_tensors(
    path: Path, metas: Mapping[str, TensorMeta], described: Mapping[str, Any]
) -> dict[str, Tensor]:
    if metas.keys() != described.keys():
        name = min(metas.keys() ^ described.keys())
        what = "is missing" if name in described else "is not in the manifest"
        raise ArchiveCorrupt(f"tensor {name!r} of {str(path)!r} {what}", hint=_COPY)
    tensors = {}
    with make_reader("buffered") as reader:
        for name, meta in metas.items():
            # Memory of torch's own, aligned as a model's is: matrix products on a CPU give other
            # last bits where weights begin elsewhere.
            data = torch.empty(meta.nbytes, dtype=torch.uint8)
            reader.read_into(path, meta.offset, data.numpy().data)
            tensors[name] = data.view(meta.dtype).view(meta.shape)
            if _description(tensors[name]) != described[name]:
                raise ArchiveCorrupt(f"tensor {name!r} of {str(path)!r} is not what was written", hint=_COPY)
    return tensors


def _description(tensor: Tensor) -> list[Any]:
    """Dtype, shape and digest."""
    plain = tensor.detach().to("cpu").contiguous()
    data = plain.reshape(-1).view(torch.uint8).numpy().data if plain.numel() else b""
    return [str(plain.dtype).removeprefix("torch."), list(plain.shape), _digest(data)]


def _digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()
