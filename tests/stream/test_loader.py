"""The loader brings the right bytes whatever the disk does, and leaves nothing behind."""

import contextlib
import gc
import os
import random
import signal
import threading
import time
from collections import deque
from pathlib import Path

import pytest
import torch

from outgrow.errors import OutgrowError, StoreError
from outgrow.store.codec import make_codec
from outgrow.store.readers import make_reader
from outgrow.stream import loader as loader_module
from outgrow.stream.backends.host import HostBackend
from outgrow.stream.loader import Loader, WindowStuck
from outgrow.stream.plan import make_plan
from outgrow.stream.residency import State
from outgrow.stream.weights import Use
from outgrow.testing.faults import FaultyReader, faulty_reads
from tests.stream.weight_makers import WeightFile, piece_of

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Weights that come in every way: in place, aligned or not, in tiles, small, in segments, cast."""
    torch.manual_seed(0)
    file = WeightFile(tmp_path_factory.mktemp("loader") / "weights.bin")
    file.add(torch.randn(300, 500), align=4096)
    file.add(torch.randn(300, 512).bfloat16(), align=8)
    file.add(torch.randn(2000, 600).half(), align=2)
    file.add(torch.randn(400, 300), dtype=torch.bfloat16)
    file.add(torch.randn(999, 200).bfloat16(), parts=5)
    file.add(torch.randn(50, 70).double(), Use.WHOLE)
    file.add(torch.randn(700, 150).bfloat16(), dtype=torch.float32, parts=3)
    file.add(torch.randint(0, 255, (1000, 333), dtype=torch.uint8), Use.WHOLE)
    # The last one ends in the middle of the file's last page.
    file.add(torch.randn(257, 513), Use.WHOLE, align=4)
    file.close()
    return file


def plan_of(model, share=0.35, order=None, **options):
    budget = int(sum(weight.nbytes for weight in model.weights) * share)
    order = range(len(model.weights)) if order is None else order
    return make_plan(model.weights, budget_bytes=budget, order=order, **options)


@contextlib.contextmanager
def opened(model, plan, *, kind="auto", threads=4, lookahead=None, wrap=lambda reader: reader):
    """A loader that runs."""
    with make_reader(kind, model.path) as reader:
        backend = HostBackend(wrap(reader))
        loader = Loader(plan, backend, threads=threads, lookahead=lookahead)
        try:
            loader.start()
            yield loader
        finally:
            loader.close()
            backend.close()


def expected(model, plan, index):
    piece = plan.pieces[index]
    value = model.values[piece.weight.index]
    return value[piece.first_row : piece.last_row] if value.dim() else value


def run_pass(model, plan, loader):
    """Use every piece once, and compare its bytes."""
    for index in plan.order:
        ticket = loader.acquire(index)
        try:
            actual = loader.memory_of(ticket)
            assert actual.dtype == plan.pieces[index].weight.dtype
            assert torch.equal(actual, expected(model, plan, index)), plan.pieces[index].weight.name
        finally:
            loader.release(ticket)
    loader.check()


@pytest.mark.parametrize("kind", ["auto", "buffered", "mmap"])
@pytest.mark.parametrize("lookahead", [None, 0, 1])
@pytest.mark.parametrize("threads", [1, 4])
def test_every_piece_has_its_bytes_in_every_pass(model, kind, lookahead, threads):
    plan = plan_of(model, io_threads=threads)
    assert {plan.footprints[index].is_in_place for index in plan.order} == {True, False}
    assert len(plan.order) > 6
    with opened(model, plan, kind=kind, threads=threads, lookahead=lookahead) as loader:
        for _ in range(3):
            run_pass(model, plan, loader)
        assert loader.misses == (0 if lookahead != 0 else 3 * len(plan.order))
        assert loader.wasted == 0
        counts = loader.settled_counts()
    assert counts.bytes_read >= 3 * plan.pass_bytes
    assert counts.fetches >= 3 * len(plan.order)


def test_all_pieces_through_staging_memory(model):
    plan = plan_of(model, in_place=False)
    assert not any(plan.footprints[index].is_in_place for index in plan.order)
    with opened(model, plan) as loader:
        run_pass(model, plan, loader)


def test_random_order_brings_right_bytes(model):
    plan = plan_of(model)
    chance = random.Random(0)
    with opened(model, plan) as loader:
        for _ in range(150):
            index = chance.choice(plan.order)
            ticket = loader.acquire(index)
            assert torch.equal(loader.memory_of(ticket), expected(model, plan, index))
            loader.release(ticket)
        loader.set_order(plan.order[::-1])
        for index in plan.order[::-1]:
            loader.release(loader.acquire(index))
        loader.check()
        assert loader.order == plan.order[::-1]


def test_pieces_in_use_keep_their_bytes_while_others_come_and_go(model):
    plan = plan_of(model, 0.6)
    chance = random.Random(1)
    with opened(model, plan) as loader:
        held = {}
        for _ in range(200):
            index = chance.choice(plan.order)
            try:
                ticket = loader.acquire(index)
            except WindowStuck:
                assert held
                loader.release(held.pop(next(iter(held))))
                continue
            held[ticket] = ticket
            for each in held:
                assert torch.equal(loader.memory_of(each), expected(model, plan, each.piece))
            while len(held) > chance.randrange(4):
                loader.release(held.pop(chance.choice(list(held))))


def test_memory_of_a_piece_lies_in_the_window(model):
    plan = plan_of(model)
    with opened(model, plan) as loader:
        ticket = loader.acquire(plan.order[0])
        memory = loader.memory_of(ticket)
        assert memory is loader.memory_of(ticket)
        print_of = plan.footprints[plan.order[0]]
        assert memory.untyped_storage().nbytes() == print_of.nbytes
        assert memory.data_ptr() == memory.untyped_storage().data_ptr() + print_of.lead
        loader.release(ticket)


def test_fetch_now_reads_into_memory_of_its_own(model):
    plan = plan_of(model)
    with opened(model, plan) as loader:
        ticket = loader.acquire(plan.order[0])
        wanted = [
            (piece_of(weight), torch.empty(weight.nbytes, dtype=torch.uint8).view(weight.dtype))
            for weight in model.weights
        ]
        loader.fetch_now(wanted, room_bytes=100 * KIB)
        for (piece, flat), value in zip(wanted, model.values, strict=True):
            assert torch.equal(flat.view(piece.shape), value)
        loader.release(ticket)
        run_pass(model, plan, loader)


@pytest.mark.parametrize("room", [0, 10 * MIB])
def test_fetch_now_leaves_no_staging_memory_behind(model, room):
    plan = plan_of(model)
    carriers = []

    class Counting(HostBackend):
        def make_carrier(self, staging_bytes):
            carrier = super().make_carrier(staging_bytes)
            carriers.append(carrier)
            return carrier

    def staging():
        return sum(each._staging.nbytes for each in carriers if each._staging is not None)

    with make_reader("auto", model.path) as reader:
        loader = Loader(plan, Counting(reader), threads=4, lookahead=None)
        weight = model.weights[2]
        flat = torch.empty(weight.nbytes, dtype=torch.uint8).view(weight.dtype)
        loader.fetch_now([(piece_of(weight), flat)], room_bytes=room)
        assert staging() == 0
        loader.start()
        loader.release(loader.acquire(plan.order[0]))
        loader.fetch_now([(piece_of(weight), flat)], room_bytes=room)
        assert staging() <= plan.staging_bytes + 4 * 4096
        loader.close()
        assert staging() == 0


def test_encoded_runs_are_decoded_and_cut_to_the_piece(tmp_path):
    """Runs of odd lengths, compressed one by one, that hang over the tiles' ends."""
    pytest.importorskip("blosc2")
    torch.manual_seed(1)
    value = torch.randn(900, 256).bfloat16()
    raw = value.view(torch.uint8).numpy().tobytes()
    begins = [0, 50_000, 50_002, 111_112, 200_000, 300_004, 400_000]
    ends = [*begins[1:], len(raw)]
    codec = make_codec("blosc2")
    runs = [codec.encode(raw[begin:end], 2, 1) for begin, end in zip(begins, ends, strict=True)]
    file = WeightFile(tmp_path / "weights.bin")
    file.add_encoded(value, runs, begins, "blosc2")
    file.add(torch.randn(300, 512))
    file.close()
    plan = make_plan(file.weights, budget_bytes=800_000, order=[0, 1], io_threads=1)
    assert len(plan.pieces_of[0]) > 2
    with opened(file, plan, threads=1) as loader:
        run_pass(file, plan, loader)
        run_pass(file, plan, loader)


# -- faults -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["buffered", "direct"])
@pytest.mark.parametrize("seed", range(4))
def test_interrupted_short_and_empty_reads_change_nothing(model, kind, seed):
    plan = plan_of(model)
    with opened(model, plan, kind=kind) as loader, faulty_reads(seed=seed) as faults:
        run_pass(model, plan, loader)
        run_pass(model, plan, loader)
    assert {fault for fault, _ in faults.calls} >= {"short", "half", "empty", "eintr"}


@pytest.mark.parametrize("lookahead", [None, 0])
@pytest.mark.parametrize("seed", range(5))
def test_error_is_raised_at_the_use_and_the_next_pass_is_right(model, seed, lookahead):
    plan = plan_of(model)
    chance = random.Random(seed)
    failing = chance.sample(range(60), 12)
    errors = []
    with opened(
        model, plan, lookahead=lookahead, wrap=lambda reader: FaultyReader(reader, failing)
    ) as loader:
        for _ in range(6):
            for index in plan.order:
                try:
                    ticket = loader.acquire(index)
                except StoreError as error:
                    errors.append(str(error))
                    continue
                assert torch.equal(loader.memory_of(ticket), expected(model, plan, index))
                loader.release(ticket)
        loader.check()
        run_pass(model, plan, loader)
    # What failed ahead of its use is read again, so that not every fault is seen.
    assert len(errors) <= 12
    assert errors or lookahead is None
    assert all("on purpose" in error for error in errors)


def test_disk_that_is_gone_and_comes_back(model):
    plan = plan_of(model)
    with opened(model, plan) as loader:
        run_pass(model, plan, loader)
        with faulty_reads(["eio"] * 10_000):
            errors = []
            for index in plan.order * 2:
                try:
                    loader.release(loader.acquire(index))
                except StoreError as error:
                    errors.append(str(error))
            assert len(errors) >= len(plan.order)
            assert all("Input/output error" in error for error in errors)
            flat = torch.empty(model.weights[0].nbytes, dtype=torch.uint8).view(torch.float32)
            with pytest.raises(StoreError, match="Input/output error"):
                loader.fetch_now([(piece_of(model.weights[0]), flat)], room_bytes=MIB)
        loader.check()
        run_pass(model, plan, loader)


class Reading:
    """A reader that lets a test do something before each read."""

    def __init__(self, reader, before):
        self.name, self.alignment = reader.name, reader.alignment
        self._reader, self._before = reader, before

    def read_into(self, path, offset, into, *, needed=None):
        self._before()
        return self._reader.read_into(path, offset, into, needed=needed)

    def close(self):
        self._reader.close()


def test_slow_disk_is_waited_for_and_the_wait_is_counted(model):
    plan = plan_of(model)
    slow = lambda reader: Reading(reader, lambda: time.sleep(0.02))  # noqa: E731
    with opened(model, plan, threads=1, wrap=slow, lookahead=1) as loader:
        run_pass(model, plan, loader)
        counts = loader.settled_counts()
    assert counts.stalls > 0
    assert counts.stall_seconds > 0.02
    assert counts.busy_seconds > 0.02 * len(plan.order)


def test_idle_disk_is_counted_where_the_window_is_full(model):
    plan = plan_of(model)
    with opened(model, plan) as loader:
        loader.release(loader.acquire(plan.order[0]))
        time.sleep(0.2)
        assert loader.settled_counts().idle_seconds > 0.1


def test_file_that_is_cut_short_while_running(model, tmp_path):
    copy = WeightFile(tmp_path / "weights.bin")
    copy.add(torch.randn(600, 600), align=4096)
    copy.add(torch.randn(600, 600), align=8)
    copy.close()
    content = copy.path.read_bytes()
    plan = make_plan(copy.weights, budget_bytes=1_500_000, order=[0, 1])
    with opened(copy, plan, kind="buffered", lookahead=0) as loader:
        run_pass(copy, plan, loader)
        os.truncate(copy.path, len(content) - 700_000)
        with pytest.raises(StoreError, match="ended at byte"):
            run_pass(copy, plan, loader)
        copy.path.write_bytes(content)
        run_pass(copy, plan, loader)


def test_programming_errors_in_a_reader_reach_who_waits(model):
    plan = plan_of(model)

    def broken():
        raise RuntimeError("a reader with a bug")

    with (
        opened(model, plan, wrap=lambda reader: Reading(reader, broken)) as loader,
        pytest.raises(StoreError, match="RuntimeError: a reader with a bug") as found,
    ):
        loader.acquire(plan.order[0])
    assert isinstance(found.value.__cause__, RuntimeError)


def test_piece_that_finds_no_place_says_so(model):
    plan = plan_of(model)
    with opened(model, plan) as loader, contextlib.ExitStack() as held:
        stuck = r"weight 'weight.\d' needs .* bytes of a window of"
        with pytest.raises(WindowStuck, match=stuck) as found:  # noqa: PT012  nobody knows which one it will be
            for index in plan.order * 9:
                held.callback(loader.release, loader.acquire(index))
        assert "larger budget" in (found.value.hint or "")
        held.close()
        run_pass(model, plan, loader)


def test_ctrl_c_while_waiting_leaves_the_loader_right(model):
    plan = plan_of(model)
    gate = threading.Event()
    gate.set()
    with opened(model, plan, lookahead=0, wrap=lambda reader: Reading(reader, gate.wait)) as loader:
        run_pass(model, plan, loader)
        for use in (
            lambda: loader.acquire(plan.order[0]),
            lambda: loader.fetch_now([(piece_of(model.weights[0]), torch.empty(150_000))], room_bytes=MIB),
        ):
            gate.clear()
            threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
            # What is under way has to end before its memory may go.
            opening = threading.Timer(0.6, gate.set)
            opening.start()
            with pytest.raises(KeyboardInterrupt):
                use()
            opening.join()
            loader.check()
            run_pass(model, plan, loader)


def test_failed_order_on_the_device_leaves_no_ticket(model, monkeypatch):
    plan = plan_of(model)
    with opened(model, plan) as loader:

        def fail(ticket):
            raise RuntimeError("the device is gone")

        with monkeypatch.context() as patch:
            patch.setattr(loader.backend, "before_use", fail)
            for index in plan.order * 3:
                with pytest.raises(RuntimeError):
                    loader.acquire(index)
        run_pass(model, plan, loader)


# -- the end ----------------------------------------------------------------------------------


def descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_fifty_rounds_leave_no_threads_files_or_memory(model):
    plan = plan_of(model)
    gc.collect()
    threads, files = threading.active_count(), descriptors()
    for round_ in range(50):
        with opened(model, plan) as loader:
            for index in plan.order[: round_ % 4]:
                loader.release(loader.acquire(index))
        assert loader.backend._window is None
    assert threading.active_count() == threads
    assert descriptors() == files


def test_close_may_be_called_twice_and_ends_threads(model):
    plan = plan_of(model)
    with opened(model, plan) as loader:
        assert loader.is_alive
        loader.close()
        loader.close()
        assert not loader.is_alive
    with pytest.raises(OutgrowError, match="gone"):
        loader.acquire(plan.order[0])


def test_close_waits_for_the_read_under_way(model):
    """Its memory must not go before."""
    plan = plan_of(model)
    gate, began = threading.Event(), threading.Event()

    def wait():
        began.set()
        gate.wait()

    with opened(model, plan, wrap=lambda reader: Reading(reader, wait)) as loader:
        assert began.wait(10)
        threading.Timer(0.2, gate.set).start()
        loader.close()
        assert gate.is_set()
        assert not loader.is_alive


def test_drain_ends_all_reads_and_what_is_in_use_stays(model):
    plan = plan_of(model, 0.6, window_bytes=3 * MIB // 2)
    gate, began = threading.Event(), threading.Event()
    gate.set()

    def wait():
        began.set()
        gate.wait()

    with opened(model, plan, wrap=lambda reader: Reading(reader, wait)) as loader:
        ticket = loader.acquire(plan.order[0])
        gate.clear()
        began.clear()
        loader.set_order(plan.order[::-1])
        assert began.wait(10)
        threading.Timer(0.2, gate.set).start()
        loader.drain()
        assert gate.is_set()
        assert torch.equal(loader.memory_of(ticket), expected(model, plan, plan.order[0]))
        loader.release(ticket)
        assert ticket.state is State.GONE
        loader.check()


def test_loader_that_was_never_started_closes(model):
    plan = plan_of(model)
    with make_reader("buffered") as reader:
        loader = Loader(plan, HostBackend(reader), threads=2, lookahead=None)
        loader.close()
        assert not loader.is_alive


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_forked_process_is_refused_and_does_not_hang(model):
    plan = plan_of(model)
    with opened(model, plan) as loader:
        ticket = loader.acquire(plan.order[0])
        # An I/O thread may hold the lock at the moment of a fork: it is never let go in the child.
        with loader._lock:
            child = os.fork()
            if child == 0:
                refused = 0
                for use in (
                    lambda: loader.acquire(plan.order[0]),
                    lambda: loader.fetch_now(
                        [(piece_of(model.weights[0]), torch.empty(150_000))], room_bytes=MIB
                    ),
                    loader.drain,
                ):
                    try:
                        use()
                    except OutgrowError as error:
                        refused += "another process" in str(error)
                loader.close()
                os._exit(refused)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            time.sleep(0.01)
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the forked process hangs")
        assert os.waitstatus_to_exitcode(status) == 3
        loader.release(ticket)
        run_pass(model, plan, loader)


def test_threads_hold_on_to_no_memory_when_they_are_idle(model):
    plan = plan_of(model)
    count_users = torch._C._storage_Use_Count
    with opened(model, plan) as loader:
        for index in plan.order:
            ticket = loader.acquire(index)
            memory = loader.memory_of(ticket)
            before = count_users(memory.untyped_storage()._cdata)
            time.sleep(0.002)
            assert count_users(memory.untyped_storage()._cdata) == before
            loader.release(ticket)
        weight = model.weights[0]
        flat = torch.empty(weight.nbytes, dtype=torch.uint8)
        loader.fetch_now([(piece_of(weight), flat.view(weight.dtype))], room_bytes=MIB)
        gc.collect()
        before = count_users(flat.untyped_storage()._cdata)
        assert before == count_users(torch.empty(1).untyped_storage()._cdata)


def test_a_piece_costs_the_computing_thread_little(model):
    """Held far above what it takes (20 us on two cores), so that only a blunder is seen."""
    plan = plan_of(model)
    with opened(model, plan) as loader:
        run_pass(model, plan, loader)
        began = time.thread_time()
        for index in plan.order * 30:
            loader.release(loader.acquire(index))
        assert (time.thread_time() - began) / (30 * len(plan.order)) < 500e-6
    assert loader_module.STAGED_CHUNK_BYTES == MIB


class Unheeded(deque):
    """A queue in which no thread finds anything."""

    def __bool__(self):
        return False


def test_threads_that_are_gone_are_not_waited_for(model, monkeypatch):
    plan = plan_of(model)
    with opened(model, plan, threads=2) as loader:
        weight = model.weights[0]
        wanted = [(piece_of(weight), torch.empty(weight.nbytes, dtype=torch.uint8).view(weight.dtype))]
        # Dead before they took anything up: nobody will ever say that it is done.
        monkeypatch.setattr(loader, "_queue", Unheeded())
        monkeypatch.setattr(Loader, "is_alive", property(lambda loader: False))
        with pytest.raises(OutgrowError, match="gone"):
            loader.fetch_now(wanted, room_bytes=0)
