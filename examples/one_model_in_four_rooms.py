"""One language model ([FOLDER]) recorded, streamed, sharded and grown; compare says of each what changed."""

import copy
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

import outgrow.shard as gt
from outgrow import evolve, stream
from outgrow.capture import record
from outgrow.compare import Rules, compare, report
from outgrow.quantities import format_bytes

__all__ = ["Row", "check", "visit"]

SAME, CLOSE, NEAR = "bit-identical", "within rounding", 1e-5
MLP = "model.layers.1.mlp"
# What has grown has nothing of its own shape to be compared with.
WIDER = {f"{MLP}.{layer}.*": None for layer in ("gate_proj", "up_proj", "act_fn")}


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of one promise. Memory: the most that weights took; of workers, what the fullest held.
    Seconds: of a plain pass. The largest error is also given as a share of what the judge calls rounding."""

    room: str
    how: str
    like: str
    promise: str
    pairs: int
    equal: int
    largest_error: float
    share_of_rounding: float | None
    is_kept: bool
    first_divergence: str | None
    memory_bytes: int
    seconds: float
    recorded_seconds: float | None = None


def run(model: nn.Module, tokens: Tensor) -> tuple[Tensor, float]:
    started = time.perf_counter()
    with torch.no_grad():
        return model(tokens).logits.cpu(), time.perf_counter() - started


def keep(model: nn.Module, tokens: Tensor, target: Path) -> dict[str, Any]:
    """Record a pass, and run another; the seconds of both."""
    started = time.perf_counter()
    with record(model, target):
        run(model, tokens)
    return {"recorded_seconds": time.perf_counter() - started, "seconds": run(model, tokens)[1]}


def check(at: Path, room: str, promise: str, like: str = "resident", runs: Any = (), **facts: Any) -> Row:
    """Compare two recordings, or `runs` with rules: to the last bit, where that is promised."""
    expected, actual, rules = runs or (at / like, at / room, None)
    names, exact = WIDER if room.startswith("grown") and like == "resident" else None, promise == SAME
    with compare(expected=expected, actual=actual, is_exact=exact, name_map=names, rules=rules) as found:
        first = found.first_divergence
        pairs = [(one.measures, one.judged) for one in found.findings if one.measures]
        shares = [judged.error / judged.allowed for _, judged in pairs if judged.error and judged.allowed]
        return Row(
            room=room, like=like, promise=promise, **facts, share_of_rounding=max(shares, default=None),
            pairs=len(found.findings), equal=sum(measures.is_equal for measures, _ in pairs),
            largest_error=max((measures.relative_error for measures, _ in pairs), default=0.0),
            is_kept=found.verdict == "match", first_divergence=first.pair.expected_name if first else None,
        )  # fmt: skip


def visit(source: Path, folder: Path, tokens: Tensor, tell: Callable[[str], object]) -> Generator[Row]:
    """Take the model through every room: a row for each promise. At the end it is recorded as `faulty`."""
    tell("recording it in memory, twice")
    model: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    row, whole, (logits, _) = partial(check, folder), stream.estimate_model_memory(model), run(model, tokens)
    keep(model, tokens, folder / "resident")
    seconds = keep(model, tokens, folder / "resident, again")
    yield row("resident, again", SAME, how="once more", memory_bytes=whole, **seconds)

    tell("streaming it from disk")
    tenth = f"{format_bytes(whole // 10)} for {format_bytes(whole)} of weights"
    with stream.closing(stream.load(source, budget=whole // 10, dtype=torch.float32)) as streamed:
        seconds, memory = keep(streamed, tokens, folder / "streamed"), stream.statistics(streamed).peak_bytes
    yield row("streamed", SAME, how=tenth, memory_bytes=memory, **seconds)

    tell("running it on two workers, until they have a plan")
    gt.connect(workers=2, memory=whole * 9 // 10)  # neither could hold it alone
    try:
        sharded, there = copy.deepcopy(model).to("workers"), tokens.to("workers")
        for _ in range(12):
            planned, took = run(sharded, there)
            if gt.statistics()["workers"][0]["replayed_calls"] > 1:
                break
        plan, memory = gt.explain().sentence(), max(one["held_bytes"] for one in gt.statistics()["workers"])
        tell("recording it on two workers")
        gt.shutdown()
        gt.connect(workers=2)
        sharded, there = copy.deepcopy(model).to("workers"), tokens.to("workers")
        seconds = keep(sharded, there, folder / "sharded")
        most = max(one["held_bytes"] for one in gt.statistics()["workers"])
    finally:
        gt.shutdown()
    yield row("sharded", CLOSE, how="module by module", memory_bytes=most, **seconds)
    runs = {"logits": logits}, {"logits": planned}, Rules(rtol=0.0, atol=NEAR * float(logits.abs().max()))
    yield row("sharded, planned", f"within {NEAR}", runs=runs, how=plan, memory_bytes=memory, seconds=took)

    tell("widening and deepening it")
    grown, layers = copy.deepcopy(model), len(model.model.layers)
    wider = evolve.widen(grown, f"{MLP}.gate_proj", by=16, example_inputs=tokens)
    deeper = evolve.deepen(grown, f"model.layers.{layers - 1}", example_inputs=tokens)
    how = f"wider ({wider.promise}) and deeper ({deeper.promise})"
    seconds, memory = keep(grown, tokens, folder / "grown"), stream.estimate_model_memory(grown)
    yield row("grown", CLOSE, how=how, memory_bytes=memory, **seconds)

    tell("streaming what has grown")
    with tempfile.TemporaryDirectory(dir=folder) as weights:
        config = stream.Config(storage_path=weights, budget=whole // 10)
        with stream.closing(stream.offload(grown, config)) as streamed:
            seconds = keep(streamed, tokens, folder / "grown, streamed")
            memory = stream.statistics(streamed).peak_bytes
    for promise, like in ((SAME, "grown"), (CLOSE, "resident")):
        yield row("grown, streamed", promise, like, how=tenth, memory_bytes=memory, **seconds)

    tell("breaking it")
    model.model.layers[layers // 2].self_attn.scaling *= 1.1  # the planted fault
    keep(model, tokens, folder / "faulty")


if __name__ == "__main__":
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder, source = Path(name), Path(sys.argv[1] if len(sys.argv) > 1 else f"{name}/model")
        if len(sys.argv) == 1:
            small = LlamaConfig(hidden_size=128, intermediate_size=192, vocab_size=4096, num_hidden_layers=12)
            LlamaForCausalLM(small).save_pretrained(source)
        for row in visit(source, folder, torch.randint(0, 256, (1, 32)), tell=print):
            print(f"{row.room:17}{row.promise:16}{row.equal} of {row.pairs} equal, {row.how}")
        with compare(expected=folder / "resident", actual=folder / "faulty") as comparison:
            print(report.sentence(comparison))
