"""Recordings on disk, opened by their index alone: no tensor is read before somebody asks for it."""

__all__ = ["open_own"]

import mmap
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from outgrow.capture.recording import Record, Recording, Refusal
from outgrow.capture.recording_folder import FORMAT, VERSION, find_indexes, is_recording
from outgrow.errors import InputError, StoreError, hint_for
from outgrow.store.header import StoreCorrupt
from outgrow.store.journal import JournalContent, read_journal
from outgrow.store.tensor_store import map_tensor

_AGAIN = "copy the folder of the recording again, or record the run again"

_DTYPES: Mapping[str, torch.dtype] = {
    str(value).removeprefix("torch."): value
    for value in vars(torch).values()
    if isinstance(value, torch.dtype)
}


def open_own(path: Path | str, *, check_digests: bool = False) -> Recording:
    """Open a recording that `record` made: its folder with all ranks in it, or the index of one rank.

    A recording that was not finished, because its process was killed, is opened up to its last complete
    record; `refused` says so, and each tensor is compared with its digest as it is read. With
    `check_digests` this is done for finished ones, too. `refused` also names ranks of which a folder of
    several has nothing.

    Raises:
        InputError: there is no recording, or it is of a later version.
        StoreCorrupt: an index is damaged from its first line on.
        StoreError: an index cannot be read.
    """
    path = Path(path)
    if not is_recording(path):
        raise InputError(
            f"there is no recording at {str(path)!r}", hint="give the folder that `outgrow record` wrote"
        )
    indexes = find_indexes(path) if path.is_dir() else (path,)
    files = _Files(indexes[0].parent)
    records: list[Record] = []
    refused: list[Refusal] = []
    ranks: set[int] = set()
    world_size = 1
    for index in indexes:
        content = read_journal(index, kind=FORMAT, version=VERSION)
        found, left_out = _read_index(index, content, files, check_digests=check_digests)
        records += found
        refused += left_out
        ranks.add(_header_count(content, "rank", 0))
        world_size = max(world_size, _header_count(content, "world_size", 1))
    # Ranks may record into a folder each; but where several share one, the others should be in it, too.
    if 1 < len(ranks) < world_size:
        missing = [str(rank) for rank in range(world_size) if rank not in ranks]
        shown = ", ".join(missing[:8]) + (", ..." if len(missing) > 8 else "")
        reason = f"of {world_size:,} ranks {len(missing):,} left no recording here: {shown}"
        refused.append(Refusal(entry=path.name, reason=reason))
    return Recording(label=str(path), records=records, refused=refused, is_ordered=True, close=files.close)


class _Files:
    """The files of a recording, each mapped when the first tensor of it is read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: dict[str, int | None] = {}
        self._mapped: dict[str, mmap.mmap] = {}
        self._lock = threading.Lock()
        self._is_open = True

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        if name not in self._sizes:
            path = self._folder / name
            self._sizes[name] = path.stat().st_size if path.is_file() and not path.is_symlink() else None
        return self._sizes[name]

    def map(self, name: str, least_bytes: int) -> mmap.mmap:
        """A file in memory, private to this process, so that nobody can write to it through a tensor."""
        with self._lock:
            if not self._is_open:
                raise StoreError("this recording is closed", hint="read its tensors before that")
            if name not in self._mapped:
                path = self._folder / name
                try:
                    with path.open("rb") as file:
                        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
                except (OSError, ValueError) as err:
                    raise StoreError(
                        f"cannot read {str(path)!r}: {err}",
                        hint=hint_for(err) if isinstance(err, OSError) else f"it is empty: {_AGAIN}",
                    ) from err
                self._mapped[name] = mapped
            mapped = self._mapped[name]
        if mapped.size() < least_bytes:
            raise StoreCorrupt(
                f"{str(self._folder / name)!r} became shorter after it was opened",
                hint="let whoever writes it finish, and open the recording again",
            )
        return mapped

    def close(self) -> None:
        """Let go of the files; a mapping lives on while a tensor needs it."""
        with self._lock:
            self._is_open = False
            self._mapped.clear()


def _header_count(content: JournalContent, key: str, otherwise: int) -> int:
    value = content.header.get(key)
    return value if type(value) is int and 0 <= value <= 100_000 else otherwise


def _read_index(
    index: Path, content: JournalContent, files: _Files, *, check_digests: bool
) -> tuple[list[Record], list[Refusal]]:
    refused = [Refusal(entry=index.name, reason=problem) for problem in content.problems]
    ends = [entry for entry in content.entries if entry.get("end") is True]
    if not ends:
        what = "the recording was not finished: its process was killed, or still runs"
        refused.append(Refusal(entry=index.name, reason=f"{what}; what it holds is complete up to there"))
    elif "error" in ends[0]:
        refused.append(Refusal(entry=index.name, reason=f"the recorded run ended with {ends[0]['error']}"))
    records: list[Record] = []
    names: Counter[tuple[int, str]] = Counter()
    for entry in content.entries:
        if "refused" in entry:
            refused.append(Refusal(entry=str(entry["refused"]), reason=str(entry.get("reason", ""))))
        elif "end" not in entry:
            try:
                record = _record(entry, files, is_checked=check_digests or not ends)
            except (KeyError, TypeError, ValueError, StoreCorrupt) as err:
                refused.append(_refusal(index, entry, err))
                continue
            known = (record.rank, record.name)
            names[known] += 1
            if names[known] > 1:
                record = replace(record, name=f"{record.name}#{names[known]}")
            records.append(record)
    return records, refused


def _record(entry: Mapping[str, Any], files: _Files, *, is_checked: bool) -> Record:
    name, file = _text(entry["name"]), _text(entry["file"])
    dtype, shape = _DTYPES[entry["dtype"]], tuple(_count(size) for size in entry["shape"])
    offset, nbytes = _count(entry["offset"]), _count(entry["nbytes"])
    step, call = _count(entry["step"]), _count(entry["call"])
    if "/" in file or "\\" in file or file in ("", ".", "..") or "\0" in file:
        raise StoreCorrupt(f"its file is {file!r}, which is not one beside the index", hint=_AGAIN)
    elements = 1
    for size in shape:
        elements *= size
    if len(shape) > 64 or elements * dtype.itemsize != nbytes:
        raise StoreCorrupt(f"{nbytes:,} bytes are no {dtype} of shape {list(shape)}", hint=_AGAIN)
    held = files.size(file)
    if held is None:
        raise StoreCorrupt(f"its file {file!r} is missing", hint=_AGAIN)
    if offset + nbytes > held:
        raise StoreCorrupt(
            f"it ends at byte {offset + nbytes:,} but {file!r} has {held:,} bytes", hint=_AGAIN
        )
    digest = entry["digest"]
    mesh = entry.get("mesh") or {}
    if not isinstance(mesh, dict):
        raise TypeError(f"{mesh!r} are not coordinates")
    return Record(
        name=_numbered(name, step, call),
        sequence=_count(entry["sequence"]),
        dtype=dtype,
        shape=shape,
        read=_reader(files, file, offset, shape, dtype, name, digest if is_checked else None),
        module=entry.get("module"),
        kind=_text(entry["kind"]),
        step=step,
        call=call,
        rank=_count(entry["rank"]),
        mesh=MappingProxyType({_text(axis): _count(at) for axis, at in mesh.items()}),
        placement=entry.get("placement"),
        digest=digest,
        nan_count=_count(entry["nan"]),
        inf_count=_count(entry["inf"]),
    )


def _reader(
    files: _Files, file: str, offset: int, shape: tuple[int, ...], dtype: torch.dtype, name: str,
    digest: str | None,
) -> Callable[[], Tensor]:  # fmt: skip
    def read() -> Tensor:
        count = 1
        for size in shape:
            count *= size
        nbytes = count * dtype.itemsize
        mapped = files.map(file, offset + nbytes)
        if digest is not None:
            with memoryview(mapped)[offset : offset + nbytes] as data:
                found = f"crc32:{zlib.crc32(data):08x}"
            if found != digest:
                raise StoreCorrupt(
                    f"{name!r} in {file!r} is damaged: its digest is {found}, not {digest}", hint=_AGAIN
                )
        return map_tensor(mapped, offset, shape, dtype)

    return read


def _numbered(name: str, step: int, call: int) -> str:
    """The name, with the step and the call where they are not the first."""
    parts = [f"step {step}"] * (step > 0) + [f"call {call}"] * (call > 0)
    return f"{name}[{', '.join(parts)}]" if parts else name


def _refusal(index: Path, entry: Mapping[str, Any], err: Exception) -> Refusal:
    name = entry.get("name")
    reason = (
        err.message if isinstance(err, StoreCorrupt) else f"its line in the index makes no sense: {err!r}"
    )
    return Refusal(entry=name if isinstance(name, str) else index.name, reason=reason, hint=_AGAIN)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"{value!r} is not a count")
    return value
