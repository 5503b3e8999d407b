"""Readers of bytes by name, and the choice among them."""

__all__ = ["READERS", "BufferedReader", "DirectReader", "MmapReader", "Reader", "make_reader"]

from collections.abc import Callable, Mapping
from pathlib import Path

from outgrow.errors import InputError, StoreError, hint_for, nearest_names
from outgrow.store.readers.buffered import BufferedReader
from outgrow.store.readers.direct import DirectReader, direct_works
from outgrow.store.readers.mmap import MmapReader
from outgrow.store.readers.reader import Reader

READERS: Mapping[str, Callable[[], Reader]] = {
    "buffered": BufferedReader,
    "direct": DirectReader,
    "mmap": MmapReader,
}
"""Every reader by name."""


def make_reader(kind: str = "auto", probe_path: Path | str | None = None) -> Reader:
    """The reader called `kind`; `"auto"` is `direct` where that works for `probe_path`, else `buffered`.

    `probe_path` is a file that is going to be read, or a directory with such files. One page of it is read to
    find out. Without it `"auto"` knows of no file system to ask and is `buffered`. Asked for by name,
    `direct` is never exchanged for another: a file system that refuses it gives an error here when
    `probe_path` is given, else at the first read.

    Raises:
        InputError: no reader has that name, or `direct` was asked for where it does not work.
        StoreError: `probe_path` cannot be read.
    """
    if kind != "auto" and kind not in READERS:
        known = ("auto", *READERS)
        near = nearest_names(kind, known)
        raise InputError(f"no reader is called {kind!r}", hint=f"choose one of {', '.join(near or known)}")
    if kind not in ("auto", "direct"):
        return READERS[kind]()
    works = _probe(Path(probe_path)) if probe_path is not None else None
    if kind == "direct" and works is False:
        raise InputError(
            f"the file system of {str(probe_path)!r} refuses direct reads (O_DIRECT)",
            hint="use the reader 'buffered', or 'auto', which chooses it by itself",
        )
    return DirectReader() if works or kind == "direct" else BufferedReader()


def _probe(path: Path) -> bool:
    try:
        if path.is_dir():
            # Any file will do: it is the file system that is asked.
            inside = (entry for entry in sorted(path.iterdir()) if entry.is_file() and entry.stat().st_size)
            file = next(inside, None)
            return file is not None and direct_works(file)
        return direct_works(path)
    except OSError as err:
        raise StoreError(f"cannot read {str(path)!r}: {err.strerror or err}", hint=hint_for(err)) from err
