"""What is done when a rank fails: asked by the dispatcher, answered by whoever knows how to recover."""

__all__ = ["Supervisor", "Surrender"]

from typing import Any, Protocol

from outgrow.shard.dispatch.dispatch_state import Entry


class Supervisor(Protocol):
    """Told of everything that recovery needs. All methods are called in the dispatcher's one thread, and must
    be quick.

    A supervisor is given the dispatcher once (`attach`) and acts through it: `dispatcher.restart_ranks()`
    ends every rank and starts a new generation; when that is ready, `on_ready` is called, and what it sends
    with `dispatcher.gang.send` comes before anything that clients sent since.
    `dispatcher.give_up(reason)` refuses every client.
    """

    decisions: dict[int, list[Any]]
    """By session, everything that was decided since it began."""

    def statistics(self) -> dict[str, Any]:
        """What was recovered so far and what it cost; plain JSON."""
        ...

    def attach(self, dispatcher: Any) -> None:
        """Called once, before anything else."""
        ...

    def equipment(self, rank: int) -> tuple[dict[str, Any], tuple[int, ...]]:
        """What a rank that is being started is told besides, as JSON, and the files that it is given where
        that can be. They stay the supervisor's."""
        ...

    def on_forward(self, entry: Entry) -> None:
        """A message took its place in the order (`entry.sequence`) and is about to go to the ranks. To keep
        it beyond `on_release`, keep its payload and duplicates of its files."""
        ...

    def on_decision(self, rank: int, session: int, sequence: int, decision: bytes) -> None:
        """A rank decided, while it did message `sequence`, how a segment runs from some call on (JSON); comes
        before any answer that depends on it."""
        ...

    def on_note(self, rank: int, generation: int, note: dict[str, Any]) -> None:
        """A rank says something about its recovery."""
        ...

    def on_beat(self, rank: int, statistics: dict[str, Any]) -> None:
        """A rank lives; every 0.2 s."""
        ...

    def on_ready(self, generation: int) -> None:
        """All ranks of a generation take messages; nothing has been sent to them yet."""
        ...

    def on_rank_lost(self, rank: int, reason: str) -> None:
        """A rank's line broke, or its process ended; called once a generation and rank."""
        ...

    def on_rank_error(self, rank: int, told: dict[str, Any]) -> None:
        """A rank said that it cannot go on (`message`, `traceback`); its line breaks next."""
        ...

    def on_tick(self, seconds: float) -> None:
        """Called ten times a second with `time.monotonic()`."""
        ...


class Surrender:
    """Recovers nothing: where one rank is lost, every client is told and the dispatcher ends."""

    def __init__(self) -> None:
        self.decisions: dict[int, list[Any]] = {}
        self._dispatcher: Any = None

    def statistics(self) -> dict[str, Any]:
        """See `Supervisor.statistics`."""
        return {}

    def attach(self, dispatcher: Any) -> None:
        """See `Supervisor.attach`."""
        self._dispatcher = dispatcher

    def equipment(self, rank: int) -> tuple[dict[str, Any], tuple[int, ...]]:
        """See `Supervisor.equipment`."""
        return {}, ()

    def on_forward(self, entry: Entry) -> None:
        """See `Supervisor.on_forward`."""

    def on_decision(self, rank: int, session: int, sequence: int, decision: bytes) -> None:
        """See `Supervisor.on_decision`."""

    def on_note(self, rank: int, generation: int, note: dict[str, Any]) -> None:
        """See `Supervisor.on_note`."""

    def on_beat(self, rank: int, statistics: dict[str, Any]) -> None:
        """See `Supervisor.on_beat`."""

    def on_ready(self, generation: int) -> None:
        """See `Supervisor.on_ready`."""

    def on_rank_lost(self, rank: int, reason: str) -> None:
        """See `Supervisor.on_rank_lost`."""
        self._dispatcher.give_up(f"rank {rank} was lost: {reason}")

    def on_rank_error(self, rank: int, told: dict[str, Any]) -> None:
        """See `Supervisor.on_rank_error`."""
        self._dispatcher.give_up(f"rank {rank} failed: {told['message']}\n{told['traceback']}")

    def on_tick(self, seconds: float) -> None:
        """See `Supervisor.on_tick`."""
