"""A GPT over characters, trained from scratch at its full size or grown to it from a quarter of its cost."""

__all__ = ["LARGE", "SMALL", "LanguageArm", "TextTraining", "train_language"]

import time
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bench.evolve.char_gpt import CharGpt, GptSize, token_macs
from bench.evolve.corpus import Corpus, Windows
from bench.evolve.ledger import Key
from bench.evolve.schedule import rate
from outgrow import evolve
from outgrow.evolve.operators.deepen import deepen

LARGE = GptSize(layers=4, heads=4, inner=512)
"""What everybody wants to have at the end: 0.8 million parameters."""
SMALL = GptSize(layers=2, heads=2, inner=256)
"""Half the heads, half the MLP, half the blocks."""
BATCH = 4
STEPS = 1440
"""1x: so many steps of the large model."""
_WARMUP = 60
_WEIGHT_DECAY = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageArm:
    """One way to the large model."""

    start: GptSize
    """Size at the beginning."""
    grows_at: float | None = None
    """At which share of the budget it grows to `LARGE`; `None` to stay."""


class TextTraining:
    """A model, its optimizer and its windows, with what was spent so far."""

    def __init__(self, size: GptSize, corpus: Corpus, lr: float, seed: int) -> None:
        torch.manual_seed(seed)
        self.model = CharGpt(size)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=lr, betas=(0.9, 0.95), weight_decay=_WEIGHT_DECAY, fused=True
        )
        self.length = size.length
        self.windows = Windows(corpus.train, size.length, BATCH, seed)
        self.macs = 0.0
        self.seconds = 0.0
        self.steps = 0

    def advance(self, until: float, whole: float, peak: float) -> None:
        """Train until `until` multiply-adds are spent; the rate follows the schedule over `whole`."""
        began = time.process_time()
        cost = 3 * token_macs(self.model, self.length) * BATCH * self.length
        self.model.train()
        while self.macs + cost / 2 <= until:
            inputs, targets = self.windows.next()
            for group in self.optimizer.param_groups:
                group["lr"] = rate(peak, self.macs / whole) * min(1.0, (self.steps + 1) / _WARMUP)
            loss = F.cross_entropy(self.model(inputs).flatten(0, 1), targets.flatten())
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.macs += cost
            self.steps += 1
        self.seconds += time.process_time() - began


def train_language(
    key: Key, arm: LanguageArm, corpus: Corpus, goal: GptSize, steps: int, windows: int = 192
) -> dict[str, Any]:
    """Train one arm for `key.budget` times what `steps` steps of `goal` cost, all that is spent counted."""
    training = TextTraining(arm.start, corpus, key.lr, key.seed)
    budget = key.budget * steps * 3 * token_macs(CharGpt(goal), goal.length) * BATCH * goal.length
    grown = None
    if arm.grows_at is not None:
        training.advance(arm.grows_at * budget, budget, key.lr)
        grown = _grow(training, goal, key.seed)
    training.advance(budget, budget, key.lr)
    return {
        "validation": {"ce": held_out_loss(training, corpus, windows)},
        "parameters": sum(parameter.numel() for parameter in training.model.parameters()),
        "macs": training.macs,
        "cpu_seconds": training.seconds,
        "steps": training.steps,
        "characters": training.steps * BATCH * training.length,
        "grown": grown,
    }


@torch.no_grad()
def held_out_loss(training: TextTraining, corpus: Corpus, windows: int) -> float:
    """Mean cross-entropy in nats a character, over the same windows of the held-out files for everybody."""
    training.model.eval()
    reader = Windows(corpus.held_out, training.length, BATCH, seed=1)
    losses = []
    for _ in range(windows):
        inputs, targets = reader.next()
        losses.append(float(F.cross_entropy(training.model(inputs).flatten(0, 1), targets.flatten())))
    training.model.train()
    return sum(losses) / len(losses)


def _grow(training: TextTraining, goal: GptSize, seed: int) -> list[dict[str, Any]]:
    """Widen every MLP and attention to the goal, then copy every block; the seconds count as training's."""
    began = time.process_time()
    model, edits = training.model, []
    common = {"example_inputs": training.windows.next()[0][:2], "optimizer": training.optimizer}
    blocks = len(model.blocks)
    for block in range(blocks):
        for name, wanted in (("mlp.up", goal.inner), ("attention.query", goal.heads * goal.head_dim)):
            site = f"blocks.{block}.{name}"
            by = wanted - model.get_submodule(site).weight.shape[0]
            if by > 0:
                edits.append(evolve.widen(model, site, by=by, seed=seed * 100 + block, **common))
    copies = goal.layers // blocks - 1
    # The copies lie behind each block, so the next one has moved.
    moved = [f"blocks.{block * (1 + copies)}" for block in range(blocks if copies else 0)]
    edits += [deepen(model, site, copies, **common) for site in moved]
    training.seconds += time.process_time() - began
    return [{"operator": edit.operator, "site": edit.site, "change": edit.change} for edit in edits]
