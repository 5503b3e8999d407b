"""Is every byte of a checkpoint what it was? Digests, and a verification that names all damage, not only the
first."""

__all__ = ["DIGESTS_NAME", "Damage", "Report", "record_digests", "verify"]

import hashlib
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outgrow.errors import OutgrowError, StoreError
from outgrow.events import Listener, Progress, ignore
from outgrow.store.checkpoint import Checkpoint, Layout, locate, open_checkpoint
from outgrow.store.header import StoreCorrupt, TensorMeta, inspect_header
from outgrow.store.readers import BufferedReader, Reader
from outgrow.store.writer import write_json

DIGESTS_NAME = "outgrow.digests.json"
"""The file beside the weights that holds their digests."""

_FORMAT = "outgrow.digests"
_VERSION = 1
_ALGORITHM = "sha256"
_PART_BYTES = 2**22
_THREADS = 4
_LIMIT_BYTES = 500_000_000
# The Hugging Face cache names each large file by the SHA-256 of its content.
_BLOB = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that is wrong."""

    path: Path
    """The file that it is in, or that is missing."""
    tensor: str | None
    """The tensor that is lost by it; None where it concerns the file as a whole."""
    message: str
    """What is wrong, in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What `verify` found."""

    root: Path
    """The directory of the files."""
    files: int
    """How many files belong to the checkpoint, missing ones included."""
    tensors: int
    """How many tensors were found whole by their headers."""
    nbytes: int
    """Bytes of these tensors."""
    checked_tensors: int
    """How many of them were read and compared with a digest."""
    damages: tuple[Damage, ...]
    """Everything that is wrong, file after file."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong as far as could be checked."""
        return not self.damages


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """A run of bytes of a file and the digest that it should have."""

    path: Path
    tensor: str | None
    offset: int
    nbytes: int
    digest: str
    tensors: tuple[str, ...]
    """The tensors that are known to be right when this is."""

    def run(self, reader: Reader) -> Damage | None:
        try:
            found = _digest(reader, self.path, self.offset, self.nbytes)
        except StoreError as err:
            return Damage(path=self.path, tensor=self.tensor, message=err.message)
        if found == self.digest:
            return None
        what = f"weight {self.tensor!r}" if self.tensor is not None else "the file"
        message = f"{what} has the digest {found[:16]}…, expected {self.digest[:16]}…: its content changed"
        return Damage(path=self.path, tensor=self.tensor, message=message)


def verify(path: Path | str, *, listener: Listener = ignore) -> Report:
    """Check the checkpoint at `path` (file, index or directory) and name every damaged, truncated or missing
    part.

    Headers, sizes and the index are always checked. Contents are where there are digests to compare with:
    those that `record_digests` wrote, or the file names in a Hugging Face cache.

    Raises:
        InputError: there is no checkpoint at `path`.
    """
    layout, damages = _locate(Path(path).expanduser())
    records, more = _read_records(layout, is_single=Path(path).is_file() and layout.index is None)
    damages += more
    places = {name: layout.root / place for name, place in (layout.places or {}).items()}
    places |= {name: layout.root / record["file"] for name, record in records.items()}
    files = sorted({*layout.files, *places.values()})
    sound: dict[str, TensorMeta] = {}
    checks: list[_Check] = []
    for file in files:
        metas, more = _check_header(file, [name for name, place in places.items() if place == file])
        damages += more
        more, own = _check_records(layout.root, file, metas, records)
        damages += more
        checks += own
        sound |= metas
    done, total = 0, sum(check.nbytes for check in checks)
    failed: list[Damage] = []
    with BufferedReader() as reader, ThreadPoolExecutor(_THREADS) as threads:
        for check, damage in zip(checks, threads.map(lambda check: check.run(reader), checks), strict=True):
            done += check.nbytes
            listener(Progress(task="verifying", done=done, total=total, item=check.tensor or check.path.name))
            failed += [damage] if damage else []
    lost = {(damage.path, damage.tensor) for damage in failed}
    order = {file: position for position, file in enumerate(files)}
    return Report(
        root=layout.root,
        files=len(files),
        tensors=len(sound),
        nbytes=sum(meta.nbytes for meta in sound.values()),
        checked_tensors=len(
            {name for check in checks if (check.path, check.tensor) not in lost for name in check.tensors}
        ),
        damages=tuple(sorted([*damages, *failed], key=lambda damage: order.get(damage.path, -1))),
    )


def record_digests(path: Path | str, *, listener: Listener = ignore) -> Path:
    """Read every tensor of the checkpoint at `path` and write their digests beside it; returns the file
    written.

    Raises:
        InputError: there is no checkpoint at `path`.
        StoreCorrupt: it is damaged.
        StoreError: it cannot be read, or its directory cannot be written.
    """
    checkpoint = open_checkpoint(path)
    content = {
        "format": _FORMAT,
        "version": _VERSION,
        "algorithm": _ALGORITHM,
        "tensors": _digests(checkpoint, listener),
    }
    target = checkpoint.root / DIGESTS_NAME
    write_json(target, content)
    return target


def _digests(checkpoint: Checkpoint, listener: Listener) -> dict[str, dict[str, Any]]:
    tensors = checkpoint.tensors
    done, total = 0, sum(meta.nbytes for meta in tensors.values())
    found: dict[str, dict[str, Any]] = {}
    with BufferedReader() as reader, ThreadPoolExecutor(_THREADS) as threads:
        digests = threads.map(
            lambda meta: _digest(reader, meta.path, meta.offset, meta.nbytes), tensors.values()
        )
        for (name, meta), digest in zip(tensors.items(), digests, strict=True):
            found[name] = _record(meta, checkpoint.root) | {_ALGORITHM: digest}
            done += meta.nbytes
            listener(Progress(task="digesting", done=done, total=total, item=name))
    return found


def _record(meta: TensorMeta, root: Path) -> dict[str, Any]:
    file = meta.path.relative_to(root).as_posix()
    return {"file": file, "dtype": str(meta.dtype).removeprefix("torch."), "shape": list(meta.shape)}


def _digest(reader: Reader, path: Path, offset: int, nbytes: int) -> str:
    digest = hashlib.new(_ALGORITHM)
    part = memoryview(bytearray(min(_PART_BYTES, nbytes)))
    for start in range(0, nbytes, _PART_BYTES):
        now = part[: nbytes - start]
        reader.read_into(path, offset + start, now)
        digest.update(now)
    return digest.hexdigest()


def _locate(path: Path) -> tuple[Layout, list[Damage]]:
    try:
        return locate(path), []
    except StoreCorrupt as err:
        # The index is unreadable; the files that lie beside it can be checked all the same.
        root = path if path.is_dir() else path.parent
        index = path if path.is_file() else next(iter(sorted(root.glob("*.safetensors.index.json"))), path)
        files = tuple(sorted(root.glob("*.safetensors")))
        return Layout(root=root, files=files), [Damage(path=index, tensor=None, message=err.message)]


def _check_header(file: Path, expected: list[str]) -> tuple[dict[str, TensorMeta], list[Damage]]:
    """The sound tensors of a file, and what is wrong with the others that should be in it."""
    try:
        metas, _, problems = inspect_header(file)
    except OutgrowError as err:
        missing = "is missing" if not file.exists() else f"cannot be read: {err.message}"
        damages = [Damage(path=file, tensor=None, message=f"the file {file.name!r} {missing}")]
        return {}, damages + [
            Damage(path=file, tensor=name, message=f"weight {name!r} is lost with {file.name!r}")
            for name in expected
        ]
    damages = [
        # A damage has the file beside it, so that the sentence need not repeat it.
        Damage(
            path=file,
            tensor=problem.tensor,
            message=problem.error.message.replace(f" in {str(file)!r}", "", 1),
        )
        for problem in problems
    ]
    named = {problem.tensor for problem in problems}
    damages += [
        Damage(path=file, tensor=name, message=f"weight {name!r} is not in {file.name!r}, where it should be")
        for name in expected
        if name not in metas and name not in named
    ]
    return {name: meta for name, meta in metas.items() if name not in named}, damages


def _check_records(
    root: Path, file: Path, metas: Mapping[str, TensorMeta], records: Mapping[str, dict[str, Any]]
) -> tuple[list[Damage], list[_Check]]:
    """What the records say of a file's tensors: contradictions, and contents still to be read."""
    damages: list[Damage] = []
    checks: list[_Check] = []
    for name, meta in metas.items():
        record = records.get(name)
        if record is None or root / record["file"] != file:
            continue
        if {key: record.get(key) for key in ("file", "dtype", "shape")} != _record(meta, root):
            recorded = f"{record.get('dtype')} of {record.get('shape')}"
            message = f"weight {name!r} is {meta.dtype} of {list(meta.shape)} but was recorded as {recorded}"
            damages.append(Damage(path=file, tensor=name, message=message))
            continue
        checks.append(
            _Check(
                path=file,
                tensor=name,
                offset=meta.offset,
                nbytes=meta.nbytes,
                digest=record[_ALGORITHM],
                tensors=(name,),
            )
        )
    blob = file.resolve().name
    if file.is_symlink() and _BLOB.fullmatch(blob) and not checks:
        size = file.stat().st_size
        checks.append(
            _Check(path=file, tensor=None, offset=0, nbytes=size, digest=blob, tensors=tuple(metas))
        )
    return damages, checks


def _read_records(layout: Layout, *, is_single: bool) -> tuple[dict[str, dict[str, Any]], list[Damage]]:
    """The recorded digests of the layout's tensors; what is wrong with the file that holds them."""
    path = layout.root / DIGESTS_NAME
    if not path.exists():
        return {}, []
    try:
        content = _decode_records(path)
    except (OSError, TypeError, ValueError, RecursionError) as err:
        message = f"the digests in {str(path)!r} cannot be used: {err}"
        return {}, [Damage(path=path, tensor=None, message=message)]
    # The records are of the whole directory, and somebody may ask about one file of it.
    names = {file.name for file in layout.files}
    if is_single:
        return {name: record for name, record in content.items() if record["file"] in names}, []
    return content, []


def _decode_records(path: Path) -> dict[str, dict[str, Any]]:
    """The records in the file at `path`, or a ValueError that says why they cannot be used."""
    if path.stat().st_size > _LIMIT_BYTES:
        raise ValueError(f"the file has {path.stat().st_size:,} bytes")
    content = json.loads(path.read_bytes())
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError("they are not outgrow's")
    if content.get("version") != _VERSION or content.get("algorithm") != _ALGORITHM:
        raise ValueError(
            f"version {content.get('version')!r} is not known to this outgrow, which knows {_VERSION}"
        )
    tensors: dict[str, Any] = dict(content.get("tensors", "none"))
    for name, record in tensors.items():
        texts = [record.get(key) for key in ("file", _ALGORITHM)] if isinstance(record, dict) else [None]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"the record of {name!r} has no file or digest")
        if Path(record["file"]).is_absolute() or ".." in Path(record["file"]).parts:
            raise ValueError(f"the record of {name!r} points outside the directory")
    return tensors
