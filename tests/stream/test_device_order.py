"""The order of copies, computations and waits on a device."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outgrow.errors import DeviceError
from outgrow.stream.backends.cuda import CudaBackend, CudaCarrier, _Area
from outgrow.stream.backends.device_window import DeviceWindow, Marks
from outgrow.stream.residency import Residency, Ticket
from outgrow.stream.weights import Piece, chunks_of
from tests.stream.backend_cases import (
    OPEN,
    POLICIES,
    STAGED_BYTES,
    Model,
    cuda,
    gpudirect,
    new_reader,
    run_passes,
)
from tests.stream.fake_device import SIDE, FakeDevice


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return Model(tmp_path_factory.mktemp("backends"))


@pytest.fixture(autouse=True)
def _close_readers():
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.mark.parametrize("favoured", POLICIES, ids=str)
@pytest.mark.parametrize("make_device_backend", [cuda, gpudirect])
def test_every_computation_sees_its_own_bytes(model, make_device_backend, favoured):
    for seed in range(4):
        device = FakeDevice(favoured, seed)
        run_passes(model, make_device_backend(device), device, seed)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    skip=st.sampled_from([0.0, 0.3]),
    part=st.sampled_from([0.3, 0.5]),
    make_device_backend=st.sampled_from([cuda, gpudirect]),
)
def test_no_order_of_events_gives_wrong_bytes(model, seed, skip, part, make_device_backend):
    device = FakeDevice("any", seed)
    run_passes(model, make_device_backend(device), device, seed, skip=skip, part=part)


def _forget(*args, **kwargs):
    return None


class _Blind(Marks):
    """Marks that forget the copies."""

    def note(self, begin, end, event):
        if event.stream != SIDE:
            super().note(begin, end, event)


def _without_marks_of_copies(patch):
    patch.setattr("outgrow.stream.backends.device_window.Marks", _Blind)


def _without_mark_of_the_allocation(patch):
    def make(self, streams, nbytes):
        original(self, streams, nbytes)
        self.marks = Marks()

    original = DeviceWindow.__init__
    patch.setattr(DeviceWindow, "__init__", make)


def _without_waiting_for_the_staging_area(patch):
    patch.setattr(_Area, "wait", _forget)


def _without_waiting_in_close(patch):
    def close(self):
        self.slab.close()

    patch.setattr(_Area, "close", close)


MISSING = {
    "a module does not wait for its copies": lambda patch: patch.setattr(CudaBackend, "before_use", _forget),
    "a copy does not wait for the last use": lambda patch: patch.setattr(CudaBackend, "after_use", _forget),
    "a copy does not wait for the allocation": _without_mark_of_the_allocation,
    "a staging area is read into while it is copied": _without_waiting_for_the_staging_area,
    "staging memory goes while it is copied": _without_waiting_in_close,
}


@pytest.mark.parametrize("what", MISSING)
def test_a_missing_wait_is_seen(model, monkeypatch, what):
    """The fake device has teeth: each wait that is left out gives wrong bytes under some order of events."""
    MISSING[what](monkeypatch)

    def run_all():
        for favoured in POLICIES:
            device = FakeDevice(favoured)
            run_passes(model, cuda(device), device, 0)

    with pytest.raises(AssertionError, match="wrong bytes"):
        run_all()


@pytest.mark.parametrize("is_broken", [False, True], ids=["as it is", "without marks of copies"])
def test_the_disk_waits_for_a_copy_that_nobody_needed(model, monkeypatch, is_broken):
    """A piece came through pinned memory and was given up, and now the disk writes to its bytes."""
    if is_broken:
        _without_marks_of_copies(monkeypatch)
    device = FakeDevice()
    backend = gpudirect(device)
    plan = model.plan(backend)
    backend.open_window(1 << 20)
    # One chunk a piece: else the second one would wait for the first.
    carrier = backend.make_carrier((1 << 20) + 8192)
    small = next(piece for piece in plan.pieces if not plan.footprints[piece.index].is_in_place)
    large = next(piece for piece in plan.pieces if plan.footprints[piece.index].is_in_place)
    tickets = []
    for piece in (small, large):
        ticket = Ticket(piece.index, begin=0)
        print_of = plan.footprints[piece.index]
        reservation = backend.reservation(0, print_of.nbytes)
        ticket.payload["reservation"] = reservation
        into = reservation if print_of.is_in_place else reservation[: piece.nbytes].view(piece.weight.dtype)
        for chunk in chunks_of(piece, in_place=True, staged_bytes=1 << 20):
            carrier.carry(chunk, piece, into, ticket)
        tickets.append(ticket)
    carrier.close()
    device.settle()
    lead = plan.footprints[large.index].lead
    memory = tickets[1].payload["reservation"][lead : lead + large.nbytes]
    is_right = torch.equal(memory.view(large.weight.dtype).view(large.shape), model.rows(large))
    assert is_right is not is_broken
    backend.close()


def test_no_copy_waits_for_later_uses_of_other_bytes(model):
    """A model's thread runs ahead of the device: to wait for its newest work would be to wait for all."""
    marks = Marks()
    device = FakeDevice()
    early, late = device.mark(), device.mark()
    marks.note(0, 100, early)
    marks.note(100, 200, late)
    assert marks.within(0, 100) == [early]
    assert marks.within(100, 101) == [late]
    assert set(marks.within(99, 101)) == {early, late}
    newest = device.mark()
    marks.note(50, 150, newest)
    assert marks.within(60, 140) == [newest]
    assert set(marks.within(40, 60)) == {early, newest}
    assert set(marks.within(140, 160)) == {newest, late}
    assert marks.within(200, 300) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), max_size=12))
def test_marks_are_the_newest_of_every_byte(spans):
    marks, newest = Marks(), {}
    for number, (begin, length) in enumerate(spans):
        event = (number,)
        marks.note(begin, begin + length, event)
        newest.update(dict.fromkeys(range(begin, begin + length), event))
    for byte in range(60):
        assert marks.within(byte, byte + 1) == ([newest[byte]] if byte in newest else [])


def test_closing_the_window_waits_for_the_device():
    device = FakeDevice()
    backend = cuda(device)
    backend.open_window(4096)
    device.copy(torch.ones(1, dtype=torch.uint8), device.blocks[0][:1], ())
    assert device.queues[SIDE]
    backend.close_window()
    assert not any(device.queues.values())


def test_the_thread_that_runs_the_model_never_waits(model):
    """Nothing is favoured: whoever waited on the host would have to run the streams."""
    device = FakeDevice()
    backend = cuda(device)
    backend.open_window(1 << 20)
    plan = model.plan(backend)
    machine = Residency(window_bytes=1 << 20, footprints=plan.footprints, order=(), lookahead=0)
    piece = plan.pieces[0]
    ticket, _ = machine.need(piece.index)
    ticket.payload["reservation"] = reservation = backend.reservation(0, plan.footprints[0].nbytes)
    carrier = backend.make_carrier(plan.staging_bytes)
    (chunk, *_) = chunks_of(piece, in_place=False, staged_bytes=STAGED_BYTES)
    carrier.carry(chunk, piece, reservation[: piece.nbytes].view(piece.weight.dtype), ticket)
    backend.before_use(ticket)
    backend.after_use(ticket)
    assert device.host_waits == 0
    carrier.close()
    backend.close()


def test_a_carrier_gives_all_its_staging_memory_back(model):
    device = FakeDevice()
    run_passes(model, cuda(device), device, 1)
    assert device.slabs
    assert all(slab.is_closed for slab in device.slabs)


def test_no_staging_memory_is_kept_when_half_of_it_cannot_be_had():
    class Poor(FakeDevice):
        def staging(self, nbytes):
            if self.slabs:
                raise DeviceError("CUDA could not pin it")
            return super().staging(nbytes)

    device = Poor()
    backend = cuda(device)
    with pytest.raises(DeviceError, match="pin"):
        CudaCarrier(backend, new_reader(), 1 << 16)
    assert all(slab.is_closed for slab in device.slabs)


def test_pinned_memory_is_not_part_of_the_budget(model):
    backend = cuda()
    plan = model.plan(backend)
    assert plan.staging_bytes > 0
    assert plan.chunk_bytes == STAGED_BYTES
    assert plan.reserved_bytes == plan.resident_bytes + plan.window_bytes <= plan.budget_bytes
    assert plan.budget_bytes - plan.reserved_bytes < plan.staging_bytes, "room is left for pinned memory"


def test_a_chunk_without_a_ticket_is_there_when_its_carrier_returns(model):
    backend = cuda()
    piece = Piece(index=-1, weight=model.weights[0], first_row=0, last_row=model.weights[0].shape[0])
    flat = backend.allocate(piece.nbytes).view(piece.weight.dtype)
    (chunk,) = chunks_of(piece, in_place=False, staged_bytes=1 << 20)
    carrier = backend.make_carrier((1 << 20) + 8192)
    carrier.carry(chunk, piece, flat, None)
    assert torch.equal(flat.view(piece.shape), model.rows(piece))
    carrier.close()
