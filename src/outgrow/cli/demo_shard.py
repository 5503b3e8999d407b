"""The demo's third chapter: the Pixel Transformer on two workers, checked against one process."""

__all__ = ["PixelRun", "run_chapter"]

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outgrow.cache import cache_directory
from outgrow.cli import render
from outgrow.quantities import format_bytes, format_seconds

if TYPE_CHECKING:
    import torch

_WORKERS = 2
_EPOCHS = 5
_SAMPLES, _LENGTH, _BATCH = 20, 4, 4
_SIDE = 200
"""Pixels along each side of a frame."""
_CLOSE = 1e-9
"""Losses in float64 that differ by more, relatively, are not of the same computation."""


@dataclass(kw_only=True)
class PixelRun:
    """What a training run gave."""

    losses: list[float] = field(default_factory=list)
    """Of every step."""
    hits: list[int] = field(default_factory=list)
    """Samples of every step that were put into the right class."""
    seconds: list[float] = field(default_factory=list)
    """Of every step."""


def run_chapter(*, title: str, svg: Path | None, is_shown: bool, **_options: Any) -> dict[str, Any]:
    """Run the chapter; what it found, ready for JSON. Prints unless not `is_shown`.

    Raises:
        RemoteError: a worker was lost.
    """
    import copy

    import torch

    import outgrow.shard as gt
    from outgrow.store.writer import make_directory

    frames, labels = make_samples(torch)
    model = make_model(torch)
    sharded = copy.deepcopy(model)
    parameters = list(model.parameters())
    if is_shown:
        _introduce(title, frames, parameters)
    reference = PixelRun()
    with render.live() as line:
        line.update("training in one process, to compare with ...")
        for _ in _train(torch, model, frames, labels, reference):
            pass
        line.update(f"starting {_WORKERS} workers ...")
        gt.gpu_workers(_WORKERS)
        try:
            run, report = _sharded(torch, gt, sharded, frames, labels, line, is_shown=is_shown)
            picture = svg if svg is not None else cache_directory() / "demo-shard-plan.svg"
            make_directory(picture.parent)
            gt.explain(sharded).save(picture)
        finally:
            gt.shutdown()
    apart = max(abs(one - two) / abs(two) for one, two in zip(run.losses, reference.losses, strict=True))
    first, last = slice(None, _SAMPLES // _BATCH), slice(-(_SAMPLES // _BATCH), None)
    learns = sum(run.losses[last]) < sum(run.losses[first]) and sum(run.hits[last]) > sum(run.hits[first])
    report |= {
        "losses": run.losses,
        "hits": run.hits,
        "reference_losses": reference.losses,
        "largest_relative_difference": apart,
        "is_right": apart <= _CLOSE and learns,
        "learns": learns,
        "step_seconds": _median(run.seconds),
        "reference_step_seconds": _median(reference.seconds),
        "picture": str(picture),
    }
    if is_shown:
        _conclude(report)
    return report


def make_samples(torch: Any) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Frames `[samples, length, side, side]`, float64: noise, and a pattern in one of each; and which."""
    generator = torch.Generator().manual_seed(0)
    frames = 0.1 * torch.randn(_SAMPLES, _LENGTH, _SIDE, _SIDE, generator=generator, dtype=torch.float64)
    labels = torch.arange(_SAMPLES) % _LENGTH
    pattern = torch.randint(0, 2, (_SIDE, _SIDE), generator=generator) * 2.0 - 1.0
    frames[torch.arange(_SAMPLES), labels] += 0.1 * pattern
    return frames, labels


def make_model(torch: Any) -> Any:
    """Tokens of 40,000 pixels, positions that are trained, two layers of torch's own encoder, a class."""
    nn = torch.nn

    class PixelTransformer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Linear(_SIDE**2, 128)
            self.positions = nn.Parameter(0.1 * torch.randn(16, 128))
            self.layers = nn.ModuleList(
                nn.TransformerEncoderLayer(128, 4, 256, dropout=0.0, batch_first=True, norm_first=True)
                for _ in range(2)
            )
            self.classifier = nn.Linear(128, _LENGTH)

        def forward(self, frames: Any) -> Any:
            x = self.embedding(frames.flatten(2)) + self.positions[: frames.shape[1]]
            for layer in self.layers:
                x = layer(x)
            return self.classifier(x.mean(dim=1))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PixelTransformer().double()


def _train(
    torch: Any, model: Any, frames: Any, labels: Any, run: PixelRun, device: str = "cpu"
) -> Iterator[int]:
    """Train, one step after the other; gives the number of each epoch that is done."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(1)
    for epoch in range(1, _EPOCHS + 1):
        for batch in torch.randperm(len(frames), generator=generator).split(_BATCH):
            started = time.perf_counter()
            logits = model(frames[batch].to(device))
            loss = torch.nn.functional.cross_entropy(logits, labels[batch].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.losses.append(loss.item())
            run.hits.append(int((logits.detach().cpu().argmax(dim=1) == labels[batch]).sum()))
            run.seconds.append(time.perf_counter() - started)
        yield epoch


def _sharded(
    torch: Any, gt: Any, model: Any, frames: Any, labels: Any, line: Any, *, is_shown: bool
) -> tuple[PixelRun, dict[str, Any]]:
    run = PixelRun()
    model = model.to("workers")
    steps = len(frames) // _BATCH
    for epoch in _train(torch, model, frames, labels, run, "workers"):
        if is_shown:
            loss = sum(run.losses[-steps:]) / steps
            accuracy = sum(run.hits[-steps:]) / len(frames)
            line.write(f"epoch {epoch}: loss {loss:.4f}, accuracy {accuracy:.0%}\n")
        line.update("training on the workers ...")
    workers = gt.statistics()["workers"]
    return run, {
        "workers": len(workers),
        "calls": max(int(worker["calls"]) for worker in workers),
        "replayed_calls": min(int(worker["replayed_calls"]) for worker in workers),
        "embedding": str(gt.placement_of(model.embedding.weight)),
        "peak_bytes": max(int(worker["peak_bytes"]) for worker in workers),
    }


def _introduce(title: str, frames: Any, parameters: Any) -> None:
    nbytes = sum(one.numel() * one.element_size() for one in parameters)
    render.picture(
        f"outgrow demo: {title}",
        [
            (
                "Model",
                f"Pixel Transformer, {len(parameters)} parameter tensors, {format_bytes(nbytes)} in float64",
            ),
            (
                "Tokens",
                f"frames of {_SIDE} x {_SIDE} pixels, {_SIDE**2:,} numbers each; positions are trained",
            ),
            ("Data", f"{tuple(frames.shape)}, made up: noise, and a pattern in one frame of each sample"),
            ("Task", "say which frame has the pattern"),
            ("Workers", f"{_WORKERS} on this machine; nothing in the program says how to shard"),
        ],
    )
    click.echo()


def _conclude(report: dict[str, Any]) -> None:
    apart, count = report["largest_relative_difference"], len(report["losses"])
    verdict = "yes" if apart <= _CLOSE else "NO"
    placement = report["embedding"]
    held = {"R": "whole on each worker", "O(0)": "whole on the first worker alone"}.get(
        placement, f"in pieces along dim {placement[2:-1]}, one on each worker"
    )
    fastest = format_seconds(report["step_seconds"])
    render.picture(
        "",
        [
            ("Learned", "yes" if report["learns"] else "NO"),
            ("Same losses", f"{verdict}: {count} of one process within {apart:.0e} of them, in float64"),
            ("Plan", f"the embedding's weight (128 x {_SIDE**2:,}) lies {held}"),
            (
                "Replay",
                f"{report['replayed_calls']} of {report['calls']} stretches ran by a plan, verified before",
            ),
            ("Speed", f"{fastest} a step, {format_seconds(report['reference_step_seconds'])} in one process"),
            ("", "two workers on one machine share its cores: this shows that it works, not that it pays"),
            ("Picture", report["picture"]),
        ],
    )


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
