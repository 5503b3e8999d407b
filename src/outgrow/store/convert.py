"""Foreign checkpoints to a Hugging Face directory of safetensors: resumable, and complete or not there."""

__all__ = ["CONVERSION_NAME", "Conversion", "convert"]

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from outgrow.errors import InputError, StoreError, hint_for
from outgrow.events import Listener, Progress, ignore
from outgrow.quantities import format_bytes
from outgrow.store.checkpoint import open_checkpoint
from outgrow.store.header import StoreCorrupt
from outgrow.store.integrity import record_digests
from outgrow.store.lock import lock_file
from outgrow.store.sources import SOURCES, Source, SourceFormat
from outgrow.store.writer import (
    TensorSpec,
    make_private_directory,
    sync_directory,
    write_json,
    write_safetensors,
)

CONVERSION_NAME = "outgrow.conversion.json"
"""The file in a converted directory that says what it was made from."""

_FORMAT = "outgrow.conversion"
_VERSION = 1
# Headers, digests, configuration and tokenizer: everything besides the weights.
_EXTRA_BYTES = 64_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What `convert` did."""

    path: Path
    """The directory with the result."""
    tensors: int
    """How many tensors it has."""
    nbytes: int
    """Their bytes."""
    is_new: bool
    """False where the directory held this very conversion already."""
    resumed_shards: int
    """How many files an interrupted conversion had finished before."""


def convert(
    source: Path | str,
    target: Path | str,
    *,
    dtype: torch.dtype | None = None,
    shard_bytes: int = 2_000_000_000,
    listener: Listener = ignore,
) -> Conversion:
    """Write the GGUF or torch checkpoint at `source` as a directory of safetensors files at `target`.

    `dtype` is for tensors of floating point; None means bfloat16 for GGUF and each tensor's own for torch
    files. The weights are cut into files of about `shard_bytes`. Digests, configuration and tokenizer are
    written along, so far as the source has them. All is readable by its owner alone. No code from the source
    is run.

    `target` appears when everything is written. Until then the work lies in `TARGET.partial` beside it, and a
    conversion that was interrupted, however, goes on there when it is started again with the same arguments;
    if not one file of weights was finished, nothing is left. A finished conversion is not done again.

    Raises:
        InputError: the source is not there, of an unknown kind, or cannot be converted without loss; the
            target exists and is something else. StoreCorrupt: the source is damaged. StoreLocked: somebody
            else converts to the same target.
        StoreError: the disk is full or cannot be written.
    """
    source, target = Path(source).expanduser(), Path(target).expanduser().absolute()
    if shard_bytes < 1:
        raise InputError(
            f"files of {shard_bytes} bytes cannot hold anything",
            hint="leave the size out, or write one such as 4GiB",
        )
    kind, files = _find(source)
    plan = _plan(files, dtype, shard_bytes)
    make_private_directory(target.parent)
    with lock_file(target.with_name(f".{target.name}.outgrow.lock"), subject=target):
        if target.exists():
            return _existing(target, plan)
        partial = target.with_name(f"{target.name}.partial")
        resumed = _prepare(partial, plan)
        try:
            opened = kind.open(files, dtype)
            opened.write_companions(partial)
            _write(partial, opened, shard_bytes, listener)
            _make_private(partial)
            record_digests(partial, listener=listener)
            partial.replace(target)
            sync_directory(target.parent)
        except (InputError, StoreCorrupt):
            # It can never succeed: what was finished is of no use.
            shutil.rmtree(partial)
            raise
        except OSError as err:
            raise StoreError(
                f"cannot write {str(partial)!r}: {err.strerror or err}", hint=hint_for(err)
            ) from err
        finally:
            if partial.exists() and not _finished_shards(partial):
                shutil.rmtree(partial)
    return _describe(target, is_new=True, resumed=resumed)


def _find(source: Path) -> tuple[SourceFormat, tuple[Path, ...]]:
    if not source.exists():
        raise InputError(
            f"nothing to convert at {str(source)!r}: no such file or directory",
            hint="look at the spelling; a model on the Hub is downloaded first: `hf download NAME`",
        )
    for kind in SOURCES.values():
        files = kind.find(source)
        if files:
            return kind, files
    if source.suffix == ".safetensors" or (source.is_dir() and any(source.glob("*.safetensors"))):
        raise InputError(f"{str(source)!r} is already in safetensors files", hint="use it as it is")
    raise InputError(
        f"{str(source)!r} is no checkpoint that can be converted",
        hint="give a .gguf, .bin, .pt or .pth file, an index of them, or a directory with one of these",
    )


def _plan(files: tuple[Path, ...], dtype: torch.dtype | None, shard_bytes: int) -> dict[str, Any]:
    """What tells one conversion from another."""
    stats = [(file.name, file.stat()) for file in files]
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "source": [
            {"name": name, "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns} for name, stat in stats
        ],
        "dtype": None if dtype is None else str(dtype).removeprefix("torch."),
        "shard_bytes": shard_bytes,
    }


def _read_plan(directory: Path) -> object:
    try:
        return json.loads((directory / CONVERSION_NAME).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def _existing(target: Path, plan: dict[str, Any]) -> Conversion:
    if _read_plan(target) != plan:
        raise InputError(
            f"{str(target)!r} exists already and is not this conversion",
            hint="choose another target, or move the old one away",
        )
    return _describe(target, is_new=False, resumed=0)


def _describe(target: Path, *, is_new: bool, resumed: int) -> Conversion:
    checkpoint = open_checkpoint(target)
    return Conversion(
        path=target,
        tensors=len(checkpoint.tensors),
        nbytes=checkpoint.nbytes,
        is_new=is_new,
        resumed_shards=resumed,
    )


def _prepare(partial: Path, plan: dict[str, Any]) -> int:
    """Make ready the directory for the work; returns how many finished files of an earlier attempt are in
    it."""
    if partial.exists() and _read_plan(partial) != plan:
        if not partial.is_dir() or not (partial / CONVERSION_NAME).exists():
            raise InputError(f"{str(partial)!r} is in the way and not ours", hint="move it away")
        # Of another source or with other options: nothing in it can be used.
        shutil.rmtree(partial)
    make_private_directory(partial)
    write_json(partial / CONVERSION_NAME, plan)
    for leftover in partial.glob(".*.partial"):
        leftover.unlink()
    return len(_finished_shards(partial))


def _finished_shards(partial: Path) -> list[Path]:
    # A file has its name only once it is whole and on the disk: that is all the journal there needs to be.
    return sorted(partial.glob("*.safetensors"))


def _write(partial: Path, source: Source, shard_bytes: int, listener: Listener) -> None:
    shards = _cut(source.specs, shard_bytes)
    names = [
        "model.safetensors" if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        for number in range(1, len(shards) + 1)
    ]
    sizes = [sum(_nbytes(spec) for spec in shard) for shard in shards]
    todo = [not _is_finished(partial / name, shard) for name, shard in zip(names, shards, strict=True)]
    needed = sum(size for size, is_open in zip(sizes, todo, strict=True) if is_open) + _EXTRA_BYTES
    free = shutil.disk_usage(partial).free
    if free < needed:
        raise StoreError(
            f"no space to convert: {format_bytes(needed)} are needed and {format_bytes(free)} are free",
            hint="free some space or choose a target on another disk",
        )
    done = 0
    for name, shard, size, is_open in zip(names, shards, sizes, todo, strict=True):
        if is_open:
            write_safetensors(partial / name, shard, {"format": "pt"}, _shifted(listener, done, sum(sizes)))
        done += size
    listener(Progress(task="converting", done=done, total=sum(sizes)))
    if len(shards) > 1:
        places = {spec[0]: name for name, shard in zip(names, shards, strict=True) for spec in shard}
        write_json(
            partial / "model.safetensors.index.json",
            {"metadata": {"total_size": sum(sizes)}, "weight_map": places},
        )


def _nbytes(spec: TensorSpec) -> int:
    _, shape, dtype, _ = spec
    count = dtype.itemsize
    for size in shape:
        count *= size
    return count


def _cut(specs: tuple[TensorSpec, ...], shard_bytes: int) -> list[list[TensorSpec]]:
    shards: list[list[TensorSpec]] = [[]]
    filled = 0
    for spec in specs:
        if shards[-1] and filled + _nbytes(spec) > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(spec)
        filled += _nbytes(spec)
    return shards


def _is_finished(path: Path, shard: list[TensorSpec]) -> bool:
    if not path.exists():
        return False
    try:
        found = open_checkpoint(path).tensors
    except StoreCorrupt:
        return False
    wanted = {name: (shape, dtype) for name, shape, dtype, _ in shard}
    return {name: (meta.shape, meta.dtype) for name, meta in found.items()} == wanted


def _shifted(listener: Listener, before: int, total: int) -> Listener:
    """Turns the writer's progress within a file into that of the whole conversion."""

    def tell(event: object, /) -> None:
        if isinstance(event, Progress) and event.item:
            listener(Progress(task="converting", done=before + event.done, total=total, item=event.item))

    return tell


def _make_private(directory: Path) -> None:
    for path in directory.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
