"""The thread that writes a recording while the run goes on: bytes, digests, counts, and then the index."""

__all__ = ["RecordingWriter"]

import threading
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from outgrow.capture.nonfinite import count_nonfinite
from outgrow.capture.recording_folder import FORMAT, VERSION, RunPlace, find_indexes
from outgrow.capture.tensor_copy import CopyMemory, TensorCopy
from outgrow.errors import InputError
from outgrow.store.journal import Journal, read_journal
from outgrow.store.lock import lock_file
from outgrow.store.tensor_store import TensorAppender
from outgrow.store.writer import make_private_directory

# What a crash can lose at most, besides what waits: written, but not in the index yet.
_COMMIT_RECORDS = 64
_COMMIT_BYTES = 2**26
_IDLE_SECONDS = 0.02
_BUFFER_BYTES = 2**28


class RecordingWriter:
    """Writes one rank's part of a recording. `put` may be called by many threads."""

    def __init__(
        self,
        folder: Path,
        place: RunPlace,
        *,
        about: Mapping[str, Any],
        buffer_bytes: int = _BUFFER_BYTES,
        file_bytes: int = 2**30,
    ) -> None:
        """Begin a recording in `folder`; `about` goes into the first line of its index.

        Raises:
            InputError: the folder holds a recording already, or other things.
            StoreLocked: another process is recording into it.
            StoreError: it cannot be written.
        """
        self.memory = CopyMemory(buffer_bytes)
        self.failure: BaseException | None = None
        """What ended the writing; nothing is written after it."""
        self.records = 0
        """How many tensors are in the index."""
        self.nbytes = 0
        """Bytes of these tensors."""
        self._changed = threading.Condition()
        self._queue: deque[tuple[dict[str, Any], TensorCopy | None]] = deque()
        self._is_ending = self._is_abandoned = False
        self._lines: list[dict[str, Any]] = []
        """Of tensors that are written, but not committed."""
        self._pending_records = self._pending_bytes = 0
        make_private_directory(folder)
        with ExitStack() as resources:
            lock = folder / f".{place.index_name}.lock"
            resources.enter_context(lock_file(lock, subject=folder))
            _check_free(folder, place, own={lock.name})
            header = {"format": FORMAT, "version": VERSION, "rank": place.rank}
            header |= {"world_size": place.world_size, "run": place.run, "mesh": dict(place.mesh)}
            header |= {"torch": torch.__version__, **about}
            self._journal = resources.enter_context(Journal(folder / place.index_name, header))
            self._appender = TensorAppender(
                folder, f"tensors{place.suffix}", metadata={"format": FORMAT}, file_bytes=file_bytes
            )
            self._thread = threading.Thread(target=self._run, name="outgrow-recording", daemon=True)
            self._thread.start()
            self._resources = resources.pop_all()

    def put(self, entry: dict[str, Any], copy: TensorCopy | None = None) -> None:
        """Queue a line of the index, with the tensor that it describes; entries come out in this order."""
        with self._changed:
            if self.failure is None and not self._is_ending:
                self._queue.append((entry, copy))
                self._changed.notify_all()
                return
        if copy is not None:
            self.memory.give_back(copy)

    def close(self, last: Mapping[str, Any] | None = None) -> None:
        """Write all that waits, then the line `last`, and end the thread. May be called twice.

        With Ctrl-C while it waits, what is not written yet is left out and `last` as well.

        Raises:
            StoreError: something could not be written; what came before it is readable.
        """
        if self._is_ending:
            return
        self._end(is_abandoned=False)
        try:
            self._thread.join()
        except BaseException:
            self._end(is_abandoned=True)
            self._thread.join()
            raise
        finally:
            self.memory.close()
            with self._resources:
                if self.failure is None and not self._is_abandoned and last is not None:
                    counts = {"records": self.records, "bytes": self.nbytes}
                    self._journal.append([{"end": True, **counts, **last}])
                    self._journal.sync()
        if self.failure is not None:
            raise self.failure

    def _end(self, *, is_abandoned: bool) -> None:
        with self._changed:
            self._is_ending = True
            self._is_abandoned = is_abandoned
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while (batch := self._next_batch()) is not None:
                for entry, copy in batch:
                    self._write(entry, copy)
                    if len(self._lines) >= _COMMIT_RECORDS or self._pending_bytes >= _COMMIT_BYTES:
                        self._commit()
                if not batch:
                    self._commit()
            self._commit()
            self._appender.close()
        # Not swallowed: `close` raises it where somebody can hear it.
        except BaseException as err:
            self.failure = err
        finally:
            self.memory.close()
            with self._changed:
                self._queue.clear()

    def _next_batch(self) -> list[tuple[dict[str, Any], TensorCopy | None]] | None:
        """All that waits; empty where nothing came for a moment while something is to be committed; None at
        the end."""
        with self._changed:
            while not self._queue and not self._is_ending:
                if not self._changed.wait(_IDLE_SECONDS if self._lines else None) and not self._queue:
                    return []
            batch = [] if self._is_abandoned else list(self._queue)
            self._queue.clear()
            return batch or None

    def _write(self, entry: dict[str, Any], copy: TensorCopy | None) -> None:
        if copy is not None:
            entry |= self._write_tensor(entry, copy)
            self._pending_records += 1
            self._pending_bytes += copy.nbytes
            self.memory.give_back(copy)
        self._lines.append(entry)

    def _commit(self) -> None:
        if not self._lines:
            return
        # The index last: what it names is there.
        self._appender.commit()
        self._journal.append(self._lines)
        self.records += self._pending_records
        self.nbytes += self._pending_bytes
        self._lines, self._pending_records, self._pending_bytes = [], 0, 0

    def _write_tensor(self, entry: Mapping[str, Any], copy: TensorCopy) -> dict[str, Any]:
        data = copy.data()
        key = f"{entry['sequence']:08d} {entry['name']}"
        place = self._appender.append(key, data, copy.stored_shape, copy.stored_dtype)
        nan, infinite = count_nonfinite(data, copy.dtype)
        where = {"file": place.file, "offset": place.offset, "nbytes": place.nbytes}
        return where | {"digest": place.digest, "nan": nan, "inf": infinite}


def _check_free(folder: Path, place: RunPlace, *, own: set[str]) -> None:
    """Nothing is written over, and nothing of another run is mixed in."""
    hint = "choose another directory, or remove this one"
    indexes = find_indexes(folder)
    if folder / place.index_name in indexes:
        raise InputError(f"there is a recording in {str(folder)!r} already", hint=hint)
    for index in indexes:
        header = read_journal(index, kind=FORMAT, version=VERSION).header
        if (header.get("world_size"), header.get("run")) != (place.world_size, place.run):
            raise InputError(f"there is a recording of another run in {str(folder)!r}", hint=hint)
    if not indexes:
        others = [path.name for path in folder.iterdir() if path.name not in own and not _is_ours(path.name)]
        if others:
            raise InputError(f"{str(folder)!r} is not empty: it has {sorted(others)[0]!r}", hint=hint)


def _is_ours(name: str) -> bool:
    """Whether another rank, which begins at the same time, makes such files."""
    return name.startswith((".index", "index-", "tensors-"))
