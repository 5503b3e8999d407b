"""Whatever the user gives, as a recording."""

__all__ = ["Source", "as_one_dump", "open_file", "open_files", "open_recording"]

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor

from outgrow.capture import is_recording, open_own
from outgrow.capture.recording import Recording
from outgrow.compare.readers.archives import is_archive, open_archive
from outgrow.compare.readers.entry import is_readable, read_entry
from outgrow.compare.readers.file_reader import FileContent
from outgrow.compare.readers.files import READERS
from outgrow.compare.readers.folder import read_folder
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.loose_files import LooseFile, read_loose
from outgrow.compare.readers.memory import read_memory
from outgrow.compare.readers.records import records_of
from outgrow.errors import InputError, nearest_names
from outgrow.events import Listener, ignore
from outgrow.names import matches, natural_key

Source = str | PathLike[str] | Recording | Mapping[str, Any] | Tensor
"""A path, an open recording, tensors by name (nested as they like), or one tensor."""

_SAVE_TENSORS = "save tensors, or dicts and lists of them, with torch.save, safetensors or numpy"
_READ = f"{', '.join(READERS)}, .zip, .tar, .tar.gz, and folders of these"


def open_recording(
    source: Source, *, limits: Limits | None = None, only: str = "*", listener: Listener = ignore
) -> Recording:
    """Open a dump by its descriptions; tensors are read when they are asked for.

    A path may be a file, an archive, a folder of files, or a recording of `outgrow.capture`. `only` is a glob
    on the names of records. `listener` hears of the progress of unpacking. Closing the recording gives back
    what it needs; an open recording as `source` is closed with it.

    Raises:
        InputError: there is no such thing, or nothing in it can be read; it says what was refused.
        StoreError: it cannot be read, or is damaged as a whole.
    """
    limits = limits or Limits()
    if isinstance(source, Recording):
        return _filtered(source, only)
    if isinstance(source, Tensor | Mapping):
        records, refused = records_of([("tensor", read_memory(source, limits))], only=only)
        return _checked(Recording(label="(in memory)", records=records, refused=refused), only)
    if not isinstance(source, str | PathLike):
        raise InputError(
            f"cannot compare a {type(source).__name__}",
            hint="give a path, a dict of tensors, a tensor or a recording",
        )
    return _open_path(str(source), limits, only, listener)


def open_file(
    path: Path, *, name: str, limits: Limits | None = None, only: str = "*", listener: Listener = ignore
) -> Recording:
    """As `open_recording`, for a file at a place whose name says nothing, as `/proc/self/fd/7`.

    `name` is what people call it; its suffix decides how the file is read, where its content does not.

    Raises:
        InputError: nothing in it can be read; it says what was refused.
        StoreError: it cannot be read, or is damaged as a whole.
    """
    limits = limits or Limits()
    if is_readable(name):
        return open_files([LooseFile(path=path, name=name, is_link=True)], limits=limits, only=only)
    archive = open_archive(path, limits, name=name, listener=listener)
    records, more = records_of(archive.contents, only=only)
    return _checked(
        Recording(label=name, records=records, refused=(*archive.refused, *more), close=archive.close), only
    )


def open_files(
    files: Sequence[LooseFile],
    *,
    limits: Limits | None = None,
    only: str = "*",
    listener: Listener = ignore,
) -> Recording:
    """Several files of tensors as one dump, as a folder of them would be.

    Raises:
        InputError: nothing in them can be read; it says what was refused.
    """
    return as_one_dump(read_loose(files, limits or Limits(), listener=listener), only=only)


def as_one_dump(contents: Sequence[tuple[str, FileContent]], *, only: str = "*") -> Recording:
    """As `open_files`, of what `read_loose` has read."""
    records, refused = records_of(contents, only=only)
    first, more = contents[0][0], len(contents) - 1
    label = f"{first} and {more:,} more" if more else first
    return _checked(Recording(label=label, records=records, refused=refused), only)


def _open_path(label: str, limits: Limits, only: str, listener: Listener) -> Recording:
    if not label:
        # Which pathlib takes for the folder that one is in.
        raise InputError("the path of a run is empty", hint="is a variable of the shell not set?")
    try:
        # What the user names may be a link; what lies below may not.
        path = Path(label).expanduser().resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as err:
        raise _not_there(label, err) from err
    if is_recording(path):
        return _filtered(open_own(path), only)
    if path.is_dir():
        files, refused = read_folder(path, limits)
        records, more = records_of(files, only=only)
        return _checked(Recording(label=label, records=records, refused=(*refused, *more)), only)
    if is_readable(path.name):
        records, more = records_of([(path.name, read_entry(path, path.name, limits))], only=only)
        return _checked(Recording(label=label, records=records, refused=more), only)
    if is_archive(path):
        archive = open_archive(path, limits, listener=listener)
        records, more = records_of(archive.contents, only=only)
        return _checked(
            Recording(label=label, records=records, refused=(*archive.refused, *more), close=archive.close),
            only,
        )
    raise InputError(f"{label!r} is no file of tensors that can be read", hint=f"read are {_READ}")


def _filtered(recording: Recording, only: str) -> Recording:
    if only == "*":
        return recording
    kept = [record for record in recording.records if matches(record.name, only)]
    return _checked(
        Recording(
            label=recording.label,
            records=kept,
            refused=recording.refused,
            is_ordered=recording.is_ordered,
            close=recording.close,
        ),
        only,
    )


def _checked(recording: Recording, only: str) -> Recording:
    """See that there is something in it.

    Raises:
        InputError: there is nothing; the recording is closed.
    """
    if recording.records:
        return recording
    recording.close()
    label, refused = recording.label, recording.refused
    if refused:
        said = "; ".join(f"{refusal.entry!r}: {refusal.reason}" for refusal in refused[:3])
        more = f"; and {len(refused) - 3:,} more" if len(refused) > 3 else ""
        hints = dict.fromkeys(refusal.hint for refusal in refused[:3] if refusal.hint)
        raise InputError(
            f"nothing in {label!r} can be read: {said}{more}", hint="; ".join(hints) or _SAVE_TENSORS
        )
    if only != "*":
        raise InputError(
            f"nothing in {label!r} has a name like {only!r}",
            hint="compare without a pattern once; the report lists the names",
        )
    raise InputError(f"there are no tensors in {label!r}", hint=f"read are {_READ}")


def _not_there(label: str, err: Exception) -> InputError:
    reason = getattr(err, "strerror", None) or str(err)
    try:
        path = Path(label).expanduser()
        names = sorted((item.name for item in path.parent.iterdir()), key=natural_key)
        near = nearest_names(path.name, names)
        hint = (
            f"in {str(path.parent)!r} there is {', '.join(map(repr, near))}" if near else "see its spelling"
        )
    except (OSError, ValueError, RuntimeError):
        hint = f"there is no folder {str(Path(label).parent)!r} either"
    return InputError(f"cannot open {label!r}: {reason}", hint=hint)
