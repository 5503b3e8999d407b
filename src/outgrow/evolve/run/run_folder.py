"""The folder of a run: what it was asked to do, its last state, its log, and the finished model."""

__all__ = [
    "CONFIGURATION_NAME",
    "LOG_NAME",
    "RunFolder",
    "open_run_folder",
    "read_log",
    "read_pictures_shape",
    "read_run",
]

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from outgrow.errors import InputError, StoreError, hint_for
from outgrow.evolve.run.checkpoint import RunState, read_state, write_state
from outgrow.evolve.run.configuration import RunConfiguration
from outgrow.store import StoreCorrupt, lock_directory
from outgrow.store.journal import Journal, read_journal
from outgrow.store.writer import write_json

_AGAIN = "take the folder of the run from a copy, or begin a run in another folder"

CONFIGURATION_NAME = "run.json"
"""What the run was asked to do."""
LOG_NAME = "log.jsonl"
"""Evaluations and decisions, one a line."""
_STATE, _BEFORE = "state.safetensors", "before-change.safetensors"
_DATA, _FINISHED = "data.json", "finished.json"
_EVERY_ENTRY = frozenset({"kind", "steps", "samples", "flops", "seconds", "parameters", "layers"})
_FORMAT, _LOG_FORMAT, _VERSION = "outgrow.evolve.run", "outgrow.evolve.log", 1


class RunFolder:
    """A folder that this process alone is writing; by `open_run_folder`."""

    def __init__(self, path: Path, configuration: RunConfiguration) -> None:
        self.path, self._configuration = path, configuration
        self._journal: Journal | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return (self.path / _FINISHED).exists()

    def last_state(self) -> RunState | None:
        """The last checkpoint; None where the run has not come that far."""
        return self._state(_STATE)

    def state_before_change(self) -> RunState | None:
        """The checkpoint from before the last change; None where there was none."""
        return self._state(_BEFORE)

    def _state(self, name: str) -> RunState | None:
        path = self.path / name
        return read_state(path, self._configuration.digest) if path.exists() else None

    def keep(self, state: RunState) -> None:
        """Make `state` the last checkpoint."""
        if self._journal is not None:
            self._journal.sync()
        write_state(self.path / _STATE, state, self._configuration.digest)

    def keep_before_change(self, state: RunState) -> None:
        """Keep `state` to go back to."""
        write_state(self.path / _BEFORE, state, self._configuration.digest)

    def check_data(self, digest: str, shape: Sequence[int], classes: int) -> None:
        """Make sure that a run goes on with the pictures that it began with.

        Raises:
            InputError: they are others.
        """
        path = self.path / _DATA
        if not path.exists():
            write_json(path, {"digest": digest, "shape": list(shape), "classes": classes})
        elif json.loads(path.read_text()).get("digest") != digest:
            raise InputError(
                f"the data are not those that the run in {str(self.path)!r} began with",
                hint="put the files back, or begin another run in another directory",
            )

    def begin_log(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Write the log anew with the entries up to the last checkpoint; what came after it, comes again."""
        fresh = self.path / f".{LOG_NAME}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        for left in self.path.glob(f".{LOG_NAME}.*"):
            left.unlink()
        self._journal = Journal(fresh, {"format": _LOG_FORMAT, "version": _VERSION})
        self._journal.append(entries)
        self._journal.sync()
        fresh.replace(self.path / LOG_NAME)

    def append(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Add an entry to the log, and give it as whoever reads the log will see it."""
        if self._journal is None:
            raise StoreError("the log is not open", hint="begin or take up the log before entries are added")
        self._journal.append([entry])
        seen: dict[str, Any] = json.loads(json.dumps(entry))
        return seen

    def entries(self) -> tuple[Mapping[str, Any], ...]:
        """The log."""
        return read_log(self.path)

    def finish(self) -> None:
        """Mark the run as finished; the states are no longer needed."""
        if self._journal is not None:
            self._journal.sync()
        write_json(self.path / _FINISHED, {"format": _FORMAT, "version": _VERSION})
        for name in (_STATE, _BEFORE):
            (self.path / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the log."""
        if self._journal is not None:
            self._journal.close()


@contextlib.contextmanager
def open_run_folder(path: Path, configuration: RunConfiguration) -> Iterator[RunFolder]:
    """Hold the folder of a run for this process alone; it is made where it is not there.

    Raises:
        InputError: it holds another run, or something that is no run.
        StoreLocked: another process holds it.
        StoreError: it cannot be made or read.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{str(path)!r} is a file", hint="give a directory, new or of an earlier run")
    if path.is_dir() and not (path / CONFIGURATION_NAME).exists():
        strangers = [one.name for one in path.iterdir() if not one.name.startswith(".")]
        if strangers:
            raise InputError(
                f"{str(path)!r} holds {strangers[0]!r} and no run",
                hint="give a directory that is new or empty, or that of an earlier run",
            )
    with lock_directory(path):
        before = read_run(path) if (path / CONFIGURATION_NAME).exists() else None
        if before is not None and any((path / name).exists() for name in (_STATE, _FINISHED)):
            _check_same(before, configuration, path)
        elif before != configuration:  # or nothing came of it: a model, a policy or data that are not there
            (path / _DATA).unlink(missing_ok=True)
            held = {"format": _FORMAT, "version": _VERSION, "configuration": configuration.as_json()}
            write_json(path / CONFIGURATION_NAME, held)
        folder = RunFolder(path, configuration)
        try:
            yield folder
        finally:
            folder.close()


def _check_same(before: RunConfiguration, now: RunConfiguration, path: Path) -> None:
    old, new = before.as_json(), now.as_json()
    differing = [name for name in old if old[name] != new[name]]
    if differing:
        words = "; ".join(f"{name} was {old[name]!r} and is {new[name]!r}" for name in differing)
        raise InputError(
            f"{str(path)!r} holds a run with another configuration: {words}",
            hint="give the same options to go on with it, or another directory for another run",
        )


def read_run(path: Path) -> RunConfiguration:
    """What the run in a folder was asked to do.

    Raises:
        InputError: there is no run, or one of a newer version.
        StoreCorrupt: its description is damaged.
        StoreError: it cannot be read.
    """
    file = path / CONFIGURATION_NAME
    try:
        held = json.loads(file.read_bytes())
    except FileNotFoundError as err:
        raise InputError(
            f"there is no run in {str(path)!r}", hint="`outgrow evolve run --out DIR` begins one"
        ) from err
    except (ValueError, RecursionError) as err:
        raise StoreCorrupt(f"{str(file)!r} cannot be understood: {err}", hint=_AGAIN) from err
    except OSError as err:
        raise StoreError(f"cannot read {str(file)!r}: {err.strerror or err}", hint=hint_for(err)) from err
    if not isinstance(held, dict) or held.get("format") != _FORMAT:
        raise InputError(f"{str(file)!r} is not of a run", hint="give the directory of a run")
    if held.get("version") != _VERSION:
        raise InputError(
            f"the run in {str(path)!r} is of version {held.get('version')}; this outgrow knows {_VERSION}",
            hint="update outgrow",
        )
    if not isinstance(held.get("configuration"), dict):
        raise StoreCorrupt(f"{str(file)!r} does not say how the run is configured", hint=_AGAIN)
    try:
        return RunConfiguration.from_json(held["configuration"])
    except TypeError as err:
        raise StoreCorrupt(f"{str(file)!r} cannot be understood: {err}", hint=_AGAIN) from err


def read_log(path: Path) -> tuple[Mapping[str, Any], ...]:
    """The log of the run in a folder, also while it runs.

    Raises:
        InputError: there is no run, or it has no log yet.
        StoreCorrupt: a line of it is damaged.
        StoreError: it cannot be read.
    """
    file = path / LOG_NAME
    if not file.exists():
        read_run(path)
        raise InputError(f"the run in {str(path)!r} has no log yet", hint="it has only just begun")
    held = read_journal(file, kind=_LOG_FORMAT, version=_VERSION)
    entries, is_finished = held.entries, (path / _FINISHED).exists()
    # A run that goes on is in the middle of a line, and one that was killed writes it again.
    damaged = [one for one in held.problems if is_finished or "cut off" not in one]
    if damaged or (is_finished and not entries):
        raise StoreCorrupt(
            f"{str(file)!r} is damaged: {damaged[0] if damaged else 'it is empty'}", hint=_AGAIN
        )
    if not entries:
        raise InputError(f"the log in {str(path)!r} has no entry yet", hint="the run has only just begun")
    for number, entry in enumerate(entries, start=1):
        if not entry.keys() >= _EVERY_ENTRY:
            missing = min(_EVERY_ENTRY - entry.keys())
            raise StoreCorrupt(f"entry {number} of {str(file)!r} has no {missing!r}", hint=_AGAIN)
    return entries


def read_pictures_shape(path: Path) -> tuple[tuple[int, ...], int]:
    """The shape of one picture of the run in a folder, and how many classes there are.

    Raises:
        StoreCorrupt: the run's note of its data is damaged or missing.
    """
    file = path / _DATA
    try:
        held = json.loads(file.read_bytes())
        return tuple(int(size) for size in held["shape"]), int(held["classes"])
    except (OSError, KeyError, TypeError, ValueError) as err:
        raise StoreCorrupt(f"{str(file)!r} cannot be understood: {err!r}", hint=_AGAIN) from err
