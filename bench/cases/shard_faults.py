"""How long is a training held up when workers are killed or stopped, and does it end with the same bits?"""

__all__ = ["add_arguments", "run"]

import argparse
import contextlib
import dataclasses
import datetime
import itertools
import logging
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import machine
from bench.fault_injection import KINDS, Injector, Training, children
from bench.figures import spread
from bench.harness import FORMAT, RESULTS, write_result
from outgrow.errors import OutgrowError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="two points, a tiny model")
    parser.add_argument("--points", type=int, default=200, help="kills and stops in all")
    parser.add_argument("--points-per-run", type=int, default=20, help="of one training")
    parser.add_argument("--ranks", type=int, default=2, help="workers")
    parser.add_argument("--pixels", type=int, default=2500, help="of one token")
    parser.add_argument("--width", type=int, default=64, help="of the model")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and kinds of faults")
    parser.add_argument("--cost-rounds", type=int, default=4, help="of the undisturbed training, both ways")
    parser.add_argument("--cost-steps", type=int, default=300, help="of each")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")
    parser.add_argument("--name", default="shard_faults", help="name of the result")


def run(options: argparse.Namespace) -> Path:
    """Train under fire, train again undisturbed with the same decisions, compare bits; write the result."""
    if options.toy:
        options.points = options.points_per_run = 2
        options.pixels, options.width, options.cost_rounds, options.cost_steps = 64, 16, 1, 8
    logging.getLogger("outgrow.shard").setLevel(logging.ERROR)
    samples: list[dict[str, Any]] = []
    done = 0
    while done < options.points:
        points = min(options.points_per_run, options.points - done)
        try:
            sample = _under_fire(options, points, len(samples))
        except OutgrowError as err:
            text = f"{type(err).__name__}: {err.message}"
            sample = {"run": len(samples), "steps": 0, "is_same": False, "faults": [], "error": text}
            sample["recovery_seconds"] = []
        samples.append(sample)
        done += points
        _say(
            f"{done} points: {sample['steps']} steps, same bits: {sample['is_same']}, recovery "
            f"{statistics.median(sample['recovery_seconds'] or [float('nan')]):.2f} s"
        )
    costs = _cost(options)
    record = {
        "format": FORMAT,
        "case": "shard_faults",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": bool(options.toy),
        "seed": options.seed,
        "scheduler": os.sched_getscheduler(0),
        "ranks": options.ranks,
        "model": {"kind": "Pixel Transformer with Adam", "pixels": options.pixels, "width": options.width},
        "summary": [*_rows(samples), _cost_row(costs)],
        "samples": [*samples, *costs],
    }
    path = write_result(record, options.results, options.name)
    for row in record["summary"]:
        shown = {key: value["median"] if isinstance(value, dict) else value for key, value in row.items()}
        _say(str(shown))
    _say(f"written {path}")
    return path


def _under_fire(options: argparse.Namespace, points: int, number: int) -> dict[str, Any]:
    training = _training(options)
    with _workers(options) as (session, server):
        injector = Injector(
            server, training, points=points, world_size=options.ranks, seed=options.seed * 1000 + number
        )
        injector.start()
        weights = training.run(session, until=injector.done)
        injector.join()
        decisions = session.ask("decisions")["decisions"]
        recovery = session.ask("recovery")
    again = _training(options)
    with _workers(options, decisions=decisions) as (session, _):
        same = again.run(session, steps=len(training.losses))
    faults = [dataclasses.asdict(fault) for fault in injector.faults]
    for fault in faults:
        del fault["at"]
    is_same = training.losses == again.losses and weights == same
    sample = {
        "run": number,
        "steps": len(training.losses),
        "is_same": is_same,
        "final_loss": training.losses[-1],
        "undisturbed_final_loss": again.losses[-1],
        "decisions": sum(map(len, decisions.values())),
        "checkpoints": recovery["checkpoints"],
        "checkpoint_seconds": recovery["checkpoint_seconds"],
        "checkpoint_bytes": recovery["checkpoint_bytes"],
        "faults": faults,
        "recovery_seconds": [
            fault["recovery_seconds"] for fault in faults if fault["recovery_seconds"] is not None
        ],
    }
    if injector.error is not None:
        sample["error"] = injector.error
    return sample


def _training(options: argparse.Namespace) -> Training:
    return Training(pixels=options.pixels, width=options.width)


@contextlib.contextmanager
def _workers(
    options: argparse.Namespace, *, decisions: Any = None, limits: dict[str, Any] | None = None
) -> Iterator[tuple[Any, int]]:
    from outgrow.shard.client.session import Session
    from outgrow.shard.engines.local import start_local

    before = set(children(os.getpid()))
    session = Session(
        start_local(options.ranks, threads=1, recovery={"decisions": decisions or {}, "limits": limits or {}})
    )
    try:
        (server,) = set(children(os.getpid())) - before
        session.ask("barrier")
        yield session, server
    finally:
        session.close()


def _cost(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Undisturbed steps with and without checkpoints and log, in turn, with the same decisions."""
    found = []
    decisions: Any = None
    for number in range(options.cost_rounds):
        for is_on in (True, False) if number % 2 else (False, True):
            training = _training(options)
            with _workers(options, decisions=decisions, limits={"is_on": is_on}) as (session, _):
                training.run(session, steps=options.cost_steps)
                recovery = session.ask("recovery")
                decisions = decisions or session.ask("decisions")["decisions"]
            warm = training.ended[len(training.ended) // 5 :]
            steps = [after - before for before, after in itertools.pairwise(warm)]
            mean = (warm[-1] - warm[0]) / max(1, len(warm) - 1)
            elapsed = training.ended[-1] - training.ended[0]
            found.append(
                {
                    "round": number, "is_recovering": is_on, "step_seconds": statistics.median(steps),
                    "mean_step_seconds": mean, "checkpoints": recovery["checkpoints"],
                    "checkpoint_share": recovery["checkpoint_seconds"] / elapsed,
                }
            )  # fmt: skip
            _say(f"cost: recovery {is_on}: {1e3 * mean:.2f} ms a step")
    return found


def _rows(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    faults = [fault for sample in samples for fault in sample["faults"]]
    rows = []
    for kind in ("all", *KINDS, "during recovery"):
        chosen = [
            fault
            for fault in faults
            if kind in ("all", fault["kind"]) or (kind == "during recovery" and fault["is_during_recovery"])
        ]
        recovery = [f["recovery_seconds"] for f in chosen if f["recovery_seconds"] is not None]
        gone = [f["gone_seconds"] for f in chosen if f["gone_seconds"] is not None]
        row = {
            "faults": kind,
            "points": len(chosen),
            "recovered": len(recovery),
            "gone_seconds": _brief(gone),
            "recovery_seconds": _brief(recovery),
        }
        if kind == "all":
            row |= {"runs": len(samples), "runs_with_the_same_bits": sum(s["is_same"] for s in samples)}
        rows.append(row)
    return rows


def _brief(values: list[float]) -> dict[str, Any]:
    """As `spread`, with the ninth decile; the samples are in the runs."""
    figures = spread(values)
    del figures["samples"]
    ninth = statistics.quantiles(values, n=10, method="inclusive")[8] if len(values) > 1 else None
    return {**figures, "ninth_decile": ninth}


def _cost_row(costs: list[dict[str, Any]]) -> dict[str, Any]:
    on = [one["mean_step_seconds"] for one in costs if one["is_recovering"]]
    off = [one["mean_step_seconds"] for one in costs if not one["is_recovering"]]
    return {
        "cost": "of checkpoints and log, undisturbed",
        "with_seconds": spread(on),
        "without_seconds": spread(off),
        "checkpoint_share": spread([one["checkpoint_share"] for one in costs if one["is_recovering"]]),
        "ratio": spread([mine / other for mine, other in zip(on, off, strict=True)]),
    }


def _say(text: str) -> None:
    print(f"[shard_faults] {text}", file=sys.stderr, flush=True)
