"""Are the losses of training on workers those of plain torch, and as near to double precision in single?"""

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
from torch import Tensor, nn

from bench import machine
from bench.harness import FORMAT, RESULTS, write_result
from bench.step_models import Convolutional, Pixel
from outgrow.shard.client.session import Session, use_session
from outgrow.shard.engines.simulated import SimulatedLink

Batch = Callable[[], tuple[Tensor, Tensor]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="two models, two workers, a few steps")
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS), default=list(MODELS))
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4], help="simulated in one process")
    parser.add_argument("--steps", type=int, default=50, help="of each training")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")


def run(options: argparse.Namespace) -> Path:
    """Each model in double and in single precision, by torch alone and on each number of workers."""
    torch.set_num_threads(1)
    names, workers, steps = options.models, options.workers, options.steps
    if options.toy:
        names, workers, steps = ["mlp", "pixel"], [2], 4
    samples: list[dict[str, Any]] = []
    for name in names:
        for dtype in (torch.float64, torch.float32):
            for size in (None, *workers):
                began = time.perf_counter()
                losses = _train(name, dtype, size, steps)
                samples.append(
                    {
                        "model": name,
                        "dtype": str(dtype).removeprefix("torch."),
                        "workers": size,
                        "losses": losses,
                        "seconds": time.perf_counter() - began,
                    }
                )
                print(f"{name} {dtype} {size}: {losses[0]:.6f} ... {losses[-1]:.6f}", file=sys.stderr)
    result = {
        "format": FORMAT,
        "case": "shard_losses",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": options.toy,
        "steps": steps,
        "summary": [_summary(name, size, samples) for name in names for size in workers],
        "samples": samples,
    }
    for row in result["summary"]:
        print(row, file=sys.stderr)
    return write_result(result, options.results, "shard_losses")


def _train(name: str, dtype: torch.dtype, workers: int | None, steps: int) -> list[float]:
    if workers is None:
        return _losses(name, dtype, "cpu", steps)
    link = SimulatedLink(workers)
    try:
        with use_session(Session(link)):
            return _losses(name, dtype, "workers", steps)
    finally:
        link.close()


def _losses(name: str, dtype: torch.dtype, device: str, steps: int) -> list[float]:
    """One seed, one start in single precision, one optimizer for all."""
    torch.manual_seed(0)
    model, batch = MODELS[name]()
    model.to(dtype).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.random.get_rng_state()
    losses = []
    for step in range(steps):
        # A few batches again and again, so that there is something to learn.
        torch.manual_seed(step % 5)
        inputs, targets = batch()
        torch.random.set_rng_state(generator)
        inputs = inputs.to(dtype) if inputs.is_floating_point() else inputs
        result = model(inputs.to(device))
        result = result if isinstance(result, Tensor) else result.logits.flatten(0, 1)
        loss = F.cross_entropy(result, targets.to(device))
        generator = torch.random.get_rng_state()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss)
    return [loss.item() for loss in losses]


def _summary(name: str, workers: int, samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Relative distances, the greatest over all steps."""
    found = {
        (sample["dtype"], sample["workers"]): sample["losses"]
        for sample in samples
        if sample["model"] == name
    }
    exact = found["float64", None]
    plain, ours = (_distance(found["float32", size], exact) for size in (None, workers))
    return {
        "model": name,
        "workers": workers,
        "float64_distance": _distance(found["float64", workers], exact),
        "float32_distance": ours,
        "plain_float32_distance": plain,
        "float32_ratio": ours / plain if plain else None,
        "first_loss": exact[0],
        "last_loss": exact[-1],
    }


def _distance(actual: list[float], expected: list[float]) -> float:
    return max(abs(one - other) / abs(other) for one, other in zip(actual, expected, strict=True))


def _pictures(*shape: int, classes: int) -> Batch:
    return lambda: (torch.randn(*shape), torch.randint(classes, shape[:1]))


def _mlp() -> tuple[nn.Module, Batch]:
    model = nn.Sequential(
        nn.Linear(20, 64),
        nn.GELU(),
        nn.LayerNorm(64),
        nn.Dropout(0.1),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 5),
    )
    return model, _pictures(16, 20, classes=5)


def _cnn() -> tuple[nn.Module, Batch]:
    return Convolutional(8, 16, 64), _pictures(8, 3, 16, 16, classes=10)


def _pixel() -> tuple[nn.Module, Batch]:
    return Pixel(400, 16, 2), _pictures(4, 4, 400, classes=10)


def _tokens(vocabulary: int) -> Batch:
    def make() -> tuple[Tensor, Tensor]:
        tokens = torch.randint(vocabulary, (4, 17))
        return tokens[:, :-1], tokens[:, 1:].flatten()

    return make


def _gpt2() -> tuple[nn.Module, Batch]:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        n_layer=2, n_head=4, n_embd=32, vocab_size=64, n_positions=32, bos_token_id=0, eos_token_id=0
    )
    return GPT2LMHeadModel(config), _tokens(64)


def _llama() -> tuple[nn.Module, Batch]:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=64, max_position_embeddings=32,
    )  # fmt: skip
    return LlamaForCausalLM(config), _tokens(64)


MODELS: dict[str, Callable[[], tuple[nn.Module, Batch]]] = {
    "mlp": _mlp,
    "cnn": _cnn,
    "pixel": _pixel,
    "gpt2": _gpt2,
    "llama": _llama,
}
"""By name: a model and what makes a batch of inputs and targets, from the seed that is set.

GPT-2 and Llama are those of transformers, dropout included.
"""
