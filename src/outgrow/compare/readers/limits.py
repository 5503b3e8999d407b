"""How much a dump may ask for before it is refused."""

__all__ = ["Limits"]

from dataclasses import dataclass

from outgrow.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits on what is read from files that somebody else made. Options of the command line have the same
    names."""

    max_bytes: int = 2**40
    """Bytes that a dump may unpack to, all entries together."""
    max_ratio: float = 200.0
    """Bytes unpacked for each byte packed. Deflate reaches 1032; tensors of a model do not reach 20."""
    max_entries: int = 100_000
    """Entries of an archive, files of a folder, tensors in a file."""
    max_header_bytes: int = 2**26
    """Bytes of a header or of the pickle in a torch file; understanding one takes up to 2.5 times that. A
    torch file of 100,000 tensors just fits."""
    max_expanded_bytes: int = 2**27
    """Bytes that the tensors of a file may have beyond those in it: sparse ones made dense, dims of stride 0,
    tensors that share a storage (these also by `max_ratio`)."""
    max_depth: int = 32
    """Levels of dicts and lists in a file."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:  # which NaN is not, either
                raise InputError(
                    f"the limit {name} must be positive, not {getattr(self, name)}",
                    hint="leave it out for the usual one",
                )
