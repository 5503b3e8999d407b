"""A checkpoint as a whole: one file, a sharded index or a Hugging Face directory, opened by headers alone."""

__all__ = [
    "Checkpoint",
    "FileIdentity",
    "Layout",
    "StoreChanged",
    "check_unchanged",
    "locate",
    "open_checkpoint",
    "read_index",
]

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from outgrow.errors import InputError, StoreError, hint_for
from outgrow.store.header import StoreCorrupt, TensorMeta, read_header

_INDEX_LIMIT_BYTES = 500_000_000
_TORCH_SUFFIXES = (".bin", ".pt", ".pth", ".gguf")


class StoreChanged(StoreError):
    """A checkpoint file is no longer the one that was opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIdentity:
    """What tells one state of a file from another without reading it."""

    inode: int
    """The file's number on its file system."""
    size: int
    """Its length in bytes."""
    mtime_ns: int
    """When it was last written, in nanoseconds since 1970."""

    @classmethod
    def of(cls, path: Path | str) -> "FileIdentity":
        """The identity of the file at `path` now; a link is followed.

        Raises:
            InputError: there is no such file.
            StoreError: it cannot be looked at.
        """
        try:
            stat = Path(path).stat()
        except FileNotFoundError as err:
            raise InputError(
                f"no such file: {str(path)!r}",
                hint="look at the spelling; a file that was there a moment ago was moved or removed",
            ) from err
        except OSError as err:
            raise StoreError(
                f"cannot look at {str(path)!r}: {err.strerror or err}", hint=hint_for(err)
            ) from err
        return cls(inode=stat.st_ino, size=stat.st_size, mtime_ns=stat.st_mtime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where every tensor of a checkpoint lies. Holds no open file and no weight."""

    root: Path
    """The directory of the files."""
    tensors: Mapping[str, TensorMeta]
    """Every tensor by name, file after file, in the order of their bytes."""
    files: tuple[Path, ...]
    """The safetensors files, sorted."""
    metadata: Mapping[str, str]
    """The metadata of the index and of the files; where two say different things the first file wins."""
    identities: Mapping[Path, FileIdentity]
    """What each file was when it was opened, for `check_unchanged`."""
    is_huggingface: bool
    """Whether a `config.json` lies beside the weights."""

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors together."""
        return sum(meta.nbytes for meta in self.tensors.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which files a checkpoint should consist of, before any of them was opened."""

    root: Path
    """The directory of the files."""
    files: tuple[Path, ...]
    """The safetensors files, sorted."""
    index: Path | None = None
    """The index that names them."""
    places: Mapping[str, str] | None = None
    """The file name of each tensor by the index; None without one."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The index's own metadata."""


def open_checkpoint(path: Path | str) -> Checkpoint:
    """Read the headers at `path`: a safetensors file, a `*.index.json`, or a directory with either.

    In a directory the files are chosen as transformers does: `model.safetensors`, else the index, else every
    safetensors file in it. No weight is read.

    Raises:
        InputError: nothing is there, it is no checkpoint, or a dtype is one that torch does not have.
        StoreCorrupt: a file or the index is damaged, or a file that the index names is missing.
        StoreError: a file cannot be read.
    """
    layout = locate(path)
    for file in layout.files:
        if not file.is_file():
            held = [name for name, place in (layout.places or {}).items() if layout.root / place == file]
            raise StoreCorrupt(
                f"the index {str(layout.index)!r} names {file.name!r}, which is missing, "
                f"with {len(held)} tensors in it, {held[0]!r} first",
                hint=f"download it again; `outgrow store verify {layout.root}` lists all that is missing",
            )
    return _open_files(layout)


def locate(path: Path | str) -> Layout:
    """Which files make up the checkpoint at `path`; they are neither opened nor, where an index names them,
    looked for.

    Raises:
        InputError: nothing is there, or it is no checkpoint.
        StoreCorrupt: the index is damaged.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _locate_in_directory(path)
    if not path.exists():
        raise InputError(
            f"no checkpoint at {str(path)!r}: no such file or directory",
            hint="give a .safetensors file, a .index.json or the directory of a model",
        )
    if path.name.endswith(".index.json"):
        return _locate_by_index(path)
    if path.suffix in _TORCH_SUFFIXES:
        raise InputError(f"{str(path)!r} is not a safetensors file", hint=_convert_hint(path))
    return Layout(root=path.parent, files=(path,))


def read_index(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The file name of each tensor by an index, and the index's metadata as text.

    Raises:
        InputError: there is no such file.
        StoreCorrupt: it is not an index, or names a file outside its own directory.
    """
    hint = "download the index again, or open the directory's files one by one"
    try:
        if path.stat().st_size > _INDEX_LIMIT_BYTES:
            raise StoreCorrupt(f"the index {str(path)!r} has {path.stat().st_size:,} bytes", hint=hint)
        content = json.loads(path.read_bytes())
    except FileNotFoundError as err:
        raise InputError(
            f"no such index: {str(path)!r}",
            hint="give the .safetensors.index.json of the model, or its directory",
        ) from err
    except OSError as err:
        raise StoreError(f"cannot read {str(path)!r}: {err.strerror or err}", hint=hint_for(err)) from err
    except (ValueError, RecursionError) as err:
        raise StoreCorrupt(f"the index {str(path)!r} cannot be understood: {err}", hint=hint) from err
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise StoreCorrupt(f"the index {str(path)!r} has no 'weight_map' of file names", hint=hint)
    for name, file in places.items():
        parts = PurePosixPath(file.replace("\\", "/")).parts
        if not parts or ".." in parts or PurePosixPath(file).is_absolute() or Path(file).is_absolute():
            raise StoreCorrupt(
                f"the index {str(path)!r} puts {name!r} outside its directory: {file!r}", hint=hint
            )
    metadata = content.get("metadata")
    texts = metadata.items() if isinstance(metadata, dict) else ()
    return places, {key: value if isinstance(value, str) else json.dumps(value) for key, value in texts}


def check_unchanged(identities: Mapping[Path, FileIdentity]) -> None:
    """Make sure that every file is still what it was.

    Raises:
        StoreChanged: a file was replaced, rewritten, truncated or removed; all of them are named.
    """
    changed = []
    for path, before in identities.items():
        try:
            now = FileIdentity.of(path)
        except InputError:
            changed.append(f"{str(path)!r} is gone")
            continue
        if now.inode != before.inode:
            changed.append(f"{str(path)!r} was replaced by another file")
        elif now.size != before.size:
            changed.append(f"{str(path)!r} had {before.size:,} bytes and has {now.size:,}")
        elif now.mtime_ns != before.mtime_ns:
            changed.append(f"{str(path)!r} was written to")
    if changed:
        raise StoreChanged(
            "the checkpoint changed while it was in use: " + "; ".join(changed),
            hint="open it again; weights read before and after the change do not belong together",
        )


def _locate_in_directory(root: Path) -> Layout:
    if (root / "model.safetensors").is_file():
        return Layout(root=root, files=(root / "model.safetensors",))
    indexes = sorted(root.glob("*.safetensors.index.json"))
    if (root / "model.safetensors.index.json") in indexes:
        return _locate_by_index(root / "model.safetensors.index.json")
    if len(indexes) == 1:
        return _locate_by_index(indexes[0])
    if indexes:
        names = ", ".join(index.name for index in indexes)
        raise InputError(
            f"{str(root)!r} has several checkpoints: {names}", hint="give the path of one of them"
        )
    found = sorted(root.glob("*.safetensors"))
    files = tuple(path for path in found if path.is_file())
    if files:
        return Layout(root=root, files=files)
    if found and found[0].is_symlink():
        raise InputError(
            f"{str(found[0])!r} leads to {str(found[0].readlink())!r}, which does not exist",
            hint="the download was not finished, or its cache was cleaned: download the model again",
        )
    others = sorted(path for path in root.iterdir() if path.suffix in _TORCH_SUFFIXES)
    if others:
        raise InputError(f"{str(root)!r} has no safetensors files", hint=_convert_hint(others[0]))
    raise InputError(
        f"{str(root)!r} is not a checkpoint: it has neither safetensors files nor an index",
        hint="give the directory of a downloaded model",
    )


def _locate_by_index(path: Path) -> Layout:
    places, metadata = read_index(path)
    if any(not name.endswith(".safetensors") for name in places.values()):
        raise InputError(f"the index {str(path)!r} is not of safetensors files", hint=_convert_hint(path))
    files = tuple(sorted({path.parent / name for name in places.values()}))
    return Layout(root=path.parent, files=files, index=path, places=places, metadata=metadata)


def _open_files(layout: Layout) -> Checkpoint:
    root, places = layout.root, layout.places
    tensors: dict[str, TensorMeta] = {}
    merged = dict(layout.metadata)
    identities = {}
    for file in layout.files:
        # Taken before the header is read: a file replaced in between then shows as changed.
        identities[file] = FileIdentity.of(file)
        metas, own = read_header(file)
        for key, value in own.items():
            merged.setdefault(key, value)
        for name, meta in metas.items():
            # A tensor that the index puts elsewhere, or does not name, is not part of the checkpoint.
            if places is not None and (name not in places or root / places[name] != file):
                continue
            if name in tensors:
                raise InputError(
                    f"the name {name!r} is in {tensors[name].path.name!r} and {file.name!r} of {str(root)!r}",
                    hint="these are several checkpoints: give the path of one file or of its index",
                )
            tensors[name] = meta
    for name, place in (places or {}).items():
        if name not in tensors:
            raise StoreCorrupt(
                f"the index {str(layout.index)!r} puts {name!r} into {place!r}, which has no such tensor",
                hint="index and files are not of the same download; download both again",
            )
    return Checkpoint(
        root=root,
        tensors=tensors,
        files=layout.files,
        metadata=merged,
        identities=identities,
        is_huggingface=(root / "config.json").is_file(),
    )


def _convert_hint(path: Path) -> str:
    return f"run `outgrow store convert {path} NEW_DIRECTORY` first"
