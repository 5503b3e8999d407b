"""One model being trained until its multiply-adds are spent, and what it is worth afterwards."""

__all__ = ["BATCH", "Batches", "Training", "judge"]

import copy
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.evolve.net import picture_macs
from bench.evolve.schedule import rate

BATCH = 64


class Batches:
    """Shuffled batches for ever; the order depends on the seed alone, not on who reads them."""

    def __init__(self, inputs: Tensor, labels: Tensor, seed: int, batch: int = BATCH) -> None:
        self._inputs, self._labels, self._batch = inputs, labels, batch
        self._generator = torch.Generator().manual_seed(seed)
        self._order, self._at = torch.empty(0, dtype=torch.int64), 0

    def next(self) -> tuple[Tensor, Tensor]:
        """The next full batch; what is left over at the end of an epoch is dropped."""
        if self._at + self._batch > len(self._order):
            self._order, self._at = torch.randperm(len(self._labels), generator=self._generator), 0
        chosen = self._order[self._at : self._at + self._batch]
        self._at += self._batch
        inputs = self._inputs[chosen].contiguous(memory_format=torch.channels_last)
        return inputs, self._labels[chosen]

    def state(self) -> tuple[Tensor, Tensor, int]:
        """Where the reading is, for `restore`."""
        return self._generator.get_state(), self._order, self._at

    def restore(self, state: tuple[Tensor, Tensor, int]) -> None:
        """Go on from a place that `state` gave."""
        generator, self._order, self._at = state
        self._generator.set_state(generator)


class Training:
    """A model, its optimizer and its batches, with what was spent so far.

    `macs` are multiply-adds of training steps: three forward passes' worth a picture. `seconds` are the CPU's
    in `advance` (and what is charged by hand), without evaluation.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        batches: Batches,
        forward_cost: Callable[[nn.Module], float] = picture_macs,
    ) -> None:
        self.model, self.optimizer, self.batches = model, optimizer, batches
        self._forward_cost = forward_cost
        self.macs = 0.0
        self.seconds = 0.0
        self.samples = 0
        self.steps = 0

    def step_macs(self) -> float:
        """What one step costs at the widths of now."""
        return 3.0 * self._forward_cost(self.model) * BATCH

    def advance(self, until: float, learning_rate: Callable[[float], float]) -> None:
        """Train until `until` multiply-adds are spent; `learning_rate` is asked with the spent ones."""
        began = time.process_time()
        self.model.train()
        cost = self.step_macs()
        while self.macs + cost / 2 <= until:
            inputs, labels = self.batches.next()
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self.macs)
            loss = F.cross_entropy(self.model(inputs), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.macs += cost
            self.samples += len(labels)
            self.steps += 1
        self.seconds += time.process_time() - began

    def fork(self, pictures: tuple[Tensor, Tensor]) -> "Training":
        """A copy that goes its own way from here, with nothing spent yet but the position in the schedule."""
        model, optimizer = copy.deepcopy((self.model, self.optimizer))
        batches = Batches(*pictures, seed=0)
        batches.restore(self.batches.state())
        other = Training(model, optimizer, batches, self._forward_cost)
        other.macs, other.samples, other.steps = self.macs, self.samples, self.steps
        other.seconds = self.seconds
        return other

    def finish(self, until: float, peak: float, budget: float | None = None) -> None:
        """Train to `until` with the rate of the schedule over `budget` (the same, unless given)."""
        whole = until if budget is None else budget
        self.advance(until, lambda spent: rate(peak, spent / whole))


@torch.no_grad()
def judge(model: nn.Module, split: tuple[Tensor, Tensor], batch: int = 500) -> dict[str, float]:
    """Mean cross-entropy (nats) and accuracy (percent) in eval mode; the mode is put back."""
    inputs, labels = split
    was_training = model.training
    model.eval()
    try:
        loss, right = 0.0, 0
        for start in range(0, len(labels), batch):
            chunk = inputs[start : start + batch].contiguous(memory_format=torch.channels_last)
            logits, truth = model(chunk), labels[start : start + batch]
            loss += float(F.cross_entropy(logits, truth, reduction="sum"))
            right += int((logits.argmax(1) == truth).sum())
    finally:
        model.train(was_training)
    return {"ce": loss / len(labels), "accuracy": 100.0 * right / len(labels)}
