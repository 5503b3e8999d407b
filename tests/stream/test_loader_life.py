"""A loader waits for what is slow, ends when it has to, and leaves nothing behind."""

import gc
import os
import signal
import threading
import time
from collections import deque
from pathlib import Path

import pytest
import torch

from outgrow.errors import OutgrowError
from outgrow.store.readers import make_reader
from outgrow.stream import loader as loader_module
from outgrow.stream.backends.host import HostBackend
from outgrow.stream.loader import Loader
from outgrow.stream.residency import State
from tests.stream.run_loader import Reading, expected, mixed_weights, opened, plan_of, run_pass
from tests.stream.weight_makers import piece_of

MIB = 1 << 20


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return mixed_weights(tmp_path_factory.mktemp("loader"))


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
