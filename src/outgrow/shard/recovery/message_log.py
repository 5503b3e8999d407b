"""The messages since the last checkpoint, as they went to the ranks."""

__all__ = ["Logged", "MessageLog"]

import os
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, eq=False)
class Logged:
    """One message of the order."""

    seq: int
    """Its place in the order."""
    session: int
    """Whose it is."""
    kind: Any
    """Of the frame."""
    payload: Any
    """Of the frame."""
    nbytes: int
    """What it holds in memory."""
    files: tuple[int, ...] = ()
    """Descriptors that belong to the log."""
    is_definition: bool = False
    """Whether later messages may refer to it for ever."""
    is_question: bool = False
    """Whether it changes nothing and wants a reply."""
    is_end: bool = False
    """Whether it is the end of its session."""
    call: int | None = None
    """The number of the call that it is."""

    def close(self) -> None:
        """Give its files back."""
        for file in self.files:
            os.close(file)
        self.files = ()


class MessageLog:
    """Messages by their place in the order; definitions of open sessions stay for ever."""

    def __init__(self) -> None:
        self.nbytes = 0
        """Of all messages held, definitions among them."""
        self._entries: deque[Logged] = deque()
        self._definitions: dict[int, list[Logged]] = {}
        self._decisions: dict[int, list[tuple[int, Any]]] = {}
        self._closed: set[int] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, entry: Logged) -> None:
        """Add the next message of the order; its files are the log's from now on."""
        if entry.is_end:
            self._end(entry.session)
        self._entries.append(entry)
        self.nbytes += entry.nbytes

    def decided(self, session: int, seq: int, decision: Any) -> None:
        """A rank decided, while it ran message `seq`, how it will run later ones."""
        if session not in self._closed:
            self._decisions.setdefault(session, []).append((seq, decision))

    def discard(self, before: int) -> None:
        """Forget messages before `before`, and decisions made there: a checkpoint knows them. Definitions
        stay."""
        while self._entries and self._entries[0].seq < before:
            entry = self._entries.popleft()
            if entry.is_definition and entry.session not in self._closed:
                self._definitions.setdefault(entry.session, []).append(entry)
            else:
                self.nbytes -= entry.nbytes
                entry.close()
            if entry.is_end:
                self._closed.discard(entry.session)
        for session, decisions in list(self._decisions.items()):
            kept = [(seq, decision) for seq, decision in decisions if seq >= before]
            if kept:
                self._decisions[session] = kept
            else:
                del self._decisions[session]

    def definitions(self) -> list[Logged]:
        """Those before the first message held, in the order they came."""
        kept = [entry for entries in self._definitions.values() for entry in entries]
        return sorted(kept, key=lambda entry: entry.seq)

    def replay(self, is_waiting: Callable[[int], bool]) -> Iterator[Logged]:
        """What is to be run again: of questions those that wait for an answer, of sessions that are over only
        the end."""
        for entry in list(self._entries):
            is_over = entry.session in self._closed and not entry.is_end
            if not is_over and (not entry.is_question or is_waiting(entry.seq)):
                yield entry

    def decisions(self) -> dict[int, list[Any]]:
        """By session, what was decided since the checkpoint, in the order it came."""
        return {
            session: [decision for _, decision in decisions] for session, decisions in self._decisions.items()
        }

    def decided_until(self, done: int) -> dict[int, int]:
        """By session, the number of a call up to which all decisions are known: the last one up to message
        `done`, which was run, or one that a decision is about, since that comes before it is run."""
        until = {
            entry.session: entry.call
            for entry in self._entries
            if entry.call is not None and entry.seq <= done
        }
        for session, decisions in self.decisions().items():
            until[session] = max(until.get(session, -1), *(decision["call"] for decision in decisions))
        return until

    def close(self) -> None:
        """Give all files back."""
        for entry in (*self.definitions(), *self._entries):
            entry.close()
        self._entries.clear()
        self._definitions.clear()

    def _end(self, session: int) -> None:
        self._closed.add(session)
        self._decisions.pop(session, None)
        for entry in self._definitions.pop(session, []):
            self.nbytes -= entry.nbytes
            entry.close()
