"""`outgrow shard top`, `trace` and `visualize`, on real workers."""

import json
import os
import re
from pathlib import Path

import pytest
import torch

from outgrow.cli.main import main
from outgrow.shard.client.session import Session, use_session
from outgrow.shard.engines.local import start_local

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """The address of a dispatcher with two workers that have done something, and its log."""
    log = tmp_path_factory.mktemp("log") / "instructions.log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GT_INSTRUCTION_LOG", str(log))
        before = children()
        session = Session(start_local(2))
    with use_session(session):
        work()
        (dispatcher,) = children() - before
        yield f"unix:@outgrow-shard-{os.getuid()}-{dispatcher}", log
    session.link.close()


def children():
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


def work():
    x = torch.ones(8, 8, device="workers")
    for _ in range(3):
        x = (x @ x).relu() / 8
    return x.sum().item()


def run(capsys, *words):
    code = main(["shard", *words])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize("command", ["top", "trace"])
def test_the_token_is_read_from_the_file_that_is_named(command, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("GT_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)
    code, _, said = run(capsys, command, "--address", "127.0.0.1:1", "--token-file", "gone.token")
    assert code == 2
    assert "gone.token" in said


def test_top_shows_a_row_for_each_worker(running, capsys):
    code, out, _ = run(capsys, "top", "--address", running[0], "--interval", "0.3")
    assert code == 0
    title, header, *rows = out.splitlines()
    assert title.startswith(f"{running[0]}: 2 workers for ")
    assert header.split()[:5] == ["worker", "state", "busy", "memory", "instr/s"]
    assert [row.split()[:2] for row in rows] == [["0", "ready"], ["1", "ready"]]
    code, out, _ = run(capsys, "top", "--address", running[0], "--interval", "0.1", "--count", "2")
    assert out.count("worker ") == 2


def test_top_as_json(running, capsys):
    for _ in range(5):  # how busy one is, is not known where nobody reported within the interval
        code, out, _ = run(capsys, "top", "--address", running[0], "--json", "--interval", "0.5")
        assert code == 0
        answer = json.loads(out)
        if all(worker["busy"] is not None for worker in answer["workers"]):
            break
    assert answer["version"] == 1
    assert [worker["worker"] for worker in answer["workers"]] == [0, 1]
    assert all(worker["memory_bytes"] > 0 and 0 <= worker["busy"] <= 1 for worker in answer["workers"])


def test_trace_writes_what_perfetto_opens(running, tmp_path, capsys):
    target = tmp_path / "trace.json"
    code, out, err = run(capsys, "trace", "--address", running[0], "--seconds", "0.3", "--out", str(target))
    assert code == 0
    assert re.search(r": \d+ messages? in 300 ms;", out)  # the program may be idle then
    assert "recording" in err
    trace = json.loads(target.read_text())
    names = [event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "thread_name"]
    assert names == ["dispatcher", "worker 0", "worker 1"]


def test_visualize_draws_the_log(running, tmp_path, capsys):
    _, log = running
    work()
    code, out, _ = run(capsys, "visualize", str(log), "--out", str(tmp_path / "picture.svg"))
    assert code == 0
    assert "messages on 2 workers" in out
    assert "worker 1" in (tmp_path / "picture.svg").read_text()
    assert run(capsys, "visualize", str(log))[0] == 0
    assert log.with_suffix(".svg").exists()
    code, _, err = run(capsys, "visualize", str(log), "--out", "/proc/picture.svg")
    assert code == 2
    assert "/proc/picture.svg" in err
    assert "fault in outgrow" not in err


def test_wrong_files_and_addresses_are_named(tmp_path, capsys):
    wrong = tmp_path / "notes.txt"
    wrong.write_text("hello\n")
    code, _, err = run(capsys, "visualize", str(wrong))
    assert code == 2
    assert "notes.txt', line 1: no JSON" in err
    code, _, err = run(capsys, "visualize", str(wrong), "--out", str(wrong))
    assert code == 2
    assert wrong.read_text() == "hello\n"
    code, _, err = run(capsys, "visualize", str(tmp_path / "none"))
    assert code == 2
    code, _, err = run(
        capsys, "trace", "--out", str(tmp_path / "no" / "folder.json"), "--address", "unix:@nobody"
    )
    assert code == 2
    assert "cannot write" in err
    code, _, err = run(capsys, "top", "--address", "nowhere")
    assert code == 2
    assert "no address of a dispatcher" in err


def test_no_dispatcher_and_too_many_are_told_apart(monkeypatch, capsys):
    from outgrow.shard.monitor import watching

    monkeypatch.setattr(watching, "served_here", list)
    monkeypatch.setattr(watching, "local_dispatchers", list)
    code, _, err = run(capsys, "top")
    assert code == 2
    assert "no program of yours has workers" in err
    monkeypatch.setattr(watching, "local_dispatchers", lambda: ["unix:@a", "unix:@b"])
    code, _, err = run(capsys, "top")
    assert code == 2
    assert "--address: unix:@a, unix:@b" in err
