"""What growing costs beside training: measures, snapshots, surgery, compiling; surgery of a real model."""

__all__ = ["add_arguments", "run"]

import argparse
import datetime
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bench import machine
from bench.harness import FORMAT, RESULTS, write_result
from outgrow import evolve
from outgrow.evolve.batches import Batch
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.edits import operation
from outgrow.evolve.example_inputs import ExampleInputs, call_form
from outgrow.evolve.policies.candidates import find_candidates
from outgrow.evolve.policies.policy import Situation
from outgrow.evolve.policies.promise_per_flop import score_candidates
from outgrow.evolve.sites import width_sites

SMOL = Path.home() / ".cache" / "outgrow" / "models" / "SmolLM2-135M-Instruct"

# Where the seconds of a change go: name -> the functions that are timed, by the module that calls them.
PARTS: dict[str, tuple[tuple[Any, str], ...]] = {
    "trace": ((width_sites, "find_coupling"),),
    "trial": ((width_sites, "_tried"),),
    "change": ((sys.modules[evolve.widen.__module__], "change_width"),),
    "inverse": ((operation, "inverse_of"),),
    "check": ((operation, "outputs_before"), (operation, "check_promise")),
    "carry": ((Followers, "follow"), (Followers, "renew")),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this case."""
    parser.add_argument("--toy", action="store_true", help="tiny models, a few steps, nothing compiled")
    parser.add_argument("--smol", type=Path, default=SMOL, help="a Hugging Face directory of SmolLM2-135M")
    parser.add_argument("--rounds", type=int, default=3, help="how often each surgery is measured")
    parser.add_argument("--steps", type=int, default=1500, help="of the growing run")
    parser.add_argument("--changes", type=int, default=4, help="in the growing run")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of the JSON file")


def run(options: argparse.Namespace) -> Path:
    """The three parts, each with all its samples; CPU seconds of one thread, wall seconds beside them."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    growing = _growing_run(
        steps=12 if options.toy else options.steps, changes=2 if options.toy else options.changes
    )
    surgery = _surgeries(options)
    compiled = None if options.toy else _compiling()
    result = {
        "format": FORMAT,
        "case": "evolve_cost",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": ["python", "-m", "bench", *sys.argv[1:]],
        "commit": machine.commit(),
        "versions": machine.versions(),
        "machine": machine.machine(),
        "toy": options.toy,
        "summary": {
            "growing_run": growing["summary"],
            "surgery": _medians(surgery),
            "compiling": None if compiled is None else compiled["summary"],
        },
        "samples": [growing["samples"], *surgery, *([] if compiled is None else [compiled["samples"]])],
    }
    for part, figures in result["summary"].items():
        print(f"{part}: {figures}", file=sys.stderr)
    return write_result(result, options.results, "evolve_cost")


class _Clock:
    """CPU seconds by name, and wall seconds."""

    def __init__(self) -> None:
        self.cpu: dict[str, list[float]] = {}
        self.wall: dict[str, list[float]] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        try:
            yield
        finally:
            self.cpu.setdefault(name, []).append(time.process_time() - cpu)
            self.wall.setdefault(name, []).append(time.perf_counter() - wall)


class _Net(nn.Module):
    """The small CNN of the curves: three convolutions, 28 x 28 pictures, ten classes."""

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        sizes = (1, *widths)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2))
                for a, b in itertools.pairwise(sizes)
            )
        )
        self.head = nn.Linear(widths[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(x).mean(dim=(2, 3)))


def _growing_run(*, steps: int, changes: int) -> dict[str, Any]:
    """Training with AdamW, OneCycle and an average, in which measures choose what grows."""
    model = _Net((8, 16, 32))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps + 1)
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.99))
    generator = torch.Generator().manual_seed(1)
    pool = [
        (torch.randn(128, 1, 28, 28, generator=generator), torch.randint(10, (128,), generator=generator))
        for _ in range(8)
    ]
    batches = [Batch(inputs=ExampleInputs(args=(x,), kwargs={}), target=y) for x, y in pool]
    followers = Followers(optimizer=optimizer, scheduler=scheduler, ema=ema)
    clock = _Clock()
    when = {round((number + 1) * steps / (changes + 1)) for number in range(changes)}
    grown = []
    for step in range(steps):
        if step in when:
            with clock.timed("measures"):
                situation = Situation(
                    model=model,
                    inputs=call_form(pool[0][0][:4]),
                    training=batches,
                    objective=lambda net, batch: nn.functional.cross_entropy(
                        net(*batch.inputs.args), batch.target
                    ),
                    followers=followers,
                )
                candidates = find_candidates(situation, operators=("widen",), share=0.25)
                scores = score_candidates(candidates, situation)
            best = max(range(len(scores)), key=lambda place: scores[place].per_flop or 0.0)
            change = evolve.transaction(model, optimizer=optimizer, scheduler=scheduler, ema=ema)
            with clock.timed("snapshot"):
                change.__enter__()
            with clock.timed("surgery"):
                edit = evolve.widen(
                    model,
                    candidates[best].site,
                    example_inputs=situation.inputs,
                    optimizer=optimizer,
                    scheduler=scheduler,
                    ema=ema,
                    **candidates[best].arguments,
                )
            with clock.timed("commit"):
                change.__exit__(None, None, None)
            grown.append(edit.site)
        x, y = pool[step % len(pool)]
        with clock.timed("training"):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            scheduler.step()
            ema.update_parameters(model)
    totals = {name: sum(values) for name, values in clock.cpu.items()}
    beside = sum(seconds for name, seconds in totals.items() if name != "training")
    return {
        "summary": {
            "share": beside / totals["training"],
            "cpu_seconds": totals,
            "steps": steps,
            "grown": grown,
            "parameters": sum(one.numel() for one in model.parameters()),
        },
        "samples": {"kind": "growing run", "cpu": clock.cpu, "wall": clock.wall},
    }


def _surgeries(options: argparse.Namespace) -> list[dict[str, Any]]:
    model = _tiny_llama() if options.toy else _smol(options.smol)
    inputs = {"input_ids": torch.arange(8)[None]}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    known = evolve.sites(model, inputs)
    wanted = {
        "mlp": next(one for one in known if "mlp" in one.name),
        "heads": next(one for one in known if "self_attn" in one.name),
        "residual": next(one for one in known if "embed" in one.name),
    }
    samples = []
    for round_number in range(1 if options.toy else options.rounds):
        for kind, site in wanted.items():
            by = {"mlp": max(site.step, site.width // 6), "residual": max(1, site.width // 9)}.get(
                kind, site.step
            )
            sample: dict[str, Any] = {"round": round_number, "kind": kind, "site": site.name, "by": by}
            clock = _Clock()
            change = evolve.transaction(model, optimizer=optimizer)
            with clock.timed("snapshot"):
                change.__enter__()
            sample["snapshot_bytes"] = change.nbytes
            with _parts(clock), clock.timed("surgery"):
                edit = evolve.widen(model, site, by=by, optimizer=optimizer)
            sample["change"] = edit.change
            with clock.timed("rollback"):
                change.rollback()
            sample["cpu"] = {name: sum(values) for name, values in clock.cpu.items()}
            sample["wall"] = {name: sum(values) for name, values in clock.wall.items()}
            samples.append(sample)
            print(f"{kind}: {sample['cpu']}", file=sys.stderr)
    return samples


@contextmanager
def _parts(clock: _Clock) -> Iterator[None]:
    """Time the parts of a change; those inside another are counted in both."""
    before: list[tuple[Any, str, Any]] = []
    try:
        for name, places in PARTS.items():
            for holder, attribute in places:
                own = vars(holder).get(attribute)
                if own is not None:
                    before.append((holder, attribute, own))
                    setattr(holder, attribute, _watched(clock, name, own))
        yield
    finally:
        for holder, attribute, own in before:
            setattr(holder, attribute, own)


def _watched(clock: _Clock, name: str, own: Any) -> Any:
    function: Callable[..., Any] = own.__func__ if isinstance(own, staticmethod) else own

    def watched(*given: Any, **named: Any) -> Any:
        with clock.timed(name):
            return function(*given, **named)

    return staticmethod(watched) if isinstance(own, staticmethod) else watched


def _smol(directory: Path) -> nn.Module:
    from transformers import AutoModelForCausalLM

    if not directory.is_dir():
        sys.exit(f"there is no model in {directory.name}; `outgrow demo` fetches it, or give --smol DIR")
    model: nn.Module = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    return model


def _tiny_llama() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=32,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
        )
    )


def _compiling() -> dict[str, Any]:
    """CPU seconds of this process, without those of the C++ compilers that it starts: of the first compiled
    step, of a step, and of the first step after each change."""
    model = _Net((8, 16, 32))
    x, y = torch.randn(128, 1, 28, 28), torch.randint(10, (128,))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    compiled = torch.compile(model)

    def step() -> float:
        began = time.process_time()
        optimizer.zero_grad()
        nn.functional.cross_entropy(compiled(x), y).backward()
        optimizer.step()
        return time.process_time() - began

    first = step()
    plain = [step() for _ in range(10)]
    after = []
    for number in range(3):
        evolve.widen(compiled, "blocks.1.0", by=4, example_inputs=x[:4], optimizer=optimizer, seed=number)
        after.append(step())
    return {
        "summary": {
            "first_step": first,
            "step": statistics.median(plain),
            "first_step_after_a_change": statistics.median(after),
        },
        "samples": {"kind": "compiling", "step": plain, "first_step_after_a_change": after},
    }


def _medians(samples: list[dict[str, Any]]) -> dict[str, Any]:
    kinds = dict.fromkeys(sample["kind"] for sample in samples)
    return {
        kind: {
            name: statistics.median(sample["cpu"][name] for sample in samples if sample["kind"] == kind)
            for name in next(sample["cpu"] for sample in samples if sample["kind"] == kind)
        }
        for kind in kinds
    }
