"""Run every sequence of decisions of a task once, prefixes shared, each from where its parent stopped."""

__all__ = ["BATCH", "PROBE", "enumerate_task"]

import copy
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.evolve_decisions.actions import ACTIONS, apply, is_valid
from bench.evolve_decisions.tasks import DEPTH, TASKS, Splits, Task, TinyNet
from outgrow.evolve.batches import read_batch
from outgrow.evolve.policies.attention_figures import layer_figures

BATCH = 32
_LOOKED_AT = 128
PROBE = 0.25
"""The share of a segment after which a short fork would be judged."""


@dataclass(slots=True)
class _Node:
    path: str
    model: nn.Module
    optimizer: torch.optim.Optimizer


def enumerate_task(
    name: str, splits: Splits, seed: int, done: Collection[int], keep: Callable[[dict[str, Any]], None]
) -> None:
    """Every run of a task with one seed, a branch after the other; those in `done` are left out.

    `keep` is given each branch as it ends: all that follows from one first action, and before them, as -1,
    the segment that all of them begin with.
    """
    task = TASKS[name]
    missing = [action for action in range(-1, len(ACTIONS)) if action not in done]
    if not missing:
        return
    began = time.process_time()
    nodes: dict[str, Any] = {}
    root = _run_root(task, splits, seed, nodes)
    for action in missing:
        if action >= 0:
            began, nodes = time.process_time(), {}
            _run_branch(root, task, splits, seed, action, nodes)
        seconds = round(time.process_time() - began, 2)
        keep({"task": name, "seed": seed, "action": action, "seconds": seconds, "nodes": nodes})


def _run_root(task: Task, splits: Splits, seed: int, rows: dict[str, Any]) -> _Node:
    """The segment before the first decision, which all sequences share."""
    torch.manual_seed(seed)
    model = TinyNet(splits.train[0][0].numel(), *task.start)
    optimizer = torch.optim.SGD(model.parameters(), lr=task.lr, momentum=0.9, fused=True)
    node = _Node("", model, optimizer)
    rows[""] = _segment(node, task, splits, seed)
    return node


def _run_branch(
    node: _Node, task: Task, splits: Splits, seed: int, action: int, rows: dict[str, Any]
) -> None:
    """What follows from an action at a node, depth first; every figure goes into `rows` by its path."""
    if not is_valid(node.path, task.start, action):
        return
    model, optimizer = copy.deepcopy((node.model, node.optimizer))
    # One seed a depth: what differs between siblings is the change alone.
    apply(action, model, optimizer, splits.train[0][:2], seed * 10 + len(node.path))
    child = _Node(node.path + str(action), model, optimizer)
    rows[child.path] = _segment(child, task, splits, seed)
    if len(child.path) < DEPTH:
        for following in range(len(ACTIONS)):
            _run_branch(child, task, splits, seed, following, rows)


def _segment(node: _Node, task: Task, splits: Splits, seed: int) -> dict[str, Any]:
    """Train for one segment's multiply-adds; losses in nats.

    All segments of a depth see the same order of batches and spend the same multiply-adds: a larger net
    makes fewer steps. In the last segment the learning rate falls linearly to 0.
    """
    depth = len(node.path)
    inputs, labels = splits.train
    generator = torch.Generator().manual_seed(seed * 100 + depth)
    spent, probe, seen, loss = 0.0, None, 0.0, torch.zeros(())
    cost = _macs(node.model)
    budget = task.steps * _macs(TinyNet(inputs[0].numel(), *task.start))
    steps = max(1, round(budget / cost))
    order = torch.cat(
        [torch.randperm(len(labels), generator=generator) for _ in range(1 + steps * BATCH // len(labels))]
    )
    node.model.train()
    for step in range(steps):
        chosen = order[step * BATCH : (step + 1) * BATCH]
        if depth == DEPTH:
            node.optimizer.param_groups[0]["lr"] = task.lr * (1 - step / steps)
        loss = F.cross_entropy(node.model(inputs[chosen]), labels[chosen])
        node.optimizer.zero_grad()
        loss.backward()
        node.optimizer.step()
        spent += cost
        seen += float(loss.detach())
        if probe is None and spent >= PROBE * budget:
            probe = _judge(node.model, splits.validation)
    row = {
        "validation": _judge(node.model, splits.validation),
        "probe": probe,
        "test": _judge(node.model, splits.test),
    }
    if depth < DEPTH:
        row["train"] = seen / steps
        batch = read_batch((inputs[:_LOOKED_AT], labels[:_LOOKED_AT]))
        row["layers"] = [
            [one.name, one.kind, one.width, one.parameters, one.macs, one.gradient, one.redundancy]
            for one in layer_figures(node.model, batch)
        ]
    return row


@torch.no_grad()
def _judge(model: nn.Module, split: tuple[Tensor, Tensor]) -> float:
    was_training = model.training
    model.eval()
    loss = float(F.cross_entropy(model(split[0]), split[1]))
    model.train(was_training)
    return loss


def _macs(model: TinyNet) -> float:
    """Multiply-adds of one picture."""
    return float(sum(layer.weight.numel() for layer in (model.first, model.second, model.head)))
