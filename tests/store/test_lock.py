import os
import signal
import stat
import subprocess
import sys
import threading

import pytest

from outgrow.errors import StoreError
from outgrow.store import lock
from outgrow.store.lock import StoreLocked, lock_directory, lock_file

HOLD = """
import sys, time
from outgrow.store.lock import lock_directory
with lock_directory(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_process(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "d")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_told_who_holds_it(tmp_path, other_process):
    with (
        pytest.raises(StoreLocked, match=f"is in use by process {other_process.pid}") as caught,
        lock_directory(tmp_path / "d"),
    ):
        pass
    assert str(tmp_path / "d") in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_a_killed_process_holds_nothing(tmp_path, other_process, number):
    os.kill(other_process.pid, number)
    other_process.wait()
    with lock_directory(tmp_path / "d"):
        assert (tmp_path / "d" / ".outgrow.lock").read_text() == f"{os.getpid()}\n"


def test_the_same_process_cannot_take_it_twice(tmp_path):
    with (
        lock_directory(tmp_path),
        pytest.raises(StoreLocked, match="this very process"),
        lock_directory(tmp_path),
    ):
        pass


def test_the_lock_goes_with_the_block(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), lock_directory(tmp_path):
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_new_directory_is_private(tmp_path):
    with lock_directory(tmp_path / "a" / "b"):
        assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "a" / "b" / ".outgrow.lock").stat().st_mode) == 0o600


def test_a_lock_file_that_its_holder_removed_meanwhile_is_not_taken(tmp_path, monkeypatch):
    path = tmp_path / "lock"
    calls = []

    def lock_late(descriptor, real=lock._lock):
        real(descriptor)
        calls.append(descriptor)
        if len(calls) == 1:  # the former holder removes its file between our opening and our locking it
            path.unlink()

    monkeypatch.setattr(lock, "_lock", lock_late)
    with lock_file(path), pytest.raises(StoreLocked), lock_file(path):
        pass
    assert len(calls) == 2


def test_only_one_of_many_threads_holds_it(tmp_path):
    inside, most, errors = [], [], []

    def work():
        for _ in range(200):
            try:
                with lock_file(tmp_path / "lock"):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
            except StoreLocked as err:
                errors.append(err)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert len(most) + len(errors) == 800
    assert not (tmp_path / "lock").exists()


def test_a_directory_that_cannot_be_locked(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError), lock_directory(tmp_path / "file"):
        pass
    with pytest.raises(StoreError, match="cannot lock"), lock_file(tmp_path / "gone" / "lock"):
        pass
