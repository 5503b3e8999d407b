"""One column of `shard_step` in a process of its own: trains one model in one way, as many steps as it is
told.
"""

__all__ = ["Column", "main"]

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from bench.step_models import MODELS, Task

BATCHES = 4
"""Different batches, in turns."""


class Column:
    """A model being trained; subclasses say where."""

    def __init__(self, task: Task) -> None:
        torch.manual_seed(0)
        self.model = task.model()
        self.batches = [task.batch(seed) for seed in range(BATCHES)]
        self.prepare()
        self.optimizer = task.optimizer(self.model)
        self.steps = 0

    def prepare(self) -> None:
        """Bring the model where it is trained."""

    def take(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The inputs and targets of a step."""
        return self.batches[number % BATCHES]

    def step(self) -> float:
        """One step; waits for its loss."""
        inputs, targets = self.take(self.steps)
        self.steps += 1
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(inputs), targets)
        loss.backward()
        self.optimizer.step()
        return float(loss.item())

    def close(self) -> None:
        """Give everything back."""


class Distributed(Column):
    """torch's own DistributedDataParallel, one rank."""

    def prepare(self) -> None:
        rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        torch.distributed.init_process_group("gloo")  # noqa: TID251 - the peer
        self.model = torch.nn.parallel.DistributedDataParallel(self.model, gradient_as_bucket_view=True)
        parts = []
        for inputs, targets in self.batches:
            each = len(inputs) // world_size
            per_target = len(targets) // world_size
            own = slice(rank * each, (rank + 1) * each)
            parts.append((inputs[own], targets[rank * per_target : (rank + 1) * per_target]))
        self.batches = parts

    def close(self) -> None:
        torch.distributed.destroy_process_group()  # noqa: TID251 - the peer


class Sharded(Column):
    """Ours: the workers that the environment asks for."""

    def prepare(self) -> None:
        import outgrow.shard as gt

        self.session = gt.default_session() if hasattr(gt, "default_session") else _session()
        kinds = os.environ.get("STEP_PLANS")
        if kinds:
            self.session.ask("plans", kinds=kinds.split(","))
        self.model.to("workers")
        self.compiled: Any = None
        if os.environ.get("STEP_COMPILED"):
            self.compiled = "wanted"

    def step(self) -> float:
        """One step, compiled where the environment says so; waits for its loss."""
        if self.compiled is None:
            return super().step()
        if self.compiled == "wanted":
            self.compiled = _compiled(self.model, self.optimizer)
        inputs, targets = self.take(self.steps)
        self.steps += 1
        return float(self.compiled(inputs, targets).item())

    def take(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        inputs, targets = super().take(number)
        return inputs.to("workers"), targets.to("workers")

    def close(self) -> None:
        self.session.link.close()


def _compiled(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Any:
    import outgrow.shard as gt

    for group in optimizer.param_groups:
        if "capturable" in group:  # Adam then counts its steps on the workers
            group["capturable"] = True

    def step(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return gt.compile(step)


def _session() -> Any:
    from outgrow.shard.client.session import default_session

    return default_session()


COLUMNS: dict[str, Callable[[Task], Column]] = {"torch": Column, "ddp": Distributed, "sharded": Sharded}


def main() -> None:
    """Argument: the column and the model. Each line read is a number of steps; each line written their
    seconds.
    """
    kind, name = sys.argv[1:3]
    column = COLUMNS[kind](MODELS[name])
    print("ready", flush=True)
    for line in sys.stdin:
        told = json.loads(line)
        seconds, losses = [], []
        for _ in range(told["steps"]):
            began = time.perf_counter()
            losses.append(column.step())
            seconds.append(time.perf_counter() - began)
        found: dict[str, Any] = {"seconds": seconds, "losses": losses}
        if told.get("explain") and isinstance(column, Sharded):
            found["explain"] = column.session.ask("explain")
            found["statistics"] = column.session.ask("statistics")
        print(json.dumps(found), flush=True)
    column.close()


if __name__ == "__main__":
    main()
