"""Recovery in the dispatcher: tells the state machine what happens and does what it wants done."""

__all__ = ["GangSupervisor", "supervisor_options"]

import json
import os
import resource
import struct
import sys
import time
from collections.abc import Mapping
from typing import Any

from outgrow.devices import memory_state
from outgrow.shard.dispatch.dispatch_state import Entry
from outgrow.shard.environment import Environment
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
from outgrow.shard.recovery.breaks import is_broken
from outgrow.shard.recovery.checkpoint_files import CheckpointFiles
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
from outgrow.shard.recovery.message_log import Logged, MessageLog
from outgrow.shard.recovery.pulse import PulseBoard
from outgrow.shard.recovery.recovery_state import RecoveryState
from outgrow.shard.recovery.signs_of_life import SignsOfLife, oom_kills
from outgrow.shard.wire.frame import FrameKind

_DEFINITIONS = (FrameKind.OPEN, FrameKind.TEMPLATES, FrameKind.DEFINE)
_QUESTIONS = (FrameKind.FETCH, FrameKind.ASK)
# Descriptors that others need: clients, ranks, what is on its way.
_FILES_LEFT = 256
# Signals that no process gets from what it computes.
_SENT = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT")
# How the frame of a call begins: segment, number, whether a step ends.
_CALL = struct.Struct("<IQB")


class GangSupervisor:
    """A `Supervisor` that brings ranks back: see docs/explanation/shard-faults.md."""

    def __init__(
        self,
        limits: RecoveryLimits | None = None,
        *,
        checkpoint_bytes: int | None = None,
        decisions: Mapping[int, list[Any]] | None = None,
    ) -> None:
        """`checkpoint_bytes`: what one checkpoint of one rank may take; None for no limit. `decisions`: by
        session, all those of an earlier run of the same programs, which is then run as it ran."""
        self.limits = limits or RecoveryLimits()
        self.checkpoint_bytes = checkpoint_bytes
        self.log = MessageLog()
        self.decisions: dict[int, list[Any]] = {}
        """By session, everything that was decided since it began."""
        self._imposed = dict(decisions or {})
        self.checkpoints = 0
        """Complete ones so far."""
        self.checkpoint_seconds = 0.0
        """What these took on the slowest rank, in all."""
        self.notices: list[str] = []
        """What clients were told."""
        self._due: Take | None = None
        self._signs: tuple[int, SignsOfLife] | None = None
        self._file_cost = 0
        self._errors: dict[int, str] = {}
        self._checkpoint_bytes: dict[int, int] = {}
        self._oom_kills = oom_kills()

    def attach(self, dispatcher: Any) -> None:
        """See `Supervisor.attach`."""
        self._dispatcher = dispatcher
        self.state = RecoveryState(dispatcher.world_size, self.limits)
        self._board = PulseBoard(dispatcher.world_size)
        self._files = CheckpointFiles(dispatcher.world_size)
        # Each uploaded tensor in the log is an open file here, and one more for each rank while it is run
        # again.
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        most = max(16, (hard - _FILES_LEFT) // (2 + 2 * dispatcher.world_size))
        self._file_cost = -(-self.limits.log_bytes // most)
        self.state.start(time.monotonic())

    def equipment(self, rank: int) -> tuple[dict[str, Any], tuple[int, ...]]:
        """What a new rank is told and given besides its configuration; files only where the line can pass
        them."""
        if rank == 0:
            self._board.clear()
        told = {"recovery": {"checkpoint_bytes": self.checkpoint_bytes}}
        return told, (self._board.descriptor, *self._files.of(rank))

    # What the dispatcher says

    def on_forward(self, entry: Entry) -> None:
        """See `Supervisor.on_forward`."""
        self._place_order()
        if self.limits.is_on or entry.kind in (*_DEFINITIONS, FrameKind.CLOSE):
            self.log.append(
                Logged(
                    seq=entry.sequence,
                    session=entry.session,
                    kind=entry.kind,
                    payload=entry.payload,
                    nbytes=entry.nbytes + 200,
                    files=tuple(os.dup(file) for file in entry.files),
                    is_definition=entry.kind in _DEFINITIONS,
                    is_question=entry.kind in _QUESTIONS,
                    is_end=entry.kind is FrameKind.CLOSE,
                    call=_CALL.unpack_from(entry.payload)[1] if entry.kind is FrameKind.CALL else None,
                )
            )
        nbytes = max(entry.nbytes + 200, self._file_cost * len(entry.files))
        self._tell(Sent(seq=entry.sequence, nbytes=nbytes, ends_step=_ends_step(entry)))

    def on_decision(self, rank: int, session: int, sequence: int, decision: bytes) -> None:
        """See `Supervisor.on_decision`."""
        made = json.loads(decision)
        self.decisions.setdefault(session, []).append(made)
        self.log.decided(session, sequence, made)

    def on_beat(self, rank: int, statistics: dict[str, Any]) -> None:
        """See `Supervisor.on_beat`."""
        # Where some ranks run elsewhere the page says nothing of any: see `_look`.
        if any(line.pid is None for line in self._dispatcher.gang.lines.values()):
            done = statistics["messages"]
            self._tell(Sign(gang=self.state.gang, rank=rank, started=done, finished=done))

    def on_ready(self, generation: int) -> None:
        """See `Supervisor.on_ready`."""
        for rank in range(self.state.world_size):
            self._tell(Ready(gang=generation, rank=rank))

    def on_rank_lost(self, rank: int, reason: str) -> None:
        """See `Supervisor.on_rank_lost`."""
        gang = self.state.gang
        self._look(time.monotonic())
        if gang != self.state.gang:
            return  # the look found another one, and all are started anew already
        error = self._errors.pop(rank, None)
        if error is not None and is_broken(error):
            return  # another one is to blame, and is found or given up soon
        how = reason.removeprefix("its process ") if error is None else f"could not go on: {error}"
        before, self._oom_kills = self._oom_kills, oom_kills()
        is_out_of_memory = "SIGKILL" in how and self._oom_kills > before
        if is_out_of_memory:
            how += " because memory ran out"
        is_sent = any(name in how for name in _SENT) and not is_out_of_memory
        self._tell(Gone(gang=self.state.gang, rank=rank, how=how, is_own_doing=not is_sent))

    def on_rank_error(self, rank: int, told: dict[str, Any]) -> None:
        """See `Supervisor.on_rank_error`."""
        message = str(told["message"])
        self._errors[rank] = message
        if is_broken(message):
            self._tell(Broken(gang=self.state.gang, rank=rank, text=message))

    def on_note(self, rank: int, generation: int, note: dict[str, Any]) -> None:
        """A rank says how recovery goes on its side."""
        about = {"gang": generation, "rank": rank}
        event: Event
        match note["event"]:
            case "stored":
                self._checkpoint_bytes[rank] = note["nbytes"]
                event = Stored(**about, checkpoint=note["checkpoint"], seconds=note["seconds"])
            case "not stored":
                event = NotStored(**about, checkpoint=note["checkpoint"], text=note["text"])
            case "not restored":
                event = NotRestored(**about, text=note["text"])
            case "failed":
                event = Failed(
                    **about,
                    count=note["count"],
                    seq=note["seq"],
                    step=note["step"],
                    text=json.dumps(note["failure"]),
                )
            case _:
                event = Broken(**about, text=note["text"])
        before = self.state.complete
        self._look(time.monotonic())
        self._tell(event)
        if self.state.complete != before:
            self.checkpoints += 1
            self.checkpoint_seconds += self.state.cost_seconds

    def statistics(self) -> dict[str, Any]:
        """See `Supervisor.statistics`."""
        return {
            "phase": self.state.phase.value,
            "faults": self.state.faults,
            "notices": self.notices,
            "checkpoints": self.checkpoints,
            "checkpoint_seconds": self.checkpoint_seconds,
            "checkpoint_bytes": sum(self._checkpoint_bytes.values()),
            "log_messages": len(self.log),
            "log_bytes": self.log.nbytes,
        }

    def on_tick(self, seconds: float) -> None:
        """See `Supervisor.on_tick`."""
        if self._place_order():
            self._dispatcher.gang.flush()
        self._look(seconds)
        self._tell(Tick())

    def close(self) -> None:
        """Give every file back."""
        self.log.close()
        self._files.close()
        self._board.close()

    # What is done

    def _look(self, at: float) -> None:
        """Take note of the signs that ranks gave since; what a dead rank was at is read here, too."""
        gang = self.state.gang
        if self._signs is None or self._signs[0] != gang:
            lines = self._dispatcher.gang.lines
            pids = [lines[rank].pid for rank in sorted(lines)]
            if None in pids or len(pids) < self.state.world_size:
                return
            self._signs = (gang, SignsOfLife(gang, self._board, pids))
        for event in self._signs[1].look(at):
            self._tell(event)

    def _tell(self, event: Event) -> None:
        self._act(self.state.handle(event, time.monotonic()))

    def _act(self, actions: list[Action]) -> None:
        poison: list[Poison] = []
        lost: str | None = None
        for action in actions:
            match action:
                case Kill():
                    self._due = None
                    self._errors.clear()
                case Start():
                    self._dispatcher.restart_ranks()
                case Poison():
                    poison.append(action)
                case Forget():
                    self.log.discard(action.before)
                    lost = action.text
                case Restore():
                    self._restore(action, poison, lost)
                case Take():
                    self._due = action
                case Discard():
                    self.log.discard(action.before)
                case Tell():
                    self.notices.append(action.text)
                    self._dispatcher.notify(action.text)
                case GiveUp():
                    self._dispatcher.give_up(action.text)

    def _place_order(self) -> bool:
        """Put a checkpoint that is due behind the last message; whether there was one."""
        take, self._due = self._due, None
        if take is None:
            return False
        order = json.dumps({"checkpoint": take.checkpoint, "slot": take.slot}).encode()
        self._dispatcher.gang.send(FrameKind.CHECKPOINT, order)
        return True

    def _restore(self, restore: Restore, poison: list[Poison], lost: str | None) -> None:
        send = self._dispatcher.gang.send
        body = {
            "checkpoint": restore.checkpoint,
            "slot": restore.slot,
            "decisions": self._imposed or self.log.decisions(),
            "decided_until": dict.fromkeys(self._imposed, sys.maxsize)
            or self.log.decided_until(self._dispatcher.state.done[0]),
            "lost": lost,
            "poison": [
                {"seq": one.seq, "step": one.step, "text": one.text, "is_reported": one.is_reported}
                for one in poison
            ],
        }
        send(FrameKind.RESTORE, json.dumps(body).encode())
        for entry in self.log.definitions():
            send(entry.kind, entry.payload, session=entry.session, sequence=entry.seq)
        until = -1
        for entry in self.log.replay(self._dispatcher.state.is_waiting):
            until = entry.seq
            send(entry.kind, entry.payload, session=entry.session, sequence=entry.seq, files=entry.files)
        self._tell(Resent(gang=restore.gang, until=until))
        self._dispatcher.gang.flush()


def supervisor_options(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a `GangSupervisor` is made with in a process that was told so, by its environment and the machine.

    Raises:
        InputError: a variable of the environment cannot be.
    """
    environment = Environment.read()
    given = told.get("recovery") or {}
    limits = {"is_on": environment.recovers, **given.get("limits", {})}
    room = environment.checkpoint_memory_bytes
    if room is None:
        room = memory_state().limit // 8 // told["world_size"]
    return {
        "limits": RecoveryLimits(**limits),
        "checkpoint_bytes": room,
        "decisions": {int(session): made for session, made in given.get("decisions", {}).items()},
    }


def _ends_step(entry: Entry) -> bool:
    return entry.kind is FrameKind.CALL and bool(_CALL.unpack_from(entry.payload)[2])
