"""What does the client of shard cost: each op, a whole training step, sending it, and its bytes?"""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench import figures, machine
from bench.harness import FORMAT, RESULTS, write_result
from bench.step_models import Language, Pixel
from outgrow.shard.client.dispatch import torch_dispatch
from outgrow.shard.client.session import Session, use_session
from outgrow.shard.client.tensor import WorkersTensor
from outgrow.shard.messages import Ask, Call, Define, Fetch, Message, Reply
from outgrow.shard.wire.codec import Encoder

_aten = torch.ops.aten


class Discarding:
    """A link that counts what it is given and does nothing with it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send(self, message: Message) -> None:
        """Keep it for counting."""
        self.messages.append(message)

    def request(self, message: Fetch | Ask) -> Reply:
        """Nothing is known."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to give back."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="few repetitions, one round")
    parser.add_argument("--rounds", type=int, default=9, help="how often everything is measured")
    parser.add_argument("--calls", type=int, default=2000, help="calls of each op in a round")
    parser.add_argument("--steps", type=int, default=10, help="steps in a round")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")


def run(options: argparse.Namespace) -> Path:
    """Ops and steps in turn, rounds of both; plain torch does the same between."""
    torch.set_num_threads(1)
    rounds, calls, steps = (1, 20, 3) if options.toy else (options.rounds, options.calls, options.steps)
    link = Discarding()
    samples: list[dict[str, Any]] = []
    with use_session(Session(link)) as session:
        session.LONGEST = 1 << 30  # type: ignore[misc]
        there, here = _ops("workers"), _ops("cpu")
        trainings = {name: (_training(name, "workers"), _training(name, "cpu")) for name in _MODELS}
        for ours, theirs in trainings.values():
            for _ in range(4):
                ours()
                theirs()
        sizes = {name: _step_size(session, link, ours) for name, (ours, _) in trainings.items()}
        for number in range(rounds):
            for name, op in there.items():
                sample = {
                    "op": name,
                    "seconds": _each(op, calls, session),
                    "plain_seconds": _each(here[name], calls),
                }
                samples.append({"round": number, "kind": "op", **sample})
            seconds = _each(_dispatched(), calls, session)
            samples.append({"round": number, "kind": "dispatch", "op": "mul", "seconds": seconds})
            for name, (ours, theirs) in trainings.items():
                samples.append(
                    {
                        "round": number,
                        "kind": "step",
                        "model": name,
                        **_steps(session, link, ours, theirs, steps),
                    }
                )
    result = {
        "format": FORMAT,
        "case": "shard_client",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": options.toy,
        "rounds": rounds,
        "summary": _summary(samples, sizes),
        "samples": samples,
    }
    for row in result["summary"]:
        print(
            {key: value["median"] if isinstance(value, dict) else value for key, value in row.items()},
            file=sys.stderr,
        )
    return write_result(result, options.results, "shard_client")


def _ops(device: str) -> dict[str, Callable[[], Any]]:
    """On 8 x 8 tensors, where what torch computes is a small part of what it does."""
    a, b = torch.ones(8, 8, device=device), torch.ones(8, 8, device=device)
    leaf = torch.ones(8, 8, device=device).requires_grad_()
    many = [torch.ones(8, 8, device=device) for _ in range(20)]
    return {
        "mul": lambda: a * b,
        "mul, with a gradient to come": lambda: leaf * b,
        "mul by a number": lambda: a * 2.0,
        "add_": lambda: a.add_(b, alpha=0.5),
        "mm": lambda: a @ b,
        "view": lambda: a.view(64),
        "slice": lambda: a[:, 1:3],
        "sum": lambda: a.sum(),
        "softmax": lambda: a.softmax(-1),
        "cat": lambda: torch.cat([a, b]),
        "layer_norm": lambda: torch.layer_norm(a, (8,)),
        "clone": lambda: a.clone(),
        "foreach_mul_ of 20": lambda: torch._foreach_mul_(many, 0.5),
    }


def _dispatched() -> Callable[[], Any]:
    """Only what happens in `__torch_dispatch__`."""
    a, b, op = torch.ones(8, 8, device="workers"), torch.ones(8, 8, device="workers"), _aten.mul.Tensor
    return lambda: torch_dispatch(WorkersTensor, op, (), (a, b))


def _each(call: Callable[[], Any], count: int, session: Session | None = None) -> float:
    for _ in range(10):
        call()
    began = time.perf_counter()
    for _ in range(count):
        call()
    seconds = (time.perf_counter() - began) / count
    if session is not None:
        session.flush()
    return seconds


_MODELS: dict[str, Callable[[], tuple[torch.nn.Module, Callable[[str], Tensor]]]] = {
    "pixel": lambda: (Pixel(64, 8, 2), lambda device: torch.rand(4, 4, 64).to(device)),
    "gpt": lambda: (Language(64, 16, 2, 8), lambda device: torch.randint(64, (2, 8)).to(device)),
}
"""Small in width and as deep as the real ones: the client's cost depends on the number of ops alone."""


def _training(name: str, device: str) -> Callable[[], None]:
    torch.manual_seed(0)
    model, batch = _MODELS[name]()
    model.to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    data = batch(device)

    def step() -> None:
        optimizer.zero_grad()
        result = model(data)
        F.cross_entropy(result, result.detach().argmax(-1)).backward()
        optimizer.step()

    return step


def _step_size(session: Session, link: Discarding, step: Callable[[], None]) -> dict[str, int]:
    """Instructions of a step and the bytes that carry it: the first time, and again."""
    session.flush()
    link.messages.clear()
    step()
    (call,) = [message for message in link.messages if isinstance(message, Call)]
    instructions = len(session._bodies[call.segment])
    encoder = Encoder(passes_files=False)
    body = session._segment(session._bodies[call.segment], len(call.inputs))
    first = sum(map(_nbytes, encoder.encode(Define(segment=call.segment, body=body))))
    again = sum(map(_nbytes, encoder.encode(call)))
    return {"instructions": instructions, "first_bytes": first, "again_bytes": again}


def _nbytes(encoded: Any) -> int:
    return sum(len(memoryview(part).cast("B")) for part in encoded.parts)


def _steps(
    session: Session, link: Discarding, ours: Callable[[], None], theirs: Callable[[], None], count: int
) -> dict[str, float]:
    flushing = 0.0
    send = session.flush

    def timed(**options: Any) -> None:
        nonlocal flushing
        began = time.perf_counter()
        send(**options)
        flushing += time.perf_counter() - began

    session.flush = timed  # type: ignore[method-assign]
    try:
        began = time.perf_counter()
        for _ in range(count):
            ours()
        seconds = (time.perf_counter() - began) / count
    finally:
        session.flush = send  # type: ignore[method-assign]
    link.messages.clear()
    began = time.perf_counter()
    for _ in range(count):
        theirs()
    plain = (time.perf_counter() - began) / count
    return {"seconds": seconds, "flush_seconds": flushing / count, "plain_seconds": plain}


def _summary(samples: list[dict[str, Any]], sizes: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for kind in ("dispatch", "op"):
        for name in dict.fromkeys(sample["op"] for sample in samples if sample["kind"] == kind):
            own = [sample for sample in samples if sample["kind"] == kind and sample["op"] == name]
            row = {
                "what": f"{kind}: {name}",
                "seconds": figures.spread([sample["seconds"] for sample in own]),
            }
            if kind == "op":
                row["plain_seconds"] = figures.spread([sample["plain_seconds"] for sample in own])
            rows.append(row)
    for name, size in sizes.items():
        own = [sample for sample in samples if sample.get("model") == name]
        count = size["instructions"]
        rows.append(
            {
                "what": f"step: {name}",
                "step_seconds": figures.spread([sample["seconds"] for sample in own]),
                "plain_step_seconds": figures.spread([sample["plain_seconds"] for sample in own]),
                "op_seconds": figures.spread([sample["seconds"] / count for sample in own]),
                "flush_seconds": figures.spread([sample["flush_seconds"] for sample in own]),
                "flush_share": figures.spread(
                    [sample["flush_seconds"] / sample["seconds"] for sample in own]
                ),
                "first_bytes_per_instruction": size["first_bytes"] / count,
                "again_bytes_per_instruction": size["again_bytes"] / count,
                **size,
            }
        )
    return rows
