"""Recovery on a rank: signs of life, storing and taking up checkpoints, and failing where all must fail."""

__all__ = ["RankRecovery"]

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from outgrow.errors import OutgrowError
from outgrow.shard.messages import Ask, Call, Define, Fetch, Message, Put, Reply
from outgrow.shard.ranks.held import Failure
from outgrow.shard.recovery.agreement import GangBroken, StoreBoard
from outgrow.shard.recovery.breaks import is_broken
from outgrow.shard.recovery.checkpoint import CheckpointDamaged, SessionState, load, store
from outgrow.shard.recovery.pulse import Pulse, PulseBoard


class RankRecovery:
    """What a rank keeps beside its executors. `say` takes notes for the dispatcher, as plain JSON."""

    def __init__(
        self,
        *,
        rank: int,
        world_size: int,
        files: Sequence[int],
        store: Any,
        checkpoint_bytes: int | None,
        say: Callable[[dict[str, Any]], None],
        is_cut: Callable[[], bool],
    ) -> None:
        """`files`: the page of signs, then the places of checkpoints; they belong to this from now on. None
        on another machine than the dispatcher: then there are no checkpoints, and the ranks agree through
        `store`, in which they met. `is_cut`: whether the dispatcher let go of this rank."""
        self._pulse = PulseBoard(world_size, files[0]).pulse(rank) if files else None
        self._failures: Pulse | StoreBoard | None = None
        if world_size > 1:
            self._failures = self._pulse or StoreBoard(store, world_size, rank)
        self._is_cut = is_cut
        self._slots = tuple(files[1:])
        self._room = checkpoint_bytes
        self._say = say
        self._seq = -1
        self._poison: dict[int, dict[str, Any]] = {}
        self._restored: dict[int, SessionState] = {}
        self._decisions: dict[int, list[dict[str, Any]]] = {}
        self._until: dict[int, int] = {}
        self._lost: str | None = None

    def start(self) -> None:
        """Give signs of life from now on."""
        if self._pulse is not None:
            self._pulse.start()

    # The order

    def takes_up(self, seq: int) -> None:
        """A message is going to be run."""
        self._seq = seq
        if self._pulse is not None:
            self._pulse.takes_up(seq)

    def done_with(self, seq: int) -> None:
        """A message has been run."""
        if self._pulse is not None:
            self._pulse.done_with(seq)

    def agree(self, failure: Failure) -> None:
        """An op failed here: go on where it failed on every rank, and do not return where it did not.

        Were a rank to go on alone, its next exchange would meet another one of the others, and add what does
        not belong together.

        Raises:
            GangBroken: another rank is gone, or the dispatcher let go of this one.
        """
        if is_broken(failure.message):
            raise GangBroken(failure.message)
        board = self._failures
        if board is None:
            return
        count = board.fail(self._seq, failure.step)
        self._say(
            {
                "event": "failed",
                "count": count,
                "seq": self._seq,
                "step": failure.step,
                "failure": asdict(failure),
            }
        )
        waited = 0.0001
        while not board.has_agreed(count, self._seq, failure.step):
            time.sleep(waited)
            waited = min(2 * waited, 0.01)
            if waited > 0.005 and self._is_cut():
                raise GangBroken("the dispatcher let go of this rank")

    def handle(self, executor: Any, message: Message) -> Reply | None:
        """Let the executor do what a message says, or let it fail where that was decided."""
        if self._restored and not isinstance(message, Define):
            self._restored.clear()  # what is left belongs to sessions that are over
        poison = self._poison.pop(self._seq, None)
        if poison is None:
            reply: Reply | None = executor.handle(message)
            return reply
        failure = _failure(poison, message)
        match message:
            case Call():
                executor.poisoned[message.number] = failure
                executor.handle(message)
            case Put():
                executor.values.add(message.value, executor.eager.failed(message.meta, failure))
            case Fetch() | Ask():
                return Reply(request=message.request, body={"error": asdict(failure)})
        return None

    # Checkpoints

    def store(self, order: Mapping[str, Any], executors: Mapping[int, Any]) -> None:
        """Store what all executors hold, as ordered, and say so."""
        began = time.perf_counter()
        if not self._slots:
            text = "the rank is on another machine than the dispatcher"
            self._say({"event": "not stored", "checkpoint": order["checkpoint"], "text": text})
            return
        sessions = {}
        for number, executor in executors.items():
            snapshot = executor.snapshot()
            sessions[number] = SessionState(state=snapshot["state"], pieces=snapshot["pieces"])
        checkpoint = order["checkpoint"]
        try:
            nbytes = store(self._slots[order["slot"]], checkpoint, sessions, room_bytes=self._room)
        except OutgrowError as err:
            self._say({"event": "not stored", "checkpoint": checkpoint, "text": err.message})
            return
        seconds = time.perf_counter() - began
        self._say({"event": "stored", "checkpoint": checkpoint, "seconds": seconds, "nbytes": nbytes})

    def restore(self, order: Mapping[str, Any], device: torch.device) -> None:
        """Read what the sessions held that are going to be opened again."""
        self._poison = {poison["seq"]: poison for poison in order["poison"]}
        self._decisions = {int(session): made for session, made in order["decisions"].items()}
        self._until = {int(session): number for session, number in order["decided_until"].items()}
        self._lost = order["lost"]
        if order["checkpoint"] is None:
            return
        try:
            self._restored = load(self._slots[order["slot"]], order["checkpoint"], device=device)
        except CheckpointDamaged as err:
            self._say({"event": "not restored", "text": err.message})

    def options(self, session: int) -> dict[str, Any]:
        """What the executor of a session is made with, besides what all are made with."""
        decisions = self._decisions.pop(session, [])
        return {"decisions": decisions, "decided_until": self._until.pop(session, -1)}

    def opened(self, session: int, executor: Any) -> None:
        """A session has its executor: give it what it held."""
        executor.eager.on_failure = self.agree
        found = self._restored.pop(session, None)
        if found is not None:
            executor.restore(found.state, found.pieces)
        elif self._lost is not None:
            executor.values.lost = Failure(
                kind="RemoteError",
                message=f"the value was lost: {self._lost}",
                traceback="",
                call=-1,
                step=None,
            )


def _failure(poison: Mapping[str, Any], message: Message) -> Failure:
    if poison["is_reported"]:
        return Failure(**json.loads(poison["text"]))
    call = message.number if isinstance(message, Call) else -1
    return Failure(kind="RemoteError", message=poison["text"], traceback="", call=call, step=None)
