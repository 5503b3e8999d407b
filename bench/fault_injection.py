"""Faults sent to a running training, and when the training went on: one seed gives one plan of faults."""

__all__ = ["KINDS", "Injector", "Training", "children"]

import contextlib
import hashlib
import os
import random
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

KINDS: dict[str, tuple[int, int | None, float]] = {
    "one killed": (signal.SIGKILL, 1, 0.5),
    "one stopped": (signal.SIGSTOP, 1, 0.3),
    "all killed": (signal.SIGKILL, None, 0.12),
    "all stopped": (signal.SIGSTOP, None, 0.08),
}
"""From a kind of fault to its signal, how many ranks get it (None: all), and its share."""

_PATIENCE_SECONDS = 60.0


def children(pid: int) -> list[int]:
    """Living processes that this one started, oldest first: the ranks of a dispatcher in their order."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in tasks.read_text().split()]
    return sorted(found)


@dataclass(slots=True)
class Fault:
    """One point: what was done, when, and when the training went on."""

    kind: str
    ranks: tuple[int, ...]
    step: int
    """Steps that were done when it came."""
    is_during_recovery: bool
    at: float
    gone_seconds: float | None = None
    """Until the struck processes were no more: found and ended."""
    recovery_seconds: float | None = None
    """Until the program had the loss of a step that ran after the fault."""


class _Pixels(nn.Module):
    """A small Pixel Transformer: tokens of many pixels, trainable positions, dropout."""

    def __init__(self, pixels: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Linear(pixels, width)
        self.position = nn.Parameter(torch.randn(1, 8, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Shape: `[batch, frames, pixels]` to `[batch, 2]`."""
        tokens = self.embed(images) + self.position[:, : images.shape[1]]
        return self.head(self.layers(tokens).mean(1))


class Training:
    """A training on workers; every loss is fetched and kept as its bits."""

    def __init__(self, *, pixels: int, width: int, batch: int = 4) -> None:
        self.pixels, self.width, self.batch = pixels, width, batch
        self.losses: list[str] = []
        self.ended: list[float] = []
        """When each step's loss was there, of `time.perf_counter`."""

    def run(self, session: Any, *, steps: int | None = None, until: threading.Event | None = None) -> str:
        """Train for so many steps or until told; gives a digest of the weights at the end."""
        from outgrow.shard.client.session import use_session

        torch.manual_seed(11)
        generator = torch.Generator().manual_seed(12)
        with use_session(session):
            model = _Pixels(self.pixels, self.width).to("workers")
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
            while (steps is None or len(self.losses) < steps) and not (until is not None and until.is_set()):
                images = torch.randn(self.batch, 4, self.pixels, generator=generator)
                labels = (images[:, 0, 0] > 0).long()
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(images.to("workers")), labels.to("workers"))
                loss.backward()
                optimizer.step()
                self.losses.append(loss.item().hex())
                self.ended.append(time.perf_counter())
            digest = hashlib.sha256()
            for parameter in model.parameters():
                digest.update(parameter.detach().cpu().numpy().tobytes())
        return digest.hexdigest()


class Injector(threading.Thread):
    """Strikes the ranks of one server at random moments, some of them while they recover."""

    def __init__(self, server: int, training: Training, *, points: int, world_size: int, seed: int) -> None:
        super().__init__(name="fault-injector", daemon=True)
        self.faults: list[Fault] = []
        self.error: str | None = None
        self.done = threading.Event()
        self._server, self._training, self._points = server, training, points
        self._world_size = world_size
        self._random = random.Random(seed)
        self._struck_gang: set[int] = set()

    def run(self) -> None:
        """Strike, wait, strike again."""
        try:
            self._wait(lambda: len(self._training.ended) >= 2, "the first steps")
            while len(self.faults) < self._points:
                self._strike_once_or_more()
        except TimeoutError as err:
            self.error = str(err)
        finally:
            self.done.set()

    def _strike_once_or_more(self) -> None:
        time.sleep(self._random.uniform(0.0, 1.2))
        series = [self._strike(is_during_recovery=False)]
        while len(self.faults) < self._points and self._random.random() < 0.1:
            time.sleep(self._random.uniform(0.0, 0.5))
            series.append(self._strike(is_during_recovery=True))
        self._wait(self._other_gang, "another gang")
        began = time.perf_counter()
        training = self._training
        self._wait(lambda: training.ended[-1] > began, "the training to go on")
        # Only the new gang can have given it.
        ended = next(at for at in training.ended if at > began)
        for fault in series:
            fault.recovery_seconds = ended - fault.at

    def _other_gang(self) -> bool:
        pids = children(self._server)
        return len(pids) == self._world_size and not self._struck_gang & set(pids)

    def _strike(self, *, is_during_recovery: bool) -> Fault:
        pids = self._wait(self._gang, "a whole gang")
        kind = self._random.choices(list(KINDS), [share for _, _, share in KINDS.values()])[0]
        number, count, _ = KINDS[kind]
        ranks = tuple(range(self._world_size))
        if count is not None:
            ranks = tuple(sorted(self._random.sample(ranks, count)))
        fault = Fault(kind, ranks, len(self._training.losses), is_during_recovery, time.perf_counter())
        for rank in ranks:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[rank], number)
        self.faults.append(fault)
        struck, self._struck_gang = {pids[rank] for rank in ranks}, set(pids)
        self._wait(lambda: not struck & set(children(self._server)), "the end of the struck ranks")
        fault.gone_seconds = time.perf_counter() - fault.at
        return fault

    def _gang(self) -> list[int] | None:
        pids = children(self._server)
        return pids if len(pids) == self._world_size else None

    def _wait(self, condition: Any, what: str) -> Any:
        end = time.perf_counter() + _PATIENCE_SECONDS
        while not (found := condition()):
            if time.perf_counter() > end:
                raise TimeoutError(f"{what} did not come within {_PATIENCE_SECONDS:.0f} s")
            time.sleep(0.002)
        return found
