"""One language model recorded, streamed, sharded and grown; compare says of each what changed.

python examples/one_model_in_four_rooms.py [FOLDER_OF_A_HUGGING_FACE_MODEL]
"""

import copy
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

import outgrow.shard as gt
from outgrow import evolve, stream
from outgrow.capture import record
from outgrow.compare import compare, report

__all__ = ["Rooms", "Row", "visit"]

# Embedding, layers, norms and head: what has one shape however wide a layer is inside.
OUTSIDE = "*[0-9smd].output*"
SAME, CLOSE = "bit-identical", "no difference beyond rounding"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of one promise; `memory_bytes` is the most that weights took, of workers on one of them."""

    room: str
    promise: str
    found: str
    is_kept: bool
    first_divergence: str | None
    memory_bytes: int
    seconds: float


class Rooms:
    """Recordings of one model, and a row for each that was compared with the one that it should equal."""

    def __init__(self, folder: Path, tokens: Tensor) -> None:
        self.folder, self.tokens = folder, tokens
        self.rows: list[Row] = []

    def record(self, model: nn.Module, name: str, device: str = "cpu") -> float:
        """Run the model once and keep what its modules give; the seconds it took."""
        tokens, started = self.tokens.to(device), time.perf_counter()
        with record(model, self.folder / name), torch.no_grad():
            model(tokens)
        return time.perf_counter() - started

    def check(self, name: str, promise: str, seconds: float, memory: int, like: str = "resident") -> None:
        """Compare a recording with the one called `like`, to the last bit of everything where promised."""
        only = "*" if promise == SAME else OUTSIDE
        expected, actual, is_exact = self.folder / like, self.folder / name, promise == SAME
        with compare(expected=expected, actual=actual, is_exact=is_exact, only=only) as comparison:
            first = comparison.first_divergence
            measured = [row.measures for row in comparison.findings if row.measures is not None]
            worst = max((found.relative_error for found in measured), default=0.0)
            equal = sum(found.is_equal for found in measured)
            row = Row(
                room=name,
                promise=promise,
                found=f"{equal} of {len(measured)} equal, worst {worst:.0e}",
                is_kept=comparison.verdict == "match",
                first_divergence=None if first is None else first.pair.expected_name,
                memory_bytes=memory,
                seconds=seconds,
            )
        self.rows.append(row)


def visit(source: Path, folder: Path, tokens: Tensor) -> Iterator[Rooms]:
    """Take the model through every room, with a row more each time; at the end it is recorded `faulty`."""
    rooms = Rooms(folder, tokens)
    model: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    whole = nbytes(model)
    rooms.record(model, "resident")
    rooms.check("resident, again", SAME, rooms.record(model, "resident, again"), whole)
    yield rooms

    with stream.closing(stream.load(source, budget=whole // 10, dtype=torch.float32)) as streamed:
        seconds = rooms.record(streamed, "streamed")
        rooms.check("streamed", SAME, seconds, stream.statistics(streamed).peak_bytes)
    yield rooms

    gt.connect(workers=2)
    try:
        seconds = rooms.record(copy.deepcopy(model).to("workers"), "sharded", device="workers")
        held = max(int(worker["peak_bytes"]) for worker in gt.statistics()["workers"])
    finally:
        gt.shutdown()
    rooms.check("sharded", CLOSE, seconds, held)
    yield rooms

    grown = copy.deepcopy(model)
    last = f"model.layers.{len(grown.model.layers) - 1}"
    wider = evolve.widen(grown, "model.layers.1.mlp.gate_proj", by=16, example_inputs=tokens)
    deeper = evolve.deepen(grown, last, example_inputs=tokens)
    assert wider.promise == deeper.promise == "exact"
    rooms.check("grown", CLOSE, rooms.record(grown, "grown"), nbytes(grown))
    yield rooms

    config = stream.Config(storage_path=str(folder / "weights"), vram_budget_gb=nbytes(grown) / 3 / 1e9)
    grown = stream.offload(grown, config)
    seconds, memory = rooms.record(grown, "grown, streamed"), stream.statistics(grown).peak_bytes
    stream.restore(grown)
    rooms.check("grown, streamed", SAME, seconds, memory, like="grown")
    yield rooms

    layers = model.model.layers
    layers[len(layers) // 2].self_attn.scaling *= 1.1  # the planted fault
    rooms.record(model, "faulty")


def nbytes(model: nn.Module) -> int:
    return sum(parameter.nbytes for parameter in model.parameters())


def small_model(folder: Path) -> Path:
    config = LlamaConfig(hidden_size=64, intermediate_size=96, num_hidden_layers=12, vocab_size=256)
    config.num_attention_heads, config.num_key_value_heads, config.head_dim = 4, 2, 16
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def main() -> None:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = Path(sys.argv[1]) if len(sys.argv) > 1 else small_model(folder / "model")
        for rooms in visit(source, folder, torch.randint(0, 256, (1, 32))):
            row = rooms.rows[-1]
            size = f"{row.memory_bytes / 1e6:.1f} MB"
            print(f"{row.room:17}{row.promise:31}{row.found:30}{size:>10}{row.seconds:7.2f} s")
        with compare(expected=folder / "resident", actual=folder / "faulty") as comparison:
            print(report.sentence(comparison))


if __name__ == "__main__":
    main()
