"""How near to its physical floor does a streamed model run? Decode, prefill, bits and memory over budgets."""

__all__ = ["SHOWN", "add_arguments", "measure_budgets", "run", "summarise"]

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import figures
from bench.harness import Bench, rotated
from bench.harness import add_arguments as add_common

SHOWN = (
    "label",
    "token_seconds",
    "floor_ratio",
    "sustained_floor_ratio",
    "resident_ratio",
    "prefill_again_ratio",
    "anon_excess_bytes",
    "equal_logits",
)
FRACTIONS = (0.10, 0.25, 0.50, 0.75, 0.90, 1.10)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    add_common(parser, rounds=5)
    parser.add_argument("--fractions", type=float, nargs="+", default=FRACTIONS, help="budgets / weights")
    parser.add_argument("--tokens", type=int, default=16, help="decoded tokens where weights stream")
    parser.add_argument("--fit-tokens", type=int, default=48, help="decoded tokens where everything fits")


def run(options: argparse.Namespace) -> Path:
    """Measure, summarise, write."""
    bench = Bench("floor", options)
    measure_budgets(bench, options.fractions, options.tokens, options.fit_tokens)
    return bench.finish(summarise(bench), show=SHOWN)


def measure_budgets(bench: Bench, fractions: Sequence[float], tokens: int, fit_tokens: int) -> None:
    """Each round: resident and every budget once, in rotating order, a disk probe before and after each."""
    for number in range(bench.rounds):
        before = bench.probe()
        for fraction in rotated([None, *fractions], number):
            if fraction is None:
                sample = bench.measure(
                    "resident", round_number=number, limit_bytes=None, prefills=2, decode_tokens=fit_tokens
                )
            else:
                budget = bench.budget(fraction)
                sample = bench.measure(
                    "outgrow",
                    label=f"outgrow {fraction:.0%}",
                    round_number=number,
                    limit_bytes=bench.limit(budget),
                    budget_bytes=budget,
                    prefills=2,
                    decode_tokens=fit_tokens if fraction >= 1 else tokens,
                )
                sample["fraction"] = fraction
            after = bench.probe()
            sample["disk_bytes_per_second"] = max(before.best, after.best)
            sample["sustained_bytes_per_second"] = max(before.sustained, after.sustained)
            before = after


def summarise(bench: Bench) -> list[dict[str, Any]]:
    """One row a budget: medians over rounds of ratios taken within a round."""
    good = [s for s in bench.samples if figures.failure(s) is None]
    resident = {s["round"]: s for s in good if s["system"] == "resident"}
    rows = [_resident_row(list(resident.values()))] if resident else []
    labels = dict.fromkeys(s["label"] for s in bench.samples if s["system"] == "outgrow")
    for label in labels:
        tried = [s for s in bench.samples if s["label"] == label]
        pairs = [(s, resident[s["round"]]) for s in tried if s in good and s["round"] in resident]
        problems = [text for s in tried if (text := figures.failure(s))]
        rows.append(_row(bench, label, pairs) | {"failures": problems})
    return rows


def _resident_row(samples: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "label": "resident",
        "token_seconds": figures.spread([figures.token_seconds(s) for s in samples]),
        "prefill_seconds": figures.spread([s["prefills"][0]["seconds"] for s in samples]),
        "without_model_bytes": max(figures.overhead_bytes(s) for s in samples),
    }


def _row(bench: Bench, label: str, pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, Any]:
    if not pairs:
        return {"label": label}
    found = [_ratios(bench, sample, resident) for sample, resident in pairs]
    equal = [figures.equal_steps(sample, resident) for sample, resident in pairs]
    columns = {key: figures.spread([one[key] for one in found]) for key in found[0]}
    sample = pairs[0][0]
    return {
        "label": label,
        "fraction": sample["fraction"],
        "budget_bytes": sample["spec"]["budget_bytes"],
        "limit_bytes": (sample.get("limited") or {}).get("limit_bytes"),
        "tokens_per_second": 1 / columns["token_seconds"]["median"],
        "equal_logits": [sum(same for same, _ in equal), sum(of for _, of in equal)],
        **columns,
    }


def _ratios(bench: Bench, sample: dict[str, Any], resident: dict[str, Any]) -> dict[str, float]:
    """All figures of one run against the resident run of its round."""
    seconds, compute = figures.token_seconds(sample), figures.token_seconds(resident)
    streamed = figures.streamed_bytes_per_token(sample)
    disk = max(sample["disk_bytes_per_second"], figures.inflight_bytes_per_second(sample) or 0)
    budget = sample["spec"]["budget_bytes"]
    ideal = figures.ideal_bytes_per_token(bench.weights_bytes, bench.shape.embedding_bytes, budget)
    floor = figures.floor_seconds(compute, streamed, disk)
    sustained = figures.floor_seconds(compute, streamed, sample["sustained_bytes_per_second"])
    prefill, reference = sample["prefills"], resident["prefills"]
    prefill_floor = figures.floor_seconds(reference[-1]["seconds"], prefill[-1]["disk_bytes"] or 0, disk)
    return {
        "token_seconds": seconds,
        "floor_seconds": floor,
        "floor_ratio": seconds / floor,
        "sustained_floor_ratio": seconds / sustained,
        "ideal_floor_ratio": seconds / figures.floor_seconds(compute, ideal, disk),
        "resident_ratio": seconds / compute,
        "streamed_bytes_per_token": streamed,
        "disk_bytes_per_second": disk,
        "cpu_seconds_per_token": sample["decode"]["cpu_seconds"] / len(sample["decode_step_seconds"]),
        "prefill_first_ratio": prefill[0]["seconds"] / reference[0]["seconds"],
        "prefill_again_ratio": prefill[-1]["seconds"] / reference[-1]["seconds"],
        "prefill_floor_ratio": prefill[-1]["seconds"] / prefill_floor,
        "anon_excess_bytes": figures.anon_excess_bytes(sample, figures.overhead_bytes(resident)),
        "anon_excess_over_imports_bytes": figures.anon_excess_bytes(sample, sample["anon_imported_bytes"]),
    }
