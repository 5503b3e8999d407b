"""A small table of decisions of which everything is known."""

import itertools

ACTIONS = [["none", ""], ["widen", "first"], ["prune", "second"]]
DEPTH = 2
PATHS = [
    "".join(one)
    for depth in range(DEPTH + 1)
    for one in itertools.product("012", repeat=depth)
    if "22" not in "".join(one)
]
"""Pruning twice cannot be done."""


def loss_of(path, seed):
    """Widening pays 0.2, pruning costs 0.1, each a little more or less with the seed."""
    return round(1.0 - 0.2 * path.count("1") + 0.1 * path.count("2") + 0.01 * seed * path.count("1"), 4)


def small_record(seeds=2):
    decided = [path for path in PATHS if len(path) < DEPTH]
    layers = {
        path: [
            ["first", "linear", 4 * 2 ** path.count("1"), 40, 40.0],
            ["second", "linear", 4, 20, 20.0],
            ["head", "linear", 10, 50, 50.0],
        ]
        for path in decided
    }
    task = {
        "data": "made up",
        "segment_macs": 11_000,
        "paths": PATHS,
        "layers": layers,
        "seeds": [
            {
                "validation": [loss_of(path, seed) for path in PATHS],
                "test": [loss_of(path, seed) + 0.05 for path in PATHS],
                "probe": [loss_of(path, seed) + 0.5 for path in PATHS],
                "train": [0.5] * len(decided),
                "gradient": [[0.1, 0.2, 0.3]] * len(decided),
                "redundancy": [[0.3, 0.2, 0.1]] * len(decided),
            }
            for seed in range(seeds)
        ],
    }
    return {"format": 1, "depth": DEPTH, "actions": ACTIONS, "tasks": {"made-up": task}}
