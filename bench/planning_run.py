"""One training on local workers in a process of its own; says what candidates were predicted to take, and
took."""

import json
import sys

import torch

import outgrow.shard as gt
from bench.planning_capture import OPTIMIZERS
from bench.planning_models import LARGE


def main(name: str, optimizer: str, steps: int) -> None:
    """Train, then print one line of JSON."""
    torch.manual_seed(0)
    case = LARGE[name]
    model = case.make().to("workers")
    updates = OPTIMIZERS[optimizer](model.parameters())
    host = case.data()
    for _ in range(steps):
        data = [one.to("workers") for one in host]
        updates.zero_grad()
        loss = case.loss(model(data[0]), data[1])
        loss.backward()
        updates.step()
        loss.item()
    (cycle, *_) = gt.explain().answer["cycles"]
    candidates = [
        {key: plan[key] for key in ("kind", "predicted_seconds", "measured_seconds", "banned")}
        for plan in cycle["candidates"]
    ]
    print(json.dumps({"used": cycle["used"], "is_final": cycle["is_final"], "candidates": candidates}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
