"""Real workers for tests of faults: which processes they are, what they train, and that nothing is left of
them."""

import contextlib
import os
import signal
import time
from pathlib import Path

import torch
from torch import nn

from outgrow.shard.client.session import Session, use_session
from outgrow.shard.engines.local import start_local


def children(pid):
    """Processes that this one started and that live, oldest first."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in tasks.read_text().split()]
    return sorted(found, key=_started)


def _started(pid):
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return 0


def is_alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def wait_until(condition, seconds=20.0, what="it"):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} did not come about within {seconds} s"
        time.sleep(0.01)
    return found


class Workers:
    """A session with workers of its own, and their processes."""

    def __init__(self, world_size=2, **options):
        before = set(children(os.getpid()))
        self.world_size = world_size
        self.session = Session(start_local(world_size, threads=1, **options))
        (self.server,) = set(children(os.getpid())) - before
        self.seen = set()

    def ranks(self):
        """The ranks' processes, by rank, once all are there."""
        found = wait_until(self._all_ranks, what=f"a gang of {self.world_size}")
        self.seen.update(found)
        return found

    def _all_ranks(self):
        found = children(self.server)
        return found if len(found) == self.world_size else None

    def close(self):
        self.ranks_before = children(self.server)
        self.session.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pids = [self.server, *children(self.server)]
        self.session.close()
        wait_until(lambda: not any(map(is_alive, pids)), what="the end of all workers")


def send(pid, number=signal.SIGKILL):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def model():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(12, 24), nn.Tanh(), nn.Linear(24, 1))


def train(session, steps, *, after=lambda step: None, fetch_every=1):
    """Losses as hexadecimal text, and the weights at the end: equal only where every bit is."""
    losses = []
    with use_session(session):
        network = model().to("workers")
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        generator = torch.Generator().manual_seed(5)
        for step in range(steps):
            inputs = torch.randn(16, 12, generator=generator)
            targets = inputs.square().sum(1, keepdim=True)
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(network(inputs.to("workers")), targets.to("workers"))
            loss.backward()
            optimizer.step()
            if step % fetch_every == 0:
                losses.append(loss.item().hex())
            after(step)
        weights = [parameter.detach().cpu() for parameter in network.parameters()]
    return losses, weights


def assert_same_bits(actual, expected):
    assert actual[0] == expected[0]
    for one, other in zip(actual[1], expected[1], strict=True):
        assert torch.equal(one, other)
