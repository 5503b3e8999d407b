"""A device without hardware: two streams whose work runs as late or as early as events allow.

What is missing in the order of copies and waits shows as wrong bytes: a copy that did not wait overwrites
what a computation still reads, a computation that did not wait reads what was there before.
"""

import ctypes
import random
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from outgrow.devices.staging import Slab
from outgrow.errors import StoreError

SIDE, COMPUTE = "side", "compute"


class FakeEvent:
    def __init__(self, device: "FakeDevice", stream: str) -> None:
        self.device, self.stream, self.is_over = device, stream, False

    def synchronize(self) -> None:
        with self.device.lock:
            self.device.run_until(self)


class FakeDevice:
    """`DeviceStreams` in main memory.

    The stream `favoured` runs as early as it may; the other one runs only when somebody waits for it. None:
    both only then; "any": chance decides, by `seed`.
    """

    def __init__(self, favoured: str | None = None, seed: int = 0) -> None:
        self.device = torch.device("cpu")
        self.favoured = favoured
        self.random = random.Random(seed)
        self.lock = threading.RLock()
        self.queues: dict[str, deque[tuple[str, object]]] = {SIDE: deque(), COMPUTE: deque()}
        self.slabs: list[Slab] = []
        self.blocks: list[Tensor] = []
        self.host_waits = 0

    # What backends call.

    def empty(self, nbytes: int) -> Tensor:
        memory = torch.zeros(nbytes, dtype=torch.uint8)
        self.blocks.append(memory)
        # Whoever had these bytes before has not finished with them.
        self.compute(lambda: memory.fill_(0xEE))
        return memory

    def staging(self, nbytes: int) -> Slab:
        slab = Slab(nbytes)
        self.slabs.append(slab)
        return slab

    def copy(self, source: Tensor, target: Tensor, after: Iterable[FakeEvent]) -> FakeEvent:
        # By address: a copy under way is nobody that uses a storage.
        address, nbytes = target.data_ptr(), target.numel()
        assert source.numel() == nbytes
        with self.lock:
            for event in after:
                self.queues[SIDE].append(("wait", event))
            work = lambda: ctypes.memmove(address, source.data_ptr(), nbytes)  # noqa: E731
            self.queues[SIDE].append(("run", work))
            return self._record(SIDE)

    def mark(self) -> FakeEvent:
        with self.lock:
            return self._record(COMPUTE)

    def hold_compute(self, event: FakeEvent) -> None:
        with self.lock:
            self.queues[COMPUTE].append(("wait", event))

    def settle(self) -> None:
        with self.lock:
            self.run(SIDE, COMPUTE)
            assert not any(self.queues.values()), "the streams wait for each other for ever"

    # What tests do.

    def compute(self, work: Callable[[], object]) -> None:
        """Queue work on the compute stream."""
        with self.lock:
            self.queues[COMPUTE].append(("run", work))
            self._goad()

    def run(self, *streams: str) -> None:
        """Run what is queued on `streams` as far as events allow."""
        with self.lock:
            while sum(self._step(stream) for stream in streams):
                pass

    def run_until(self, event: FakeEvent) -> None:
        """Run no more than must be for `event` to be over."""
        self.host_waits += not event.is_over
        self._force(event, ())

    def _force(self, event: FakeEvent, above: tuple[str, ...]) -> None:
        assert event.is_over or event.stream not in above, "the streams wait for each other for ever"
        while not event.is_over:
            kind, what = self.queues[event.stream][0]
            if kind == "wait":
                self._force(what, (*above, event.stream))
            assert self._step(event.stream)

    def _step(self, stream: str) -> bool:
        queue = self.queues[stream]
        if not queue or (queue[0][0] == "wait" and not queue[0][1].is_over):
            return False
        kind, what = queue.popleft()
        if kind == "run":
            what()
        elif kind == "record":
            what.is_over = True
        return True

    def _record(self, stream: str) -> FakeEvent:
        event = FakeEvent(self, stream)
        self.queues[stream].append(("record", event))
        self._goad()
        return event

    def _goad(self) -> None:
        if self.favoured in self.queues:
            self.run(self.favoured)
        elif self.favoured == "any":
            for _ in range(self.random.randrange(6)):
                self._step(self.random.choice((SIDE, COMPUTE)))


class FakeDisk:
    """A `DeviceReader` into main memory."""

    def __init__(self) -> None:
        self.reads: list[tuple[int, int]] = []

    def read_into(self, path: Path, offset: int, into: Tensor, *, needed: int) -> int:
        self.reads.append((offset, into.numel()))
        with path.open("rb") as file:
            file.seek(offset)
            came = file.readinto(into.numpy())
        if came < needed:
            raise StoreError(f"{path} ended early")
        return came

    def close(self) -> None:
        pass


class EagerDevice(FakeDevice):
    """For whole models, whose computations run at once and wait on the host. Copies stay late."""

    def __init__(self) -> None:
        super().__init__(favoured=COMPUTE)

    def hold_compute(self, event: FakeEvent) -> None:
        event.synchronize()
