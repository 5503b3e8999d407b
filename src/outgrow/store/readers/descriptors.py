"""Open files by path, shared by threads, and the loop that fills a buffer from one of them."""

__all__ = ["OpenFiles", "checked_buffer", "fill"]

import io
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from outgrow.errors import InputError, StoreError, hint_for

# A disk that answers this often in a row with nothing, or with less than a block, is not going to answer.
_FRUITLESS_READS = 16


class OpenFiles:
    """One open file a path, opened at first use. `close` waits until nobody reads.

    Without that wait a descriptor number could be given to another file while a thread still reads from it.
    """

    def __init__(self, flags: int = 0) -> None:
        self._flags = flags
        self._files: dict[Path, io.FileIO] = {}
        # Taken by itself: a Ctrl-C on the way out of a condition leaves it locked for good.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._uses: Counter[int] = Counter()  # by thread
        self._is_closed = False

    @contextmanager
    def use(self, path: Path) -> Iterator[io.FileIO]:
        """The open file of `path`, kept open at least for the length of the `with`.

        Raises:
            StoreError: it cannot be opened, or `close` was called before.
        """
        thread = threading.get_ident()
        with self._lock:
            if self._is_closed:
                raise StoreError(
                    f"cannot read {str(path)!r}: the reader is closed",
                    hint="make a new reader with outgrow.store.make_reader",
                )
            file = self._files.get(path)
            if file is None:
                try:
                    file = io.FileIO(
                        path, "rb", opener=lambda name, flags: os.open(name, flags | self._flags)
                    )
                except OSError as err:
                    raise StoreError(
                        f"cannot open {str(path)!r}: {err.strerror or err}", hint=hint_for(err)
                    ) from err
                self._files[path] = file
            self._uses[thread] += 1
        try:
            yield file
        finally:
            with self._lock:
                self._uses[thread] -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Refuse further use, wait for those under way, and close everything."""
        thread = threading.get_ident()
        with self._lock:
            self._is_closed = True
            # Not for this very thread: it is not reading now, whatever a Ctrl-C has left of its count.
            while any(count for user, count in self._uses.items() if user != thread):
                self._changed.wait()
            for file in self._files.values():
                file.close()
            self._files.clear()


def checked_buffer(path: Path, offset: int, into: memoryview, needed: int | None) -> tuple[memoryview, int]:
    """`into` as flat bytes, and how many of them must come.

    Raises:
        InputError: `into` is read-only or not contiguous, or `offset` or `needed` are out of range.
    """
    if into.readonly or not into.c_contiguous:
        raise InputError(
            f"cannot read {str(path)!r} into memory that is read-only or not contiguous",
            hint="give writable memory in one run, such as a bytearray or a contiguous tensor",
        )
    flat = into if into.format == "B" and into.ndim == 1 else into.cast("B")
    needed = flat.nbytes if needed is None else needed
    if offset < 0 or not 0 <= needed <= flat.nbytes:
        raise InputError(
            f"cannot read {needed} bytes at {offset} of {str(path)!r} into {flat.nbytes} bytes",
            hint="give an offset of 0 or more, and no more bytes than there is memory for",
        )
    return flat, needed


def fill(
    read_some: Callable[[int, memoryview], int],
    path: Path,
    offset: int,
    into: memoryview,
    needed: int,
    *,
    size_bytes: Callable[[], int],
    alignment: int = 1,
) -> int:
    """Call `read_some(position, part)` until `needed` bytes are in `into`; returns how many came.

    A short read goes on where it ended, with `alignment` at the last whole block before that.

    Raises:
        StoreError: reading failed, or the file ends before `needed` bytes.
    """
    done = 0
    fruitless = 0
    while done < needed:
        start = done - done % alignment
        try:
            came = read_some(offset + start, into[start:])
        except InterruptedError:
            continue
        except OSError as err:
            raise StoreError(
                f"reading {str(path)!r} failed at byte {offset + start:,}, {done:,} of {needed:,} bytes in: "
                f"{err.strerror or err}",
                hint="look at the disk (`dmesg`); a network file system may be gone",
            ) from err
        if start + came > done:
            done = start + came
            fruitless = 0
            continue
        size = size_bytes()
        if offset + done < size and fruitless < _FRUITLESS_READS:
            fruitless += 1
            continue
        raise StoreError(
            f"{str(path)!r} ended at byte {offset + done:,}: expected {needed:,} bytes from byte {offset:,}, "
            f"found {done:,}; the file has {size:,} bytes",
            hint=f"the file was cut short; run `outgrow store verify {path.parent}` to list all damage",
        )
    return done
