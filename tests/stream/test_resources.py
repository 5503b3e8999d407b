"""What a stream holds is given back from whichever thread or process notices that its model has died."""

import gc
import os
import signal
import threading
import time
import weakref

import pytest
import torch

from outgrow.store.readers import BufferedReader
from outgrow.stream.backends.host import HostBackend
from outgrow.stream.loader import Loader
from outgrow.stream.plan import make_plan
from outgrow.stream.resources import Resources
from tests.stream.weight_makers import WeightFile


class Model:
    """Something in a reference cycle, as models are."""

    def __init__(self, resources):
        self.itself = self
        weakref.finalize(self, resources.finalize)


class Reader(BufferedReader):
    """Does something in the middle of each read, with the file in use."""

    def __init__(self):
        super().__init__()
        self.within = lambda: None

    def read_into(self, path, offset, into, *, needed=None):
        with self._files.use(path):
            self.within()
        return super().read_into(path, offset, into, needed=needed)


def opened(tmp_path):
    file = WeightFile(tmp_path / "weights.bin")
    for _ in range(6):
        file.add(torch.randn(300, 300), align=16)
    file.close()
    plan = make_plan(file.weights, budget_bytes=1_000_000, order=range(6))
    reader = Reader()
    resources = Resources(HostBackend(reader), reader)
    resources.loader = Loader(plan, resources.backend, threads=2, lookahead=None)
    return resources, reader


def wait_until(happens, seconds=20):
    end = time.monotonic() + seconds
    while not happens() and time.monotonic() < end:
        time.sleep(0.01)
    return happens()


def test_model_that_dies_in_an_io_thread_leaves_no_threads(tmp_path):
    resources, reader = opened(tmp_path)
    loader = resources.loader
    gc.disable()
    try:
        Model(resources)
        reader.within = gc.collect
        loader.start()
        assert wait_until(lambda: not loader.is_alive)
        assert wait_until(lambda: all(thread.name != "outgrow-close" for thread in threading.enumerate()))
    finally:
        gc.enable()
    assert loader.backend._window is None
    assert not reader._files._files


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_closing_in_a_forked_process_does_not_wait_for_threads_that_are_not_there(tmp_path):
    resources, reader = opened(tmp_path)
    gate, began = threading.Event(), threading.Event()

    def wait():
        began.set()
        gate.wait()

    reader.within = wait
    resources.loader.start()
    assert began.wait(10)
    child = os.fork()
    if child == 0:
        resources.close()
        os._exit(0)
    status = []

    def is_over():
        done, code = os.waitpid(child, os.WNOHANG) if not status else (0, 0)
        status.extend([code] if done else [])
        return bool(status)

    try:
        assert wait_until(is_over, 5), "the forked process hangs"
    finally:
        if not status:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        gate.set()
        resources.close()
    assert status == [0]


def test_close_gives_everything_back_and_may_be_called_twice(tmp_path):
    resources, reader = opened(tmp_path)
    resources.loader.start()
    loader = resources.loader
    loader.release(loader.acquire(loader.order[0]))
    assert resources.counts().bytes_read > 0
    resources.close()
    resources.close()
    assert not loader.is_alive
    assert not reader._files._files
