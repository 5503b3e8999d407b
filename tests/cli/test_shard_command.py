import contextlib
import os
import signal
import subprocess
import sys

import pytest
import torch

from outgrow.cli.main import main
from outgrow.cli.shard import SUBCOMMANDS
from outgrow.shard.client.session import Session
from outgrow.shard.engines.remote import connect_to, default_token_file, served_here
from outgrow.shard.messages import Ask
from outgrow.shard.wire.address import Address
from outgrow.shard.wire.handshake import HandshakeFailed


@contextlib.contextmanager
def _started(*words):
    program = subprocess.Popen(
        [sys.executable, "-m", "outgrow", "shard", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


def _serve(*words):
    return _started("serve", *words)


def test_served_workers_are_used_with_the_token_that_was_left_and_end_with_ctrl_c(tmp_path):
    with _serve("--workers", "1") as server:
        address = server.stdout.readline().strip()
        token_file = default_token_file(Address.parse(address).port)
        assert token_file.stat().st_mode & 0o777 == 0o600
        stale = token_file.with_name("1.token")  # of a port where nobody listens any more
        stale.touch()
        assert [str(one) for one in served_here() if one.port == Address.parse(address).port] == [address]
        assert 1 not in [one.port for one in served_here()]
        stale.unlink()
        link = connect_to(address)
        session = Session(link)
        tensor = torch.randn(300, 200)  # large enough for a file, which TCP does not pass
        assert torch.equal(session.fetch(session.put(tensor)), tensor)
        with pytest.raises(HandshakeFailed, match="token is wrong"):
            connect_to(address, token="00" * 32)
        link.close()
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 130
        assert not token_file.exists()


@pytest.mark.slow
def test_workers_that_come_by_themselves_are_ranks_and_go_with_the_dispatcher(tmp_path):
    token = tmp_path / "token"
    with _serve("--workers", "1", "--world-size", "3", "--token-file", str(token)) as server:
        address = server.stdout.readline().strip()
        words = ("worker", "--address", address, "--token-file", str(token), "--threads", "1")
        with _started(*words, "--rank", "2"), _started(*words) as other:
            link = connect_to(address, token_file=token)
            session = Session(link)
            tensor = torch.randn(300, 200)
            assert torch.equal(session.fetch(session.put(tensor)), tensor)
            workers = link.request(Ask(request=10_000, topic="statistics")).body["workers"]
            assert [worker["rank"] for worker in workers] == [0, 1, 2]
            assert len({worker["order"] for worker in workers}) == 1
            with _started(*words) as late:
                assert "every rank is there already" in late.communicate(timeout=60)[1]
                assert late.returncode == 2
            link.close()
            server.send_signal(signal.SIGINT)
            assert other.wait(30) == 0
    assert token.exists() is False


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("serve", "--workers", "0"), "0 workers of 0"),
        (("serve", "--workers", "3", "--world-size", "2"), "3 workers of 2"),
        (("serve", "--host", "203.0.113.7"), "cannot listen at tcp://203.0.113.7:0"),
        (("serve", "--workers", "1", "--log", "/nowhere/log"), "/nowhere/log"),
        (("worker", "--address", "127.0.0.1:1", "--wait", "0.2"), "wants a token"),
        (("serf",), "no command 'shard serf'"),
    ],
    ids=["none", "more than all", "a foreign host", "no log", "no token", "no such command"],
)
def test_bad_input_is_named_and_ends_with_2(words, text, capsys, monkeypatch):
    monkeypatch.delenv("GT_TOKEN", raising=False)
    assert main(["shard", *words]) == 2
    assert text in " ".join(capsys.readouterr().err.split())


def test_a_cache_that_cannot_be_made_is_named_and_no_fault(capsys, monkeypatch):
    monkeypatch.delenv("GT_TOKEN", raising=False)
    monkeypatch.setenv("OUTGROW_CACHE", "/proc/none")
    assert main(["shard", "serve", "--workers", "1"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "cannot make the directory '/proc/none/shard'" in said
    assert "OUTGROW_CACHE" in said


def test_a_port_in_use_and_an_unreachable_dispatcher_are_named(capsys, monkeypatch):
    monkeypatch.setenv("GT_TOKEN", "ab" * 32)
    with Address(host="127.0.0.1", port=0).listen() as listener:
        port = str(Address.of(listener).port)
        assert main(["shard", "serve", "--workers", "1", "--port", port]) == 2
        assert "in use" in capsys.readouterr().err
    assert main(["shard", "worker", "--address", f"127.0.0.1:{port}", "--wait", "0.3"]) == 2
    text = " ".join(capsys.readouterr().err.split())
    assert f"no dispatcher answers at tcp://127.0.0.1:{port}, tried for 0." in text


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_has_help(name, capsys):
    assert main(["shard", name, "--help"]) == 0
    assert name in capsys.readouterr().out
