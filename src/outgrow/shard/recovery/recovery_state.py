"""What to do when ranks die, stop or disagree, as a state machine: events in, actions out; no I/O, threads or
clock.

Messages to the ranks have numbers, rising without gaps: the *order*. All ranks run the same messages, so what
they hold follows from a checkpoint and the messages since. A *gang* is one life of all ranks together: they
share a process group, so when one is lost all begin anew.
"""

__all__ = ["Phase", "RecoveryState"]

import enum
from dataclasses import dataclass, field

from outgrow.shard.recovery.actions import (
    Action,
    Discard,
    Forget,
    GiveUp,
    Kill,
    Poison,
    Restore,
    Start,
    Take,
    Tell,
)
from outgrow.shard.recovery.events import (
    Broken,
    Event,
    Failed,
    Gone,
    NotRestored,
    NotStored,
    Ready,
    Resent,
    Sent,
    Sign,
    Stored,
    Tick,
)
from outgrow.shard.recovery.limits import RecoveryLimits

_CALM_SECONDS = 10.0
"""After so long without a fault, faults before count no more as a row."""


class Phase(enum.Enum):
    """What the gang is doing."""

    STARTING = "starting"
    """Its ranks have not all met."""
    CATCHING_UP = "catching up"
    """They run again what was run before the fault."""
    RUNNING = "running"
    LOST = "lost"
    """Given up."""


@dataclass(slots=True)
class _Rank:
    is_ready: bool = False
    last_sign: float | None = None
    moved: float = 0.0
    started: int = -1
    finished: int = -1
    broken: tuple[float, str] | None = None
    failures: dict[int, tuple[float, Failed]] = field(default_factory=dict)


@dataclass(slots=True)
class _Pending:
    checkpoint: int
    slot: int
    since: int
    nbytes: int = 0
    messages: int = 0
    stored: dict[int, float] = field(default_factory=dict)


class RecoveryState:
    """Everything that is decided about faults."""

    def __init__(self, world_size: int, limits: RecoveryLimits | None = None) -> None:
        self.world_size = world_size
        self.limits = limits or RecoveryLimits()
        self.phase = Phase.STARTING
        self.gang = 0
        self.head = -1
        """The last message of the order."""
        self.complete: tuple[int, int] | None = None
        """The checkpoint that a new gang takes up, and its slot; None: begin with nothing."""
        self.since: int | None = 0
        """The first message that a new gang has to run; None where the log before is lost, too."""
        self.poisoned: dict[int, Poison] = {}
        self.faults = 0
        """So far."""
        self._ranks = [_Rank() for _ in range(world_size)]
        self._pending: _Pending | None = None
        self._tries: dict[int, int] = {}
        self._barren = 0
        self._furthest = -1
        self._target = -1
        self._numbers = 0
        self._nbytes = 0
        self._messages = 0
        self.cost_seconds = 0.0
        """What the last complete checkpoint took on the slowest rank."""
        self._not_before = 0.0
        self._now = 0.0
        self._seen: float | None = None
        self._taken = 0.0
        self._started = 0.0
        self._fault: tuple[float, str] | None = None
        self._calm_since = 0.0

    def start(self, at: float) -> list[Action]:
        """Begin, at the time `at` in seconds."""
        self._seen = at
        self.gang = 1
        return [Start(gang=1)]

    def handle(self, event: Event, at: float) -> list[Action]:
        """Take note of an event at the time `at`, in seconds; what is to be done about it."""
        # Where whoever looks was itself held up (a stopped machine, a long copy), its own silence is not the
        # ranks'.
        before = self._seen if self._seen is not None else at
        self._now += min(max(at - before, 0.0), self.limits.silence_seconds / 2)
        self._seen = at
        if isinstance(event, Sent):
            return self._sent(event)
        if isinstance(event, Tick):
            return self._tick(at)
        if self.phase is Phase.LOST or event.gang != self.gang:
            return []
        if isinstance(event, Resent):
            self._target = event.until
            return self._caught_up(at)
        rank = self._ranks[event.rank]
        match event:
            case Ready():
                rank.is_ready = True
                rank.last_sign = rank.moved = self._now
                return self._met() if all(other.is_ready for other in self._ranks) else []
            case Sign():
                return self._sign(rank, event, at)
            case Gone():
                culprit = rank if event.is_own_doing else None
                text = f"rank {event.rank} {event.how}"
                return self._lost(text, at, culprit=culprit)
            case Broken():
                rank.broken = rank.broken or (self._now, f"rank {event.rank}: {event.text}")
                return []
            case Failed():
                rank.failures[event.count] = (self._now, event)
                return self._disagreement(at)
            case Stored():
                return self._stored(event)
            case NotStored():
                return self._not_stored(event)
            case NotRestored():
                self.since = None
                return self._lost(f"rank {event.rank} cannot take up its checkpoint: {event.text}", at)

    # The order and the log

    def _sent(self, event: Sent) -> list[Action]:
        self.head = event.seq
        self._nbytes += event.nbytes
        self._messages += 1
        pending = self._pending
        if pending is not None:
            pending.nbytes += event.nbytes
            pending.messages += 1
        if not self.limits.is_on or self.phase is Phase.LOST:
            self.since = None
            return [Discard(before=event.seq + 1)]
        room = 1 if pending is None else 2
        if self._nbytes > room * self.limits.log_bytes or self._messages > room * self.limits.log_messages:
            return self._overflow()
        return self._take(event) if pending is None else []

    def _overflow(self) -> list[Action]:
        was_safe, self.since = self.since is not None, None
        self._nbytes = self._messages = 0
        if self._pending is not None:
            self._pending.nbytes = self._pending.messages = 0
            return []  # the log from the pending checkpoint on must stay
        text = "the log of messages is full and nothing could be stored: a lost rank would lose its tensors"
        return [Discard(before=self.head + 1), *([Tell(text=text)] if was_safe else [])]

    def _take(self, event: Sent) -> list[Action]:
        if self.phase is not Phase.RUNNING or self._now < self._not_before:
            return []
        spacing = max(self.limits.interval_seconds, self.cost_seconds / self.limits.overhead)
        waited = self._now - self._taken
        is_full = 2 * self._nbytes >= self.limits.log_bytes or 2 * self._messages >= self.limits.log_messages
        if not (is_full or (waited >= spacing and event.ends_step) or waited >= 2 * spacing):
            return []
        self._numbers += 1
        self._taken = self._now
        slot = 0 if self.complete is None else 1 - self.complete[1]
        self._pending = _Pending(checkpoint=self._numbers, slot=slot, since=event.seq + 1)
        return [Take(checkpoint=self._numbers, slot=slot)]

    def _stored(self, event: Stored) -> list[Action]:
        pending = self._pending
        if pending is None or pending.checkpoint != event.checkpoint:
            return []
        pending.stored[event.rank] = event.seconds
        if len(pending.stored) < self.world_size:
            return []
        self._pending = None
        self.cost_seconds = max(pending.stored.values())
        self.complete = (pending.checkpoint, pending.slot)
        self.since = pending.since
        self._nbytes, self._messages = pending.nbytes, pending.messages
        self._tries = {seq: count for seq, count in self._tries.items() if seq >= self.since}
        self.poisoned = {seq: poison for seq, poison in self.poisoned.items() if seq >= self.since}
        return [Discard(before=self.since)]

    def _not_stored(self, event: NotStored) -> list[Action]:
        pending = self._pending
        if pending is None or pending.checkpoint != event.checkpoint:
            return []
        # The others may have stored theirs; it is a checkpoint only where all have.
        self._pending = None
        self._not_before = self._now + 15 * self.limits.interval_seconds
        return []

    # The gang

    def _met(self) -> list[Action]:
        if self.since is None:
            lost = self._fault[1] if self._fault is not None else "the ranks were started anew"
            self.complete, self.since = None, self.head + 1
            self._nbytes = self._messages = 0
            self.poisoned.clear()
            self._tries.clear()
            forget: list[Action] = [Forget(before=self.since, text=lost)]
        else:
            forget = []
        self._target = self.head
        self.phase = Phase.CATCHING_UP
        self._taken = self._now
        checkpoint, slot = self.complete or (None, 0)
        restore = Restore(gang=self.gang, checkpoint=checkpoint, slot=slot, since=self.since)
        return [*forget, *self.poisoned.values(), restore, *self._caught_up(None)]

    def _sign(self, rank: _Rank, event: Sign, at: float) -> list[Action]:
        rank.last_sign = self._now
        if (event.started, event.finished) == (rank.started, rank.finished):
            return []
        rank.started, rank.finished = event.started, event.finished
        rank.moved = self._now
        slowest = min(other.finished for other in self._ranks)
        if slowest > self._furthest:
            self._furthest = slowest
            self._barren = 0
        return self._caught_up(at)

    def _caught_up(self, at: float | None) -> list[Action]:
        behind = self.since is None or any(
            rank.finished < self._target for rank in self._ranks if self._target >= self.since
        )
        if self.phase is not Phase.CATCHING_UP or behind:
            return []
        self.phase = Phase.RUNNING
        self._calm_since = self._now
        fault, self._fault = self._fault, None
        if fault is None:
            return []
        seconds = (at if at is not None else self._seen or 0.0) - fault[0]
        return [Tell(text=f"{fault[1]}; all ranks were started anew and are back after {seconds:.1f} s")]

    def _tick(self, at: float) -> list[Action]:
        if self.phase is Phase.LOST:
            return []
        if self.phase is Phase.RUNNING and self._now - self._calm_since > _CALM_SECONDS:
            self._barren = 0
        for number, rank in enumerate(self._ranks):
            if rank.last_sign is None:
                continue
            silent = self._now - rank.last_sign
            if silent > self.limits.silence_seconds:
                return self._lost(f"rank {number} gave no sign of life for {silent:.1f} s", at, culprit=rank)
        broken = min((rank.broken for rank in self._ranks if rank.broken is not None), default=None)
        if broken is not None and self._now - broken[0] > self.limits.grace_seconds:
            return self._lost(broken[1], at)
        if self.phase is Phase.STARTING and self._now - self._started > self.limits.start_seconds:
            return self._lost(f"the ranks did not meet within {self.limits.start_seconds:.0f} s", at)
        return self._disagreement(at)

    def _disagreement(self, at: float) -> list[Action]:
        for count in sorted({count for rank in self._ranks for count in rank.failures}):
            reports = [rank.failures[count] for rank in self._ranks if count in rank.failures]
            places = {(report.seq, report.step) for _, report in reports}
            if len(places) == 1:
                if len(reports) == self.world_size:
                    for rank in self._ranks:
                        del rank.failures[count]
                    continue
                if not self._waited_enough(count, reports):
                    continue
            # The earliest place: what came after it may have followed from it.
            first = min(
                (report for _, report in reports),
                key=lambda one: (one.seq, -1 if one.step is None else one.step),
            )
            self.poisoned[first.seq] = Poison(
                seq=first.seq, step=first.step, text=first.text, is_reported=True
            )
            return self._lost(f"an op failed on rank {first.rank} but not on all others", at)
        return []

    def _waited_enough(self, count: int, reports: list[tuple[float, Failed]]) -> bool:
        since = max(when for when, _ in reports)
        seq = reports[0][1].seq
        for rank in self._ranks:
            if count not in rank.failures and rank.finished < seq:
                since = max(since, rank.moved)
        return self._now - since > self.limits.grace_seconds

    def _lost(self, text: str, at: float, *, culprit: _Rank | None = None) -> list[Action]:
        self.faults += 1
        self._barren += 1
        actions: list[Action] = [Kill(gang=self.gang)]
        if culprit is not None and culprit.started > culprit.finished:
            self._blame(culprit.started, text)
        if self._fault is None:
            self._fault = (at, text)
        self._pending = None
        self._ranks = [_Rank() for _ in range(self.world_size)]
        if self._barren > self.limits.barren:
            self.phase = Phase.LOST
            return [
                *actions,
                GiveUp(text=f"{text}; it was fault {self._barren} in a row with nothing done between"),
            ]
        self.gang += 1
        self.phase = Phase.STARTING
        self._started = self._now
        return [*actions, Start(gang=self.gang)]

    def _blame(self, seq: int, text: str) -> None:
        tries = self._tries[seq] = self._tries.get(seq, 0) + 1
        if tries < self.limits.tries or seq in self.poisoned:
            return
        self.poisoned[seq] = Poison(
            seq=seq, step=None, text=f"{text} while it ran this, {tries} times", is_reported=False
        )

    def check(self) -> None:
        """Raise AssertionError where an invariant does not hold."""
        assert self.head >= -1
        assert self.since is None or 0 <= self.since <= self.head + 1, "the log begins within the order"
        if self.phase in (Phase.RUNNING, Phase.CATCHING_UP):
            assert all(rank.is_ready for rank in self._ranks)
            assert self.since is not None or not self.limits.is_on or self._nbytes >= 0
        if self.phase is Phase.STARTING:
            assert not all(rank.is_ready for rank in self._ranks)
            assert self._pending is None, "a checkpoint of an older gang is never completed"
        pending = self._pending
        if pending is not None:
            assert self.complete is None or pending.slot != self.complete[1], "the complete one stays whole"
            assert len(pending.stored) < self.world_size
            assert self.since is None or pending.since >= self.since
        if self.since is not None:
            assert all(seq >= self.since for seq in self.poisoned)
        for seq, count in self._tries.items():
            assert count < self.limits.tries or seq in self.poisoned, "no endless loop at one message"
        assert self._barren <= self.limits.barren + 1


def _place(report: Failed) -> tuple[int, int]:
    return report.seq, -1 if report.step is None else report.step
