"""A rank: takes messages in the order in which every rank takes them, does them, answers."""

__all__ = ["Worker", "serve_rank"]

import functools
import hashlib
import json
import os
import resource
import socket
import struct
import threading
import time
import traceback
from datetime import timedelta
from typing import Any

import torch

from outgrow.placement import Owned
from outgrow.shard.messages import Ask, Call, Define, Fetch, Message, Reply
from outgrow.shard.planner.problem import Costs
from outgrow.shard.ranks.executor import Executor
from outgrow.shard.ranks.group_fabric import GroupFabric
from outgrow.shard.ranks.interface import interface_of
from outgrow.shard.recovery.rank_recovery import RankRecovery
from outgrow.shard.wire.codec import Decoder, encode_reply
from outgrow.shard.wire.connection import Connection, ConnectionEnded
from outgrow.shard.wire.frame import Frame, FrameKind, ProtocolError

BEAT_SECONDS = 0.2
"""Between two signs of life."""
_ACK_EVERY = 16
_FRAME_LIMIT = 1 << 40
_TIMES = struct.Struct("<Qdd")


class Worker:
    """Executors of all sessions on one rank, behind one line to the dispatcher."""

    def __init__(
        self,
        connection: Connection,
        fabric: GroupFabric,
        *,
        rank: int,
        generation: int = 0,
        memory_bytes: int | None = None,
        cores: int | None = None,
        recovery: dict[str, Any] | None = None,
        files: tuple[int, ...] = (),
    ) -> None:
        """`recovery` and `files`: see `RankRecovery`; without `recovery` a rank that fails alone goes on
        alone.

        `memory_bytes`: what one rank may hold of a session's values at rest; `cores`: threads of a rank
        that works while the others rest."""
        self.connection = connection
        self.fabric = fabric
        self.rank = rank
        self.generation = generation
        self.executors: dict[int, Executor] = {}
        self.decoders: dict[int, Decoder] = {}
        self.done = 0
        """Sequence of the last message that was done."""
        self.order = hashlib.blake2b(digest_size=16)
        """Of all messages so far: equal on all ranks, since they do the same in the same order."""
        self.busy_seconds = 0.0
        self.instructions = 0
        """Done so far, those of replayed segments included."""
        self._recovery = (
            RankRecovery(
                rank=rank,
                world_size=fabric.world_size,
                files=files,
                store=fabric.store,
                say=self._note,
                is_cut=connection.is_cut,
                **recovery,
            )
            if recovery is not None
            else None
        )
        self.memory_bytes = memory_bytes
        self.cores = cores
        self._measured: Costs | None = None
        self._steps: dict[tuple[int, int], int] = {}
        self._times: list[bytes] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def run(self) -> bool:
        """Take messages until the dispatcher says stop, which gives True, or is gone."""
        beat = threading.Thread(target=self._beat, name="outgrow-beat", daemon=True)
        beat.start()
        if self._recovery is not None:
            self._recovery.start()
        try:
            self._send(FrameKind.READY, json.dumps({"seconds": time.monotonic()}).encode())
            while True:
                frames = self.connection.wait(sends=False)  # the other thread sends, too
                for frame in frames:
                    if frame.kind is FrameKind.STOP:
                        return True
                    self._do(frame)
                    if len(self._times) >= _ACK_EVERY:
                        self._acknowledge()
                self._acknowledge()
        except ConnectionEnded:
            return False
        finally:
            self._ended.set()
            beat.join()

    def _do(self, frame: Frame) -> None:
        if frame.kind in (FrameKind.CHECKPOINT, FrameKind.RESTORE):
            self._recover(frame)
            return
        started = time.monotonic()
        if self._recovery is not None:
            self._recovery.takes_up(frame.sequence)
        try:
            self._order(frame)
            self._handle(frame)
        finally:
            for file in frame.files:
                os.close(file)
        ended = time.monotonic()
        if self._recovery is not None:
            self._recovery.done_with(frame.sequence)
        self.done = frame.sequence
        self.busy_seconds += ended - started
        self._times.append(_TIMES.pack(frame.sequence, started, ended))

    def _recover(self, frame: Frame) -> None:
        if self._recovery is None:
            return
        order = json.loads(bytes(frame.payload))
        if frame.kind is FrameKind.CHECKPOINT:
            self._recovery.store(order, self.executors)
        else:
            self._recovery.restore(order, self.fabric.device)

    def _note(self, note: dict[str, Any]) -> None:
        self._send(FrameKind.NOTE, json.dumps(note).encode())

    def _open(self, session: int) -> None:
        recovery = self._recovery
        options = {} if recovery is None else recovery.options(session)
        executor = Executor(
            self.fabric,
            memory_bytes=self.memory_bytes,
            costs=self._measure,
            on_decision=functools.partial(self._decided, session),
            **options,
        )
        self.executors[session], self.decoders[session] = executor, Decoder()
        if recovery is not None:
            recovery.opened(session, executor)

    def _decided(self, session: int, decision: dict[str, Any]) -> None:
        if self.rank == 0:
            sequence = self.done + 1
            self._send(FrameKind.DECISION, json.dumps(decision).encode(), session=session, sequence=sequence)

    def _order(self, frame: Frame) -> None:
        self.order.update(frame.session.to_bytes(4, "little") + bytes([frame.kind]))
        if not frame.files:  # contents come in a file on one machine and inside on others
            self.order.update(frame.payload)

    def _acknowledge(self) -> None:
        if self._times:
            self._send(FrameKind.ACK, *self._times, sequence=self.done)
            self._times.clear()

    def _handle(self, frame: Frame) -> None:
        session = frame.session
        if frame.kind is FrameKind.OPEN:
            self._open(session)
            return
        if frame.kind is FrameKind.CLOSE:
            self.executors.pop(session, None)
            self.decoders.pop(session, None)
            for known in [known for known in self._steps if known[0] == session]:
                del self._steps[known]
            return
        message = self.decoders[session].decode(frame)
        if message is None:
            return
        if isinstance(message, Define):
            self._steps[session, message.segment] = len(message.body.steps)
        elif isinstance(message, Call):
            self.instructions += self._steps[session, message.segment]
        executor = self.executors[session]
        if isinstance(message, Ask) and message.topic == "statistics":
            about = {**self.statistics(), **executor.statistics()}
            self._reply(session, frame.sequence, Reply(request=message.request, body=about))
            return
        is_answering = self._is_answering(executor, message)
        if self._recovery is None:
            reply = executor.handle(message)
        else:
            reply = self._recovery.handle(executor, message)
        if reply is not None and is_answering:
            self._reply(session, frame.sequence, reply)

    def _is_answering(self, executor: Executor, message: Message) -> bool:
        """Each rank answers a question, the dispatcher joins what they say; the whole of a value is there on
        rank 0, unless another one owns it."""
        if not isinstance(message, Fetch):
            return True
        placement = executor.values[message.value].placement
        if isinstance(placement, Owned) and message.rank is None:
            return self.rank == placement.rank
        return self.rank == 0

    def _measure(self) -> Costs:
        """What this gang's collectives and products cost: measured by all ranks at once, when the first one
        needs it."""
        from outgrow.shard.planner.calibrate import calibrate

        if self._measured is None:
            self._measured = calibrate(self.fabric, solo_threads=self.cores)
        return self._measured

    def _reply(self, session: int, sequence: int, reply: Reply) -> None:
        encoded = encode_reply(reply, passes_files=self.connection.passes_files)
        files = () if encoded.file is None else (encoded.file,)
        try:
            self._send(encoded.kind, *encoded.parts, session=session, sequence=sequence, files=files)
        finally:
            for file in files:
                os.close(file)

    def _send(self, kind: FrameKind, *parts: Any, **fields: Any) -> None:
        with self._lock:
            self.connection.queue(kind, *parts, generation=self.generation, **fields)
            self.connection.flush_all()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            try:
                self._send(FrameKind.BEAT, json.dumps(self.statistics()).encode(), sequence=self.done)
            except (ConnectionEnded, OSError):
                return

    def statistics(self) -> dict[str, Any]:
        """What this rank did so far; all numbers only rise, except those of memory and sessions."""
        return {
            "rank": self.rank,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "seconds": time.monotonic(),
            "busy_seconds": self.busy_seconds,
            "messages": self.done,
            "instructions": self.instructions,
            "memory_bytes": _resident_bytes(),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "sent_bytes": self.connection.sent_bytes,
            "received_bytes": self.connection.received_bytes,
            "exchanged_bytes": self.fabric.exchanged_bytes,
            "sessions": len(self.executors),
            "values": sum(len(executor.values) for executor in list(self.executors.values())),
            "order": self.order.hexdigest(),
        }


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - in a thread, every 200 ms
        return int(file.read().split()[1]) * resource.getpagesize()


def serve_rank(connection: Connection, own: dict[str, Any] | None = None) -> bool:
    """Be a rank at the end of this line until the dispatcher lets go of it; whether it said that it needs us
    no more.

    What it is one of it is told by the first frame; `own` overrides that. An exception that no message
    accounts for is told to the dispatcher, and ends the rank.
    """
    connection.reader.limit = _FRAME_LIMIT
    fabric = None
    try:
        configure = connection.take()
        if configure.kind is FrameKind.STOP:
            return True
        told = {**json.loads(bytes(configure.payload)), **(own or {})}
        try:
            fabric = _join(connection, told)
            worker = Worker(
                connection,
                fabric,
                rank=told["rank"],
                generation=told["generation"],
                memory_bytes=told["memory_bytes"],
                cores=told["cores"],
                recovery=told.get("recovery"),
                files=configure.files,
            )
            return worker.run()
        except ConnectionEnded:
            raise
        except Exception as err:  # whatever it is, the dispatcher must know before this process ends
            body = {"message": f"{type(err).__name__}: {err}", "traceback": traceback.format_exc()}
            connection.queue(FrameKind.FAILED, json.dumps(body).encode(), generation=told["generation"])
            connection.flush_all(time.monotonic() + 5)
            return False
    except ConnectionEnded:
        return False
    finally:
        connection.close()
        if fabric is not None:
            fabric.close()


def _join(connection: Connection, told: dict[str, Any]) -> GroupFabric:
    rank, world_size = told["rank"], told["world_size"]
    torch.set_num_threads(told["threads"])
    device = torch.device(told["device"])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    store = None
    if world_size > 1:
        address = told["address"] if connection.passes_files else connection.socket.getsockname()[0]
        interface = interface_of(address)
        if interface is not None:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        store = _store(connection, told)
    return GroupFabric(
        rank=rank,
        world_size=world_size,
        store=store,
        backend=told["backend"],
        device=device,
        timeout_seconds=told["timeout_seconds"],
    )


def _store(connection: Connection, told: dict[str, Any]) -> Any:
    """Rank 0 opens the store on the address at which it talks to the dispatcher, and nowhere else."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    timeout = timedelta(seconds=told["start_timeout_seconds"])
    if told["rank"] == 0:
        host = told["address"] if connection.passes_files else connection.socket.getsockname()[0]
        listener = socket.create_server((host, 0))
        port = listener.getsockname()[1]
        store = TCPStore(
            host, port, told["world_size"], is_master=True, timeout=timeout, wait_for_workers=False,
            master_listen_fd=listener.detach(),
        )  # fmt: skip
        connection.queue(
            FrameKind.STORE, json.dumps({"host": host, "port": port}).encode(), generation=told["generation"]
        )
        connection.flush_all()
        return store
    frame = connection.take()
    if frame.kind is not FrameKind.STORE:
        raise ProtocolError(f"a {frame.kind.name} came where the meeting place was expected")
    place = json.loads(bytes(frame.payload))
    return TCPStore(place["host"], place["port"], told["world_size"], is_master=False, timeout=timeout)
