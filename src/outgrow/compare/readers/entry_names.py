"""The names of an archive's entries: which are believed, which are refused, which mean nothing."""

__all__ = ["NAMELESS", "clean_name", "is_archive_name", "is_clutter", "shown_name"]

import re

NAMELESS = "it has no name"
"""Why `clean_name` refuses `./` and the like: harmless for a folder."""
_LONGEST = 1024
_CLUTTER = ("Thumbs.db", "desktop.ini")
_DRIVE = re.compile(r"^[A-Za-z]:")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_ARCHIVES = (
    ".zip", ".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst",
    ".gz", ".bz2", ".xz", ".zst", ".lz4", ".7z", ".rar",
)  # fmt: skip


def clean_name(raw: bytes | str) -> tuple[str, str | None]:
    """An entry's name as a path with `/`, and why it is refused, or None.

    Nothing is ever written under an entry's name, so that a name cannot lead out of anywhere; one that tries
    to says that the archive was made to harm, or by a tool whose names cannot be trusted.
    """
    if isinstance(raw, bytes):
        try:
            name = raw.decode()
        except UnicodeDecodeError:
            return shown_name(raw.decode(errors="backslashreplace")), "its name is not UTF-8"
    else:
        name = raw
    shown = shown_name(name)
    if len(name) > _LONGEST:
        return shown, f"its name has {len(name):,} characters; {_LONGEST:,} are enough for a file"
    if _UNPRINTABLE.search(name):
        return shown, "its name holds control characters"
    if "\\" in name:
        return shown, "its name holds a backslash, which is a folder to some systems and not to others"
    if name.startswith("/") or _DRIVE.match(name):
        return shown, "its name is an absolute path"
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        return shown, "its name leads out of the archive (`..`)"
    if not parts:
        return shown, NAMELESS
    return "/".join(parts), None


def shown_name(name: str) -> str:
    """A name of any origin as text for a report: short, and without characters that steer a terminal."""
    short = name if len(name) <= 200 else f"{name[:200]}..."
    return _UNPRINTABLE.sub(lambda match: f"\\x{ord(match[0]):02x}", short)


def is_clutter(name: str) -> bool:
    """Whether a clean name is hidden, as in a folder that is read, or of what macOS and Windows add."""
    file = name.rpartition("/")[2]
    return name[0] == "." or "/." in name or name.startswith("__MACOSX/") or file in _CLUTTER


def is_archive_name(name: str) -> bool:
    """Whether a name promises an archive or a compressed file."""
    return name.lower().endswith(_ARCHIVES)
