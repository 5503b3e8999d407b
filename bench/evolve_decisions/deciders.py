"""The policies that are compared, each as the digit that it chooses at every node of a table and seed."""

__all__ = [
    "Choices",
    "best_schedule",
    "choices_of_greedy",
    "choices_of_network",
    "choices_of_schedule",
    "learn",
]

import itertools
from collections.abc import Sequence

import torch

from outgrow.evolve.policies.attention_learner import AttentionLearner, score
from outgrow.evolve.policies.attention_network import AttentionPolicyNetwork
from outgrow.evolve.policies.attention_state import LAYER_FIGURES, OPERATORS, RUN_FIGURES
from outgrow.evolve.policies.environment import DecisionTable, Replay
from outgrow.evolve.policies.experience import ExperienceBuffer

Choices = list[dict[str, int]]
"""For each seed, by path, the digit that is chosen."""


def choices_of_schedule(table: DecisionTable, schedule: str) -> Choices:
    """The same digits whatever is seen; nothing where one cannot be done."""
    found = {
        path: int(schedule[len(path)]) if int(schedule[len(path)]) in table.following(path) else 0
        for path in table.layers
    }
    return [found] * len(table.seeds)


def best_schedule(tables: Sequence[DecisionTable]) -> str:
    """The schedule of least mean regret on `tables`, each table's regret in units of its mean one."""
    digits = range(len(tables[0].actions))
    losses = []
    for table in tables:
        known = {path: table.loss(path) for path in table.ends()}
        best, mean = min(known.values()), sum(known.values()) / len(known)
        losses.append({path: (loss - best) / (mean - best) for path, loss in known.items()})
    best_of_all, least = "", float("inf")
    for one in itertools.product(digits, repeat=tables[0].depth):
        schedule = "".join(map(str, one))
        total = 0.0
        for table, loss in zip(tables, losses, strict=True):
            path = ""
            for digit in one:
                path += str(digit) if digit in table.following(path) else "0"
            total += loss[path]
        if total < least:
            best_of_all, least = schedule, total
    return best_of_all


def choices_of_greedy(table: DecisionTable, figure: str) -> Choices:
    """Every action tried in a fork beside one that does nothing; the best, where it gains anything.

    `figure` is `validation` (forks of a whole segment) or `probe` (of a quarter). All forks train with equal
    FLOPs on the same batches, so the gain is the gain per FLOP.
    """
    found = []
    for losses in table.seeds:
        chosen = {}
        for path in table.layers:
            gains = {
                digit: losses[f"{path}0"][figure] - losses[f"{path}{digit}"][figure]
                for digit in table.following(path)
            }
            chosen[path] = max(gains, key=lambda digit: (gains[digit], -digit))
        found.append(chosen)
    return found


@torch.no_grad()
def choices_of_network(table: DecisionTable, network: AttentionPolicyNetwork) -> Choices:
    """What the learned policy prefers."""
    found = []
    for seed in range(len(table.seeds)):
        paths = list(table.layers)
        scores, _ = score(network, [table.state(path, seed=seed) for path in paths])
        preferred = scores.argmax(1).tolist()
        found.append({path: table.digit(path, action) for path, action in zip(paths, preferred, strict=True)})
    return found


def learn(
    tables: Sequence[DecisionTable], *, seed: int, steps: int, capacity: int = 10_000, gamma: float = 1.0
) -> AttentionPolicyNetwork:
    """Train a network on everything that can happen in `tables`; a seed gives the same again, bit for bit."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = AttentionPolicyNetwork(
            len(RUN_FIGURES), 1, layer_dim=len(LAYER_FIGURES), layer_actions=len(OPERATORS)
        )
    buffer = ExperienceBuffer(capacity)
    for table in tables:
        for number in range(len(table.seeds)):
            replay = Replay(table, number)
            for path in table.layers:
                state = table.state(path, seed=number)
                for digit in table.following(path):
                    replay.path = path
                    action = table.action(path, digit)
                    following, reward, done = replay.step(action)
                    buffer.add(state, action, reward, following, done)
    learner = AttentionLearner(network, lr=4e-3, gamma=gamma, polyak=0.1)
    learner.train(buffer, steps, batch_size=256, seed=seed)
    return network
