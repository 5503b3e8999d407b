"""One header of a tar archive, and what extended headers say, read as if an enemy had written them."""

__all__ = ["BLOCK", "DIRECTORY", "FILES", "TarDamage", "TarHeader", "kind_words", "parse_header", "parse_pax"]

from dataclasses import dataclass

BLOCK = 512
"""Bytes of a header; what follows it is padded to a multiple of them."""
FILES = frozenset("0\x007")
"""Types of regular files; `7` (contiguous) is treated as one by everybody."""
DIRECTORY = "5"
_KINDS = {
    "1": "a link", "2": "a link", "3": "a device", "4": "a device", "6": "a FIFO",
    "S": "a sparse file", "M": "a part of a file from another volume", "V": "a volume label",
    "D": "a list of a folder", "N": "a list of names",
}  # fmt: skip
_SPACES = b" \0"


def kind_words(kind: str) -> str:
    """What a member that is no file is, for people."""
    return _KINDS.get(kind, f"of the unknown kind {kind!r}")


class TarDamage(ValueError):
    """The archive cannot be followed any further; the text says why. Never leaves `readers`."""


@dataclass(frozen=True, slots=True)
class TarHeader:
    """A header block by itself."""

    raw_name: bytes
    kind: str
    """One character, as in `FILES` and for `kind_words`; `x`, `g`, `L`, `K` are extended headers."""
    size: int
    """Bytes of content behind it, unpadded."""
    is_sparse_extended: bool
    """For `S`: whether more of the map of its holes follows in blocks of their own."""

    @property
    def content_bytes(self) -> int:
        """Bytes behind it that belong to it, unpadded: links and devices have none, whatever they say."""
        return 0 if self.kind in "12346" + DIRECTORY else self.size


def parse_header(block: bytes) -> TarHeader | None:
    """A header of 512 bytes; None for the zeros that end an archive.

    Raises:
        TarDamage: it is no header: its checksum does not fit, or its size is not a number.
    """
    if block.count(0) == BLOCK:
        return None
    blank = block[:148] + b" " * 8 + block[156:]
    stated = _number(block[148:156])
    # Old tars summed signed bytes.
    if stated != sum(blank) and stated != sum(blank) - 256 * sum(byte > 127 for byte in blank):
        raise TarDamage("a header's checksum does not fit")
    name = block[:100].partition(b"\0")[0]
    # GNU's own format has `ustar  ` and other things where POSIX has the prefix.
    if block[257:263] == b"ustar\0":
        prefix = block[345:500].partition(b"\0")[0]
        name = prefix + b"/" + name if prefix else name
    kind = chr(block[156])
    if kind in FILES and name.endswith(b"/"):
        kind = DIRECTORY  # of tars before 1988
    return TarHeader(name, kind, _number(block[124:136]), bool(block[482]))


def parse_pax(data: bytes) -> dict[str, bytes]:
    """The records of a pax header by keyword; the last one of a keyword counts, as POSIX has it.

    Raises:
        TarDamage: it is not made of `length keyword=value` lines.
    """
    records: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        if not data[at]:
            if any(data[at:]):
                raise TarDamage("an extended header is damaged")
            break
        space = data.find(b" ", at, at + 20)
        digits = data[at:space] if space > at else b""
        if not digits.isdigit():
            raise TarDamage("an extended header is damaged")
        end = at + int(digits)
        equals = data.find(b"=", space, end)
        if end > len(data) or equals < 0 or data[end - 1 : end] != b"\n":
            raise TarDamage("an extended header is damaged")
        records[data[space + 1 : equals].decode(errors="backslashreplace")] = data[equals + 1 : end - 1]
        at = end
    return records


def _number(field: bytes) -> int:
    """Octal digits, or GNU's base 256 for what is larger."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    if field[0] == 0xFF:
        raise TarDamage("a header has a negative number")
    digits = field.partition(b"\0")[0].strip(_SPACES)
    if not digits:
        return 0
    if any(byte not in b"01234567" for byte in digits):
        raise TarDamage("a header has a number that is none")
    return int(digits, 8)
