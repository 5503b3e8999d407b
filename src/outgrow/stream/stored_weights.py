"""The weights of a model in memory, written once to where they will be streamed from."""

__all__ = ["CODEC", "RUN_BYTES", "StoredWeights", "store_weights"]

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import InputError, StoreError
from outgrow.events import Listener
from outgrow.interrupts import let_interrupts_through
from outgrow.store.checkpoint import FileIdentity, open_checkpoint
from outgrow.store.codec import Codec, make_codec
from outgrow.store.lock import lock_directory
from outgrow.store.writer import make_private_directory, write_json, write_safetensors
from outgrow.stream.source import Segment, WeightSource, source_of

_FORMAT = "outgrow.stored-weights"
_VERSION = 1
_MANIFEST = "manifest.json"
_WEIGHTS = "weights.safetensors"
CODEC = "blosc2"
"""How weights are encoded where that is asked for."""
RUN_BYTES = 1 << 20
"""Weights are encoded in runs of this many bytes, so that a piece needs only the runs that it touches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWeights:
    """Where the weights of a model lie."""

    sources: Mapping[str, WeightSource]
    """By the first qualified name of each parameter."""
    strides: Mapping[str, tuple[int, ...]]
    """Strides of parameters that are dense but not row-major."""
    identities: Mapping[Path, FileIdentity]
    """The files."""
    folder: Path
    """The directory that was made for them, with nothing else in it."""
    was_reused: bool
    """Whether identical weights were there already."""


def store_weights(
    parameters: Mapping[str, Tensor],
    tables: frozenset[str],
    storage_path: Path,
    *,
    compression_level: int | None,
    listener: Listener,
) -> StoredWeights:
    """Write `parameters` to a directory of their own below `storage_path`, or find them there.

    The directory is named by the digest of all names, shapes, dtypes and bytes: the same weights are written
    once, and different ones never take each other's place. It appears complete or not at all.

    Args:
        parameters: by qualified name, each storage once.
        tables: names of embeddings, which are read by row and therefore never encoded.
        storage_path: made (mode 0700) if it is not there.
        compression_level: 1 to 9 to encode with a lossless codec; None to store the bytes as they are.
        listener: hears `Progress` in bytes.

    Raises:
        InputError: `storage_path` is not a directory, or a parameter has no bytes that could be written.
        StoreLocked: another process is writing there.
        StoreError: it cannot be written, or the disk is full. Nothing is left behind.
    """
    if storage_path.exists() and not storage_path.is_dir():
        raise InputError(f"storage_path {str(storage_path)!r} is a file", hint="give a directory")
    physical, strides = {}, {}
    for name, parameter in parameters.items():
        physical[name], stride = _row_major(parameter)
        if stride is not None:
            strides[name] = stride
    digest = _digest(physical, strides, compression_level)
    folder = storage_path / digest[:32]
    make_private_directory(storage_path)
    with lock_directory(storage_path):
        was_reused = _is_intact(folder, digest)
        if not was_reused:
            try:
                runs = _write(physical, tables, folder, compression_level, listener)
                stat = FileIdentity.of(folder / _WEIGHTS)
                write_json(
                    folder / _MANIFEST,
                    {
                        "format": _FORMAT,
                        "version": _VERSION,
                        "digest": digest,
                        "bytes": stat.size,
                        "mtime_ns": stat.mtime_ns,
                        "codec": CODEC if compression_level is not None else None,
                        "runs": runs,
                        "weights": {name: _described(tensor) for name, tensor in physical.items()},
                    },
                )
            except BaseException:
                # Weights without a manifest would never be found again.
                rmtree(folder, ignore_errors=True)
                raise
    return _opened(folder, physical, strides, was_reused=was_reused)


def _opened(
    folder: Path, physical: Mapping[str, Tensor], strides: Mapping[str, tuple[int, ...]], *, was_reused: bool
) -> StoredWeights:
    checkpoint = open_checkpoint(folder / _WEIGHTS)
    manifest = json.loads((folder / _MANIFEST).read_text())
    sources = {}
    for name, tensor in physical.items():
        shape, runs = tuple(tensor.shape), manifest["runs"].get(name)
        if runs is None:
            source = source_of(checkpoint.tensors[name])
            sources[name] = WeightSource(name=name, shape=shape, dtype=tensor.dtype, segments=source.segments)
            continue
        meta, segments, offset = checkpoint.tensors[name], [], checkpoint.tensors[name].offset
        for index, nbytes in enumerate(runs):
            segments.append(Segment(path=meta.path, offset=offset, nbytes=nbytes, begin=index * RUN_BYTES))
            offset += nbytes
        sources[name] = WeightSource(
            name=name, shape=shape, dtype=tensor.dtype, segments=tuple(segments), codec=manifest["codec"]
        )
    return StoredWeights(
        sources=sources,
        strides=dict(strides),
        identities=checkpoint.identities,
        folder=folder,
        was_reused=was_reused,
    )


def _write(
    physical: Mapping[str, Tensor],
    tables: frozenset[str],
    folder: Path,
    level: int | None,
    listener: Listener,
) -> dict[str, list[int]]:
    """Write the weights; lengths of encoded runs by name."""
    if level is None:
        write_safetensors(folder / _WEIGHTS, physical, {"format": "pt"}, listener)
        return {}
    runs: dict[str, list[int]] = {}
    codec = make_codec(CODEC)

    def encoded(name: str, tensor: Tensor) -> Tensor:
        parts = list(_encoded_runs(tensor, codec, level))
        runs[name] = [len(part) for part in parts]
        return torch.frombuffer(bytearray(b"".join(parts)), dtype=torch.uint8)

    # Encoded lengths are known only afterwards, and a header comes first: weights are encoded one by one and
    # kept.
    stored = {
        name: tensor if name in tables or not tensor.numel() else encoded(name, tensor)
        for name, tensor in physical.items()
    }
    write_safetensors(folder / _WEIGHTS, stored, {"format": "pt"}, listener)
    return runs


def _encoded_runs(tensor: Tensor, codec: Codec, level: int) -> Iterator[bytes]:
    view = tensor.reshape(-1).view(torch.uint8).numpy().data
    for begin in range(0, view.nbytes, RUN_BYTES):
        let_interrupts_through()
        yield codec.encode(view[begin : begin + RUN_BYTES], tensor.dtype.itemsize, level)


def _row_major(parameter: Tensor) -> tuple[Tensor, tuple[int, ...] | None]:
    """The bytes of a parameter in the order of memory as a row-major tensor on the CPU, and its strides where
    not so."""
    tensor = parameter.detach()
    if tensor.layout is not torch.strided or type(tensor) not in (Tensor, nn.Parameter):
        raise InputError(
            f"a parameter of layout {tensor.layout} and type {type(tensor).__name__} cannot be streamed",
            hint="stream plain dense parameters, before they are quantized, wrapped or distributed",
        )
    if tensor.is_contiguous():
        return tensor.cpu(), None
    strides = tensor.stride()
    order = sorted(range(tensor.dim()), key=lambda dim: (-strides[dim], tensor.size(dim)))
    dense = tensor.permute(order)
    if not dense.is_contiguous():
        return tensor.cpu().contiguous(), None
    # Same bytes, same places: products with it choose the same kernels, hence the same bits. The shape is the
    # weight's, the order of elements that of memory.
    return dense.cpu().reshape(tensor.shape), tuple(tensor.stride())


def _digest(physical: Mapping[str, Tensor], strides: Mapping[str, tuple[int, ...]], level: int | None) -> str:
    total = hashlib.sha256(f"{_FORMAT} {_VERSION} {level}".encode())
    for name, tensor in physical.items():
        let_interrupts_through()
        total.update(json.dumps([name, _described(tensor), strides.get(name)]).encode())
        if tensor.numel():
            total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _described(tensor: Tensor) -> list[Any]:
    return [str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]


def _is_intact(folder: Path, digest: str) -> bool:
    """Whether a complete store with this digest is there, untouched since it was written."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        stat = FileIdentity.of(folder / _WEIGHTS)
    except (OSError, ValueError, InputError, StoreError):
        # Not there, or half of it: written again.
        return False
    if not isinstance(manifest, dict):
        return False
    found = (manifest.get("format"), manifest.get("version"), manifest.get("digest"))
    return found == (_FORMAT, _VERSION, digest) and (manifest.get("bytes"), manifest.get("mtime_ns")) == (
        stat.size,
        stat.mtime_ns,
    )
