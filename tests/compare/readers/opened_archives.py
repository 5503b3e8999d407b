"""Archives of given bytes, open, and what they say."""

from pathlib import Path

from outgrow.compare.readers.archives import OpenArchive, open_archive
from outgrow.compare.readers.limits import Limits
from tests.compare.readers.archive_makers import write


def opened(tmp_path: Path, name: str, data: bytes, **limits: float) -> OpenArchive:
    """The archive, open; nothing is unpacked for those that hold nothing."""
    return open_archive(write(tmp_path, name, data), Limits(**limits))


def names(archive: OpenArchive) -> list[str]:
    return [name for name, content in archive.contents if content.records]


def reasons(archive: OpenArchive) -> dict[str, str]:
    return {refusal.entry: refusal.reason for refusal in archive.refused}
