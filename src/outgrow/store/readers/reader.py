"""What a reader of bytes is: one call, from any thread, into memory that the caller owns."""

__all__ = ["Reader"]

from pathlib import Path
from typing import Protocol, Self


class Reader(Protocol):
    """Reads ranges of files into memory. Safe to call from several threads at once."""

    name: str
    """What the reader is called in `make_reader` and in reports."""
    alignment: int
    """What file offset, buffer address and buffer length must be multiples of; 1 where anything goes."""

    def read_into(self, path: Path, offset: int, into: memoryview, *, needed: int | None = None) -> int:
        """Fill `into` with the bytes of `path` from `offset` on; returns how many came.

        `needed` is how many of them the caller cannot do without (default: all of `into`). Reading may end
        once they have come, so that a range rounded up past the end of a file is no error. An interrupted or
        short read is taken up where it ended. What lies in `into` beyond the bytes that came is undefined.

        Raises:
            InputError: offset, address or length break `alignment`, or `into` is not writable bytes.
            StoreError: the file cannot be read, or ends before `needed` bytes came.
        """
        ...

    def close(self) -> None:
        """Wait for reads under way and close every file; may be called twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
