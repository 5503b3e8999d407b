"""What several tests of backends share: weights in a file, backends on a fake device, passes over them."""

import random

import torch

from outgrow.store.codec import make_codec
from outgrow.store.readers import BufferedReader
from outgrow.stream.backends.cuda import CudaBackend
from outgrow.stream.backends.gpudirect import GpuDirectBackend
from outgrow.stream.backends.host import HostBackend
from outgrow.stream.plan import make_plan
from outgrow.stream.residency import Residency, State
from outgrow.stream.source import Segment, WeightSource
from outgrow.stream.weights import Use, Weight, chunks_of
from tests.stream.fake_device import COMPUTE, SIDE, FakeDevice, FakeDisk

CPU = torch.device("cpu")
STAGED_BYTES = 64 << 10
POLICIES = [None, SIDE, COMPUTE, "any"]


class Model:
    """Weights in one file, each laid out in another way, and what their elements must be."""

    def __init__(self, folder) -> None:
        generator = torch.Generator().manual_seed(5)
        self.weights, self.expected = [], []
        parts, at = [], 0
        kinds = [
            (torch.bfloat16, torch.bfloat16, Use.ROWS),
            (torch.float16, torch.float32, Use.WHOLE),
            (torch.float32, torch.bfloat16, Use.ROWS),
            (torch.float32, torch.float32, Use.WHOLE),
            (torch.int8, torch.int8, Use.WHOLE),
        ]
        for index in range(10):
            stored, wanted, use = kinds[index % len(kinds)]
            shape = (64 + 64 * (index % 3), 1031 + 128 * (index % 2))
            tensor = torch.randn(shape, generator=generator).mul(50).to(stored)
            gap = -at % 8 + 8 * index + (3 if stored is torch.float16 else 0)
            parts.append(bytes(gap))
            at += gap
            path = folder / "weights.bin"
            segment = Segment(path=path, offset=at, nbytes=tensor.nbytes, begin=0)
            plain = tensor.view(torch.uint8).numpy().tobytes()
            segments, codec = [segment], None
            if index in (3, 5, 6):
                # In runs that end in the middle of rows.
                codec, run_bytes = "blosc2", 40_000
                runs = [plain[begin : begin + run_bytes] for begin in range(0, len(plain), run_bytes)]
                coded = [make_codec(codec).encode(run, stored.itemsize, 1) for run in runs]
                starts = [at + sum(map(len, coded[:count])) for count in range(len(coded))]
                segments = [
                    Segment(path=path, offset=start, nbytes=len(run), begin=count * run_bytes)
                    for count, (start, run) in enumerate(zip(starts, coded, strict=True))
                ]
                plain = b"".join(coded)
            source = WeightSource(
                name=f"layer.{index}", shape=shape, dtype=stored, segments=tuple(segments), codec=codec
            )
            self.weights.append(Weight(index=index, source=source, dtype=wanted, use=use))
            self.expected.append(tensor.to(wanted))
            parts.append(plain)
            at += len(plain)
        path.write_bytes(b"".join(parts))
        self.path = path
        self.total = sum(weight.nbytes for weight in self.weights)

    def plan(self, backend, part=0.45):
        return make_plan(
            self.weights,
            budget_bytes=int(self.total * part),
            order=range(len(self.weights)),
            io_threads=2,
            in_place=backend.in_place,
            staged_bytes=None if backend.staged_chunk_bytes is None else STAGED_BYTES,
        )

    def rows(self, piece):
        whole = self.expected[piece.weight.index]
        return whole if piece.is_whole else whole[piece.first_row : piece.last_row]


OPEN = []


def new_reader():
    OPEN.append(BufferedReader())
    return OPEN[-1]


def cuda(device=None):
    return CudaBackend(CPU, new_reader(), streams=device or FakeDevice())


def gpudirect(device=None):
    return GpuDirectBackend(CPU, new_reader(), streams=device or FakeDevice(), files=FakeDisk())


MAKERS = {
    "mmap": lambda device=None: HostBackend(new_reader()),
    "cuda": cuda,
    "gpudirect": gpudirect,
}


def run_passes(model, backend, device, seed, *, part=0.35, passes=3, skip=0.0):
    """Passes whose computations run whenever the device likes; each must see the right bytes.

    One thread plays the loader, so that a seed says everything.
    """
    chance = random.Random(seed)
    plan = model.plan(backend, part)
    machine = Residency(
        window_bytes=plan.window_bytes, footprints=plan.footprints, order=plan.order, lookahead=None
    )
    backend.open_window(plan.window_bytes)
    carriers = [backend.make_carrier(plan.staging_bytes // 2) for _ in range(2)]
    seen, pending = [], []

    def begin(fetches):
        for fetch in fetches:
            piece = plan.pieces[fetch.ticket.piece]
            print_of = plan.footprints[piece.index]
            reservation = backend.reservation(fetch.ticket.begin, print_of.nbytes)
            fetch.ticket.payload["reservation"] = reservation
            into = reservation
            if not print_of.is_in_place:
                into = reservation[: piece.nbytes].view(piece.weight.dtype)
            chunks = chunks_of(piece, in_place=plan.in_place, staged_bytes=plan.chunk_bytes)
            pending.append((fetch.ticket, piece, into, chunks))

    def carry():
        ticket, piece, into, chunks = pending.pop(0)
        chance.shuffle(chunks)
        for chunk in chunks:
            chance.choice(carriers).carry(chunk, piece, into, ticket)
        begin(machine.loaded(ticket))

    def compute(ticket, piece):
        print_of = plan.footprints[piece.index]
        flat = ticket.payload["reservation"][print_of.lead : print_of.lead + piece.nbytes]
        memory = flat.view(piece.weight.dtype).view(piece.shape)
        device.compute(lambda: seen.append((piece, memory.clone())))

    begin(machine.start())
    for _ in range(passes):
        for index in plan.order:
            if chance.random() < skip:
                continue
            while pending and chance.random() < 0.5:
                carry()
            ticket, fetches = machine.need(index)
            begin(fetches)
            while ticket.state is not State.READY:
                carry()
            machine.use(ticket)
            backend.before_use(ticket)
            compute(ticket, plan.pieces[index])
            backend.after_use(ticket)
            begin(machine.release(ticket))
    for carrier in carriers:
        carrier.close()
    device.settle()
    assert seen
    for piece, actual in seen:
        assert torch.equal(actual, model.rows(piece)), f"{piece.weight.name} was computed with wrong bytes"
    backend.close()
    return plan
