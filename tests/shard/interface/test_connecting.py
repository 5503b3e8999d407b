"""From a program to its workers and back."""

import pytest
import torch

import outgrow.shard as gt
from outgrow.errors import InputError, RemoteError
from outgrow.shard.client.session import Session, set_default_session, use_session
from outgrow.shard.engines import default
from outgrow.shard.engines.simulated import SimulatedLink
from outgrow.shard.environment import Environment
from outgrow.shard.interface.connecting import AlreadyStarted
from outgrow.shard.narration import NarratedLink, narrated


@pytest.fixture(autouse=True)
def nobody():
    """No workers before a test; the session from before is back after it."""
    before = set_default_session(None)
    yield
    gt.shutdown()
    set_default_session(before)


def test_workers_come_and_go(monkeypatch):
    monkeypatch.setenv("GT_WORKERS", "1")
    gt.gpu_workers(2)
    assert gt.statistics()["world_size"] == 1
    assert len(gt.statistics()["workers"]) == 1
    x = gt.ones(2, 2)
    assert x.sum().item() == 4
    for start in (lambda: gt.gpu_workers(2), gt.connect, lambda: gt.connect("localhost:1")):
        with pytest.raises(AlreadyStarted, match="has workers"):
            start()
    gt.shutdown()
    gt.shutdown()
    with pytest.raises(RemoteError):
        x.sum().item()
    gt.connect(workers=1, memory="2kB")
    assert torch.ones(3, device="workers").sum().item() == 3
    assert gt.statistics()["workers"][0]["memory_bytes"] == 2000
    with pytest.raises(RemoteError, match="OutOfMemory"):
        torch.ones(1000).to("workers").cpu()


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True])
def test_a_wrong_number_of_workers_is_refused(count):
    with pytest.raises(InputError, match="cannot be started"):
        gt.gpu_workers(count)


def test_addresses_are_checked():
    with pytest.raises(InputError, match="no address"):
        gt.connect("nowhere")
    with pytest.raises(InputError, match="no address"):
        gt.connect("https://localhost:7070")
    with pytest.raises(InputError, match="both an address and a number"):
        gt.connect("localhost:1", workers=2)
    with pytest.raises(InputError, match="both an address and the memory"):
        gt.connect("localhost:1", memory="1GB")
    with pytest.raises(InputError, match="not a size: '2 pints'"):
        gt.connect(workers=2, memory="2 pints")


def test_the_workers_of_torchrun_keep_their_memory(monkeypatch):
    monkeypatch.setattr(default, "is_under_torchrun", lambda: True)
    with pytest.raises(InputError, match="workers of torchrun were started without a limit"):
        gt.connect(memory="1GB")


def test_what_goes_through_is_said_where_it_is_asked_for(capsys):
    environment = Environment(is_verbose=True, debugs_client=True, debugs_compile=True)
    link = NarratedLink(SimulatedLink(2), environment, "2 simulated workers")
    with use_session(Session(link)):
        x = gt.tensor([[1.0, 2.0]])
        gt.place(x, gt.Shard(1))
        (x * 2).sum().item()
    link.close()
    link.close()
    said = capsys.readouterr().err
    for text in (
        "starting 2 simulated workers",
        "client: put 1: 1x2, 8 bytes",
        "client: place 1: S(1)",
        "client: define segment",
        "client: call ",
        "client: fetch ",
        "first answer after",
        "how the steps ran:\n2 workers.",
        "letting the workers go",
    ):
        assert text in said
    assert said.count("letting the workers go") == 1


def test_nothing_is_said_otherwise():
    link = SimulatedLink(1)
    assert narrated(link, Environment(), "anything") is link
