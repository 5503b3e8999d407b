"""One file of a dump, by whichever reader its suffix asks for."""

__all__ = ["is_readable", "read_entry"]

from pathlib import Path, PurePosixPath

from outgrow.capture.recording import Refusal
from outgrow.compare.readers.file_reader import FileContent
from outgrow.compare.readers.files import READERS
from outgrow.compare.readers.limits import Limits
from outgrow.errors import OutgrowError


def is_readable(entry: str) -> bool:
    """Whether a file of that name has a reader."""
    return PurePosixPath(entry).suffix.lower() in READERS


def read_entry(path: Path, entry: str, limits: Limits, region: tuple[int, int] | None = None) -> FileContent:
    """As `FileReader.read`, but raises for nothing in the file: what cannot be read is refused by name."""
    suffix = PurePosixPath(entry).suffix.lower()
    if suffix not in READERS:
        known = ", ".join(READERS)
        reason = (
            f"no reader for files ending in {suffix!r}" if suffix else "no reader for files without suffix"
        )
        return FileContent(refused=(Refusal(entry=entry, reason=f"{reason}; read are {known}"),))
    try:
        return READERS[suffix].read(path, entry, limits, region)
    except OutgrowError as err:
        return FileContent(refused=(Refusal(entry=entry, reason=err.message, hint=err.hint),))
