"""Where ranks store their checkpoints: two places each, so that one is whole at every moment."""

__all__ = ["SLOTS", "CheckpointFiles"]

import os
from pathlib import Path
from typing import Final, Self

from outgrow.errors import InputError

SLOTS: Final = 2
"""Places of each rank: one holds the last complete checkpoint, the other is written."""


class CheckpointFiles:
    """Files of all ranks, open in the process that starts them and inherited by each of them.

    In memory they are nameless (`memfd`): they outlive a rank, not their last opener, and leave nothing
    behind. In a directory they are for ranks on several machines; they are unlinked on `close`.
    """

    def __init__(self, world_size: int, directory: Path | None = None) -> None:
        """In memory, or as files of their owner alone (0600) in `directory`.

        Raises:
            InputError: the directory cannot be written.
        """
        self.world_size = world_size
        self._paths: list[Path] = []
        self._descriptors: list[int] = []
        try:
            for rank in range(world_size):
                for slot in range(SLOTS):
                    self._descriptors.append(self._open(f"outgrow-checkpoint-{rank}-{slot}", directory))
        except OSError as err:
            self.close()
            if directory is None:
                raise InputError(
                    f"no memory files for the checkpoints of {world_size:,} ranks: {err.strerror}",
                    hint="start fewer workers, raise `ulimit -n`, or keep no checkpoints with GT_RECOVERY=0",
                ) from err
            raise InputError(
                f"checkpoints of the ranks cannot be stored in {str(directory)!r}: {err.strerror}",
                hint="give a directory that exists and can be written",
            ) from err

    def _open(self, name: str, directory: Path | None) -> int:
        if directory is None:
            return os.memfd_create(name, os.MFD_CLOEXEC)
        path = directory / name
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._paths.append(path)
        return descriptor

    def of(self, rank: int) -> tuple[int, ...]:
        """The descriptors of a rank's places, by slot."""
        return tuple(self._descriptors[rank * SLOTS : (rank + 1) * SLOTS])

    def empty(self) -> None:
        """Give the memory back and keep the files."""
        for descriptor in self._descriptors:
            os.ftruncate(descriptor, 0)

    def close(self) -> None:
        """Give everything back."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        for path in self._paths:
            path.unlink(missing_ok=True)
        self._descriptors.clear()
        self._paths.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
