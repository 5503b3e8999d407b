"""Files that a command is asked to write: looked at before the work, written whole or not at all."""

__all__ = ["check_apart", "check_empty", "check_writable", "write_text"]

import os
from collections.abc import Iterable
from pathlib import Path

from outgrow.errors import InputError


def check_writable(path: Path | None) -> None:
    """Fail before minutes of work rather than after them; None is a file that nobody asked for.

    Raises:
        InputError: the file cannot be written.
    """
    if path is None:
        return
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise InputError(
            f"cannot write {str(path)!r}",
            hint="give a file in a directory that exists and that you may write to",
        )


def check_empty(folder: Path | None) -> None:
    """Make sure that a folder can be made and written to, and that nothing would be mixed with what is there;
    None is a folder that nobody asked for.

    Raises:
        InputError: it holds something, is no folder, or cannot be made.
    """
    if folder is None:
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"{str(folder)!r} is not an empty folder", hint="name one that is empty or does not exist yet"
        )
    place = folder.absolute()
    nearest = next(path for path in (place, *place.parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(
            f"cannot make the directory {str(folder)!r}: nothing can be written to {str(nearest)!r}",
            hint="name one below a directory that you may write to",
        )


def check_apart(outputs: Iterable[Path], inputs: Iterable[str | Path]) -> None:
    """Make sure that no output is written over an input, what is in one, or another output. Reports of an
    earlier time in a folder that is an input are no part of it.

    Raises:
        InputError: two of them are one file.
    """
    taken = {Path(path).resolve() for path in inputs}
    for path in outputs:
        # What is no regular file (`/dev/null`, `/dev/stdout`) holds nothing that could be lost.
        if path.exists() and not path.is_file():
            continue
        place = path.resolve()
        if place in taken or (
            path.exists() and (_is_part(place, taken) or any(_is_same(path, other) for other in taken))
        ):
            raise InputError(
                f"{str(path)!r} would be written over: it is an input, or named twice",
                hint="give a file of its own",
            )
        taken.add(path.resolve())


def _is_part(path: Path, folders: Iterable[Path]) -> bool:
    is_report = path.suffix in (".json", ".html", ".xml") and not path.name.endswith(".index.json")
    return not is_report and any(folder in path.parents for folder in folders)


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:
        return False


def write_text(path: Path, text: str) -> None:
    """Write a whole text as UTF-8; a file that was there stays as it was until the new one is complete.

    Raises:
        StoreError: the disk is full or the directory cannot be written.
    """
    # A file's name need not be UTF-8, and then has characters that no text may hold.
    data = text.encode("utf-8", errors="backslashreplace")
    if path.exists() and not path.is_file():
        # `/dev/stdout`, `>(program)`: nothing to replace.
        path.write_bytes(data)
        return
    from outgrow.store.writer import replacing

    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    with replacing(path.resolve(), len(data)) as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
