import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
import torch

from outgrow.errors import InputError, RemoteError
from outgrow.shard.client.session import Session
from outgrow.shard.engines.local import start_local
from outgrow.shard.engines.remote import connect_to
from outgrow.shard.instructions import Segment
from outgrow.shard.messages import Ask, Define
from outgrow.shard.wire.address import local_dispatchers
from tests.shard.engines.processes import children, is_alive, open_files, wait_until


@pytest.fixture(scope="module")
def link():
    made = start_local(2, threads=1)
    made.request(Ask(request=1, topic="barrier"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def session(link):
    return Session(link)


@pytest.fixture
def server(link):
    """The pid of the dispatcher."""
    return next(pid for pid in children(os.getpid()) if len(children(pid)) == 2)


@pytest.fixture
def address(server):
    """Where others of this user reach it."""
    return next(str(one) for one in local_dispatchers() if one.path.endswith(f"-{server}"))


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2", None])
def test_wrong_numbers_of_workers_are_refused(count):
    with pytest.raises(InputError, match="whole number of at least 1"):
        start_local(count)


def test_contents_are_those_at_the_time_they_were_sent(session):
    for elements in (0, 3, 200_000):
        tensor = torch.arange(elements, dtype=torch.float64)
        value = session.put(tensor)
        tensor.fill_(-1)
        assert torch.equal(session.fetch(value), torch.arange(elements, dtype=torch.float64))


def test_several_programs_at_once_have_values_of_their_own_and_ranks_one_order(link, address):
    def work(number, failures):
        try:
            own = connect_to(address)
            session = Session(own)
            for turn in range(15):
                tensor = torch.full((3, 4), float(100 * number + turn))
                value = session.put(tensor)
                assert torch.equal(session.fetch(value), tensor)
            own.close()
        except BaseException as error:
            failures.append(error)

    failures = []
    threads = [threading.Thread(target=work, args=(number, failures)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failures == []
    workers = link.request(Ask(request=1, topic="statistics")).body["workers"]
    assert workers[0]["order"] == workers[1]["order"]
    assert workers[0]["messages"] == workers[1]["messages"] > 4 * 30


def test_values_of_another_session_are_not_there(session, address):
    other = connect_to(address)
    value = session.put(torch.ones(2))
    with pytest.raises(RemoteError, match="none of this session"):
        Session(other).fetch(value)
    other.close()
    assert torch.equal(session.fetch(value), torch.ones(2))


def test_what_no_client_sends_ends_that_client_alone(session, address):
    other = connect_to(address)
    define = Define(segment=0, body=Segment(templates=(), steps=(), inputs=()))
    other.send(define)
    other.send(define)
    with pytest.raises(RemoteError, match="defined twice"):
        other.request(Ask(request=1, topic="barrier"))
    other.close()
    session.ask("barrier")


def test_a_program_that_is_killed_frees_its_values(link, address):
    program = f"""
        import torch, os, signal
        from outgrow.shard.client.session import Session
        from outgrow.shard.engines.remote import connect_to
        session = Session(connect_to({address!r}))
        values = [session.put(torch.ones(1000)) for _ in range(10)]
        session.ask("barrier")
        os.kill(os.getpid(), signal.SIGKILL)
    """

    def values():
        return link.request(Ask(request=1, topic="statistics")).body["workers"][0]["sessions"]

    before = values()
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: values() == before)


def test_a_fork_of_the_program_cannot_use_its_workers_and_does_not_end_them(session):
    session.ask("barrier")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        text = "nothing"
        try:
            session.ask("barrier")
        except InputError as error:
            text = error.message
        finally:
            os.write(writing, text.encode())
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading) as file:
        assert "fork" in file.read()
    session.ask("barrier")


def test_nothing_is_left_when_it_is_closed():
    files, before = open_files(), set(children(os.getpid()))
    link = start_local(1, threads=1)
    link.request(Ask(request=1, topic="barrier"))
    link.close()
    link.close()
    assert set(children(os.getpid())) <= before  # one of another test may end meanwhile
    assert open_files() <= files
    with pytest.raises(RemoteError, match="closed"):
        link.request(Ask(request=2, topic="barrier"))


_SCRIPT = """
    import os, sys, threading, time, torch
    import outgrow.shard
    tensors = []
    def use():
        tensors.append(torch.ones(3, device="workers"))
        assert (tensors[-1] + 1).sum().item() == 6
    thread = threading.Thread(target=use)   # started by a thread that ends
    thread.start(); thread.join()
    assert tensors[0].sum().item() == 3
    print("ready", flush=True)
    {end}
"""


def _run(end, *, workers=2):
    environment = {**os.environ, "GT_WORKERS": str(workers), "OMP_NUM_THREADS": "1"}
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_SCRIPT).format(end=textwrap.dedent(end))],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert program.stdout.readline() == "ready\n", program.communicate()[1]
    pids = children(program.pid)
    assert len(pids) == workers + 1
    return program, pids


def _end(program, pids):
    program.wait(20)
    wait_until(lambda: not any(is_alive(pid) for pid in pids), 5)
    return program.communicate()[1]


@pytest.mark.parametrize(
    ("end", "code"), [("raise SystemExit(3)", 3), ("os.kill(os.getpid(), 9)", -9),
        pytest.param("1 / 0", 1, marks=pytest.mark.slow), pytest.param("pass", 0, marks=pytest.mark.slow)],
    ids=["by exit", "by SIGKILL", "by an exception", "at the end"],
)  # fmt: skip
def test_workers_end_with_the_program(end, code):
    program, pids = _run(end, workers=1)
    errors = _end(program, pids)
    assert program.returncode == code
    assert ("Traceback" in errors) == (code == 1)


def test_ctrl_c_ends_program_and_workers_without_a_word_from_them():
    program, pids = _run("time.sleep(60)")
    # As a terminal does: to the program's whole group.
    program.send_signal(signal.SIGINT)
    errors = _end(program, pids)
    assert errors.count("Traceback") == 1
    assert "KeyboardInterrupt" in errors


def test_killing_the_dispatcher_ends_its_workers_and_tells_the_program():
    program, pids = _run("""
    time.sleep(1)
    try:
        (tensors[0] + 1).sum().item()
    except outgrow.errors.RemoteError as error:
        print(error.message)
    """)
    server = next(pid for pid in pids if children(pid))
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in pids), 5)
    output, errors = program.communicate(timeout=20)
    assert "killed by SIGKILL" in output, errors
