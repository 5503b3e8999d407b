"""The messages since the last checkpoint, as they went to the ranks."""

__all__ = ["Entry", "MessageLog"]

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True, eq=False)
class Entry:
    """One message of the order."""

    seq: int
    """Its place in the order."""
    session: int
    """Whose it is."""
    frames: Any
    """The message as it is sent."""
    nbytes: int
    is_definition: bool = False
    """Whether later messages may refer to it for ever."""
    is_question: bool = False
    """Whether it changes nothing and wants a reply."""
    is_end: bool = False
    """Whether it is the end of its session."""
    is_answered: bool = False
    """Whether the reply has gone to the client: then it is not run again."""


class MessageLog:
    """Entries by their place in the order; definitions of open sessions stay for ever."""

    def __init__(self) -> None:
        self.nbytes = 0
        """Of all entries held, definitions among them."""
        self._entries: deque[Entry] = deque()
        self._definitions: dict[int, list[Entry]] = {}
        self._decisions: dict[int, list[tuple[int, Any]]] = {}
        self._questions: dict[tuple[int, int], Entry] = {}
        self._closed: set[int] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, entry: Entry, *, request: int | None = None) -> None:
        """Add the next message of the order; `request` is the number of a question."""
        if request is not None:
            self._questions[entry.session, request] = entry
        self._entries.append(entry)
        self.nbytes += entry.nbytes

    def answered(self, session: int, request: int) -> bool:
        """The reply to a question came; whether it was the first, which is the one to pass on."""
        entry = self._questions.pop((session, request), None)
        if entry is None:
            return False
        entry.is_answered = True
        return True

    def waiting(self, session: int | None = None) -> list[tuple[int, int]]:
        """`(session, request)` of the questions without an answer, in their order."""
        return [key for key in self._questions if session is None or key[0] == session]

    def decided(self, session: int, seq: int, decision: Any) -> None:
        """A rank decided, while it ran message `seq`, how it will run later ones."""
        self._decisions.setdefault(session, []).append((seq, decision))

    def discard(self, before: int) -> None:
        """Forget messages before `before`, and decisions that a checkpoint there knows, but keep
        definitions."""
        while self._entries and self._entries[0].seq < before:
            entry = self._entries.popleft()
            if entry.is_definition and entry.session not in self._closed:
                self._definitions.setdefault(entry.session, []).append(entry)
            else:
                self.nbytes -= entry.nbytes
        for session, decisions in list(self._decisions.items()):
            kept = [(seq, decision) for seq, decision in decisions if seq >= before]
            if kept:
                self._decisions[session] = kept
            else:
                del self._decisions[session]

    def close(self, session: int) -> None:
        """A session is over: nothing of it will be run again, once its end is in the order."""
        self._closed.add(session)
        self._decisions.pop(session, None)
        self.nbytes -= sum(entry.nbytes for entry in self._definitions.pop(session, []))
        for key in self.waiting(session):
            self._questions.pop(key).is_answered = True

    def definitions(self) -> Iterator[Entry]:
        """Those before the first entry, in the order they came."""
        kept = (entry for entries in self._definitions.values() for entry in entries)
        yield from sorted(kept, key=lambda entry: entry.seq)

    def replay(self) -> Iterator[Entry]:
        """What is to be run again: no answered questions, nothing of sessions that are over but their
        ends."""
        for entry in list(self._entries):
            is_over = entry.session in self._closed and not entry.is_end
            if not is_over and not (entry.is_question and entry.is_answered):
                yield entry

    def decisions(self) -> Iterator[tuple[int, Any]]:
        """`(session, decision)` of what was decided since the checkpoint, in the order it came for each
        session."""
        for session, decisions in self._decisions.items():
            for _, decision in decisions:
                yield session, decision
