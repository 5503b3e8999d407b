"""Threads that carry out what the residency machine says, and the wait for what they bring."""

__all__ = ["Loader", "WindowStuck"]

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from outgrow.errors import OutgrowError, StoreError
from outgrow.interrupts import let_interrupts_through
from outgrow.stream.backends.backend import Backend, Carrier
from outgrow.stream.loader_counts import DiskClock, LoaderCounts
from outgrow.stream.plan import Plan
from outgrow.stream.residency import Fetch, Residency, State, Ticket
from outgrow.stream.weights import PAGE_BYTES, STAGED_CHUNK_BYTES, Chunk, Piece, chunks_of, staging_for

_SECONDS_BETWEEN_LOOKS = 0.1
"""How long Ctrl-C waits, at most, while a thread waits for others."""


class WindowStuck(OutgrowError):
    """A piece is needed, and the memory that it should come to never becomes free."""


@dataclass(slots=True, eq=False)
class _Job:
    """Reads of one piece that are not finished."""

    piece: Piece
    into: Tensor
    ticket: Ticket | None
    pending: int
    error: BaseException | None = None


class Loader:
    """Brings pieces into memory: ahead of their use into the window, or at once into memory of their own.

    One lock guards the machine and the queue; I/O threads hold it only between reads. The loader knows
    nothing of the model, so that its threads never keep one alive.
    """

    def __init__(self, plan: Plan, backend: Backend, *, threads: int, lookahead: int | None) -> None:
        """Start `threads` I/O threads; nothing is fetched and no window is open before `start`."""
        self.plan = plan
        self.backend = backend
        self.counts = LoaderCounts()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._arrival = threading.Condition(self._lock)
        self._queue: deque[tuple[_Job, Chunk]] = deque()
        self._running = 0
        self._clock = DiskClock(self.counts)
        self._is_closing = False
        self._staging_bytes = 0  # what each thread should have
        self._staged: dict[str, int] = {}  # what each thread has, by its name
        self._chunks: dict[int, list[Chunk]] = {}  # requests by piece: the same in every pass
        self._process = os.getpid()
        self._machine = Residency(
            window_bytes=plan.window_bytes, footprints=plan.footprints, order=plan.order, lookahead=lookahead
        )
        self._threads = [
            threading.Thread(target=self._run, name=f"outgrow-read-{index}", daemon=True)
            for index in range(threads)
        ]
        try:
            for thread in self._threads:
                thread.start()
        except BaseException:
            # No more threads to be had, or Ctrl-C: those that run already must not stay.
            with self._lock:
                self._is_closing = True
                self._work.notify_all()
            raise

    @property
    def misses(self) -> int:
        """Pieces that nobody had fetched when they were needed."""
        return self._machine.misses

    @property
    def wasted(self) -> int:
        """Pieces that were fetched and not used."""
        return self._machine.wasted

    @property
    def order(self) -> tuple[int, ...]:
        """The order that fetching ahead follows."""
        return self._machine.order

    @property
    def is_alive(self) -> bool:
        """Whether any I/O thread still runs."""
        return any(thread.is_alive() for thread in self._threads)

    def owns(self, thread: threading.Thread) -> bool:
        """Whether `thread` is one of the I/O threads."""
        return thread in self._threads

    def start(self) -> None:
        """Open the window and begin to fetch ahead.

        Raises:
            DeviceError: the device has not that much memory.
        """
        with self._lock:
            self._staging_bytes = self.plan.staging_bytes // len(self._threads)
            if self.plan.window_bytes:
                self.backend.open_window(self.plan.window_bytes)
            self._enqueue(self._machine.start())

    def set_order(self, order: Sequence[int]) -> None:
        """Follow another order from the next pass on."""
        with self._lock:
            self._enqueue(self._machine.set_order(order))

    def acquire(self, piece: int) -> Ticket:
        """The ticket of a piece that is in the window now; waits for it where need be. To be given to
        `release`.

        Raises:
            StoreError: its file cannot be read.
            WindowStuck: its memory is in use and nobody will free it.
        """
        self._check_process()
        with self._lock:
            ticket, fetches = self._machine.need(piece)
            try:
                self._enqueue(fetches)
                if ticket.state is not State.READY:
                    self._wait_for(ticket)
                self._machine.use(ticket)
            except BaseException:
                self._enqueue(self._machine.release(ticket))
                raise
        try:
            self.backend.before_use(ticket)
        except BaseException:
            self.release(ticket)
            raise
        return ticket

    def memory_of(self, ticket: Ticket) -> Tensor:
        """The elements of an acquired piece, in its shape and dtype; shares the window's memory."""
        memory = ticket.payload.get("memory")
        if not isinstance(memory, Tensor):
            memory = ticket.payload["memory"] = self._view(ticket, self.plan.pieces[ticket.piece])
        return memory

    def release(self, ticket: Ticket) -> None:
        """The piece is no longer in use; its memory is used again."""
        self.backend.after_use(ticket)
        with self._lock:
            self._enqueue(self._machine.release(ticket))

    def fetch_now(self, pieces: Sequence[tuple[Piece, Tensor]], *, room_bytes: int) -> None:
        """Read pieces into memory of their own (flat, in the dtype that the model computes in), and wait for
        all of them.

        All threads' staging memory together takes about `room_bytes`, but at least two pages each; where it
        is no part of the budget, what the backend wishes.

        Raises:
            StoreError: a file cannot be read. Nothing more is read then; the memory is undefined.
        """
        self._check_process()
        let_interrupts_through()
        jobs = []
        spare = room_bytes // len(self._threads) - 2 * PAGE_BYTES
        chunk_bytes = self.backend.staged_chunk_bytes or min(max(spare, PAGE_BYTES), STAGED_CHUNK_BYTES)
        with self._lock:
            before = self._staging_bytes
            self._staging_bytes = max(before, staging_for((piece for piece, _ in pieces), chunk_bytes))
            for piece, into in pieces:
                chunks = chunks_of(piece, in_place=False, staged_bytes=chunk_bytes)
                job = _Job(piece, into, None, len(chunks))
                jobs.append(job)
                self._queue.extend((job, chunk) for chunk in chunks)
            self._note_work()
            self._work.notify_all()
            try:
                self._await(lambda: all(job.pending == 0 for job in jobs))
            except BaseException:
                # Ctrl-C: what has not begun is not begun, and what has must end before its memory may go.
                mine = set(map(id, jobs))
                self._queue = deque(entry for entry in self._queue if id(entry[0]) not in mine)
                self._arrival.wait_for(lambda: self._running == 0, timeout=60)
                raise
            finally:
                self._staging_bytes = before
            # Memory that is about to be used for something else must be free by then.
            self._work.notify_all()
            self._await(lambda: all(has <= before for has in self._staged.values()))
        for job in jobs:
            if job.error is not None:
                raise job.error

    def drain(self) -> None:
        """Stop fetching ahead and wait until no read is under way."""
        self._check_process()
        with self._lock:
            self._machine.stop()
            self._drop_unwanted()
            self._await(lambda: not self._queue and self._running == 0)

    def close(self) -> None:
        """Stop the threads and give all memory back; may be called twice.

        In a process that was forked off it does nothing: the threads are not there, and one of them may have
        held the lock.
        """
        if os.getpid() != self._process:
            return
        with self._lock:
            # Not left at once where it is closing already: Ctrl-C may have ended the first attempt.
            self._machine.stop()
            self._is_closing = True
            self._queue.clear()
            self._work.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        self.backend.close_window()

    def check(self) -> None:
        """Raise AssertionError where the machine's invariants are broken."""
        with self._lock:
            self._machine.check()

    def settled_counts(self) -> LoaderCounts:
        """A copy of the counts, with the times up to now."""
        with self._lock:
            return self._clock.settled(time.perf_counter())

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise OutgrowError(
                "this streamed model was opened in another process: its I/O threads did not come along with "
                "fork()",
                hint="open the model in the process that uses it, or send it by pickle, which reopens it by "
                "path",
            )

    def _await(self, is_over: Callable[[], bool]) -> None:
        """Wait for I/O threads; not for ever, should they be gone."""
        while not is_over():
            if not self.is_alive:
                raise OutgrowError("the I/O threads of this stream are gone", hint="load the model again")
            self._arrival.wait(timeout=_SECONDS_BETWEEN_LOOKS)
            let_interrupts_through()

    def _wait_for(self, ticket: Ticket) -> None:
        began = time.perf_counter()
        try:
            while ticket.state is not State.READY:
                if ticket.state is State.FAILED:
                    assert ticket.error is not None
                    raise ticket.error
                if not self.is_alive:
                    raise OutgrowError("the I/O threads of this stream are gone", hint="load the model again")
                if ticket.state is State.WAITING and not self._queue and not self._running:
                    piece = self.plan.pieces[ticket.piece]
                    raise WindowStuck(
                        f"weight {piece.weight.name!r} needs "
                        f"{self.plan.footprints[piece.index].nbytes:,} bytes of a "
                        f"window of {self.plan.window_bytes:,}, which are in use",
                        hint="give the model a larger budget",
                    )
                self._arrival.wait(timeout=_SECONDS_BETWEEN_LOOKS)
                let_interrupts_through()
        finally:
            self.counts.stalls += 1
            self.counts.stall_seconds += time.perf_counter() - began

    def _enqueue(self, fetches: list[Fetch]) -> None:
        count = 0
        for fetch in fetches:
            piece = self.plan.pieces[fetch.ticket.piece]
            print_of = self.plan.footprints[piece.index]
            chunks = self._chunks.get(piece.index)
            if chunks is None:
                chunks = chunks_of(piece, in_place=self.plan.in_place, staged_bytes=self.plan.chunk_bytes)
                self._chunks[piece.index] = chunks
            count += len(chunks)
            reservation = self.backend.reservation(fetch.ticket.begin, print_of.nbytes)
            fetch.ticket.payload["reservation"] = reservation
            into = reservation
            if not print_of.is_in_place:
                into = _elements(reservation, print_of.lead, piece)
            job = _Job(piece, into, fetch.ticket, len(chunks))
            entries = [(job, chunk) for chunk in chunks]
            if fetch.is_urgent:
                self._queue.extendleft(reversed(entries))
            else:
                self._queue.extend(entries)
            self.counts.fetches += 1
        if count:
            # Not everybody: who wakes up in vain takes the interpreter's lock from who computes.
            self._work.notify(count)
        self._note_work()

    def _view(self, ticket: Ticket, piece: Piece) -> Tensor:
        reservation = ticket.payload["reservation"]
        assert isinstance(reservation, Tensor)
        return _elements(reservation, self.plan.footprints[piece.index].lead, piece).view(piece.shape)

    def _note_work(self) -> None:
        """Keep the clock of the disk."""
        is_busy = bool(self._queue or self._running)
        self._clock.note(time.perf_counter(), is_busy=is_busy, is_full=self._machine.is_full)

    def _drop_unwanted(self) -> None:
        """Forget queued chunks of tickets that were given up."""
        queued, self._queue = self._queue, deque()
        for job, chunk in queued:
            if job.ticket is not None and job.ticket.state is State.DOOMED:
                self._finish(job)
            else:
                self._queue.append((job, chunk))

    def _finish(self, job: _Job) -> None:
        """One chunk of `job` is done, or will never be."""
        job.pending -= 1
        if job.pending:
            return
        # Threads keep the last job that they saw: it must not count as a user of the memory.
        del job.into
        if job.ticket is not None:
            if job.error is not None:
                self._enqueue(self._machine.failed(job.ticket, job.error))
            else:
                self._enqueue(self._machine.loaded(job.ticket))

    def _run(self) -> None:
        name = threading.current_thread().name
        carrier: Carrier | None = None
        try:
            while True:
                with self._lock:
                    while not self._queue and not self._is_closing:
                        if self._staged.get(name, 0) > self._staging_bytes:
                            if carrier is not None:
                                carrier.close()
                                carrier = None
                            del self._staged[name]
                            self._arrival.notify_all()
                        self._work.wait()
                    if self._is_closing:
                        return
                    job, chunk = self._queue.popleft()
                    is_wanted = job.error is None and not (job.ticket and job.ticket.state is State.DOOMED)
                    self._running += 1
                    is_carrier_right = carrier is not None and self._staged[name] == self._staging_bytes
                    wished_bytes = self._staged[name] = self._staging_bytes
                count, error = 0, None
                try:
                    if carrier is None or not is_carrier_right:
                        if carrier is not None:
                            carrier.close()
                            carrier = None
                        carrier = self.backend.make_carrier(wished_bytes)
                    if is_wanted:
                        count = carrier.carry(chunk, job.piece, job.into, job.ticket)
                except Exception as err:
                    # Whatever it is, it is raised again where the piece is needed.
                    error = err if isinstance(err, OutgrowError) else _wrapped(err, job.piece)
                with self._lock:
                    self._running -= 1
                    self.counts.bytes_read += count
                    job.error = job.error or error
                    self._finish(job)
                    self._note_work()
                    self._arrival.notify_all()
        finally:
            with self._lock:
                self._staged.pop(name, None)
                self._arrival.notify_all()
            if carrier is not None:
                carrier.close()


def _elements(reservation: Tensor, lead: int, piece: Piece) -> Tensor:
    """The elements of `piece`, flat, in its reservation."""
    # In inference mode a view as another dtype would be a tensor that nobody can use outside of that mode.
    with torch.inference_mode(mode=False):
        return reservation[lead : lead + piece.nbytes].view(piece.weight.dtype)


def _wrapped(err: Exception, piece: Piece) -> StoreError:
    text = f"reading weight {piece.weight.name!r} failed: {type(err).__name__}: {err}"
    error = StoreError(text, hint="see its cause above: a full memory passes, a fault is to be reported")
    error.__cause__ = err
    return error
