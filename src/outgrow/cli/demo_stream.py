"""The demo's first chapter: a language model answers while a tenth of its weights is in memory."""

__all__ = ["run_chapter"]

import gc
import importlib.util
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outgrow.cache import cache_directory
from outgrow.cli import render
from outgrow.cli.demo_model import DEMO_MODEL, prepare_model
from outgrow.cli.plan import write_picture
from outgrow.cli.process_memory import process_memory
from outgrow.cli.run import Meter
from outgrow.cli.word_wrap import WordWrap
from outgrow.errors import InputError
from outgrow.quantities import format_bytes, format_rate, parse_bytes

if TYPE_CHECKING:
    from outgrow.cli.generation import Generated
    from outgrow.cli.verification import Verification
    from outgrow.stream import Statistics


_WIDTH = 79


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast it ran, against what this machine allows."""

    seconds_per_token: float
    """Streamed, after the first token."""
    floor_seconds: float
    """The least a token could take: the longer of computing, as the model loaded whole did, and reading."""
    disk_bytes_per_second: float
    """The most that the disk gave: in probes before and after, and while the model ran."""
    is_disk_bound: bool
    """Whether reading is the longer of both."""
    resident_seconds_per_token: float
    """Loaded whole."""

    @property
    def share(self) -> float:
        """Of the speed that the floor allows; 1.0 is perfect."""
        return min(self.floor_seconds / self.seconds_per_token, 1.0)


class MemoryWatch:
    """The growth of this process, looked at after every token. Zero where the system does not say."""

    def __init__(self) -> None:
        gc.collect()
        self._before = process_memory()
        self.anonymous_bytes = 0
        """Most memory of its own beyond that at the beginning."""
        self.nbytes = 0
        """The same with pages of files, as which transformers has weights that are loaded whole."""

    def look(self) -> None:
        """Take note of the memory now."""
        now = process_memory()
        if now is not None and self._before is not None:
            self.anonymous_bytes = max(
                self.anonymous_bytes, now.anonymous_bytes - self._before.anonymous_bytes
            )
            self.nbytes = max(self.nbytes, now.nbytes - self._before.nbytes)


def run_chapter(
    *,
    title: str,
    budget: str,
    prompt: str,
    max_new_tokens: int,
    svg: Path | None,
    may_fetch: bool,
    is_shown: bool,
) -> dict[str, Any]:
    """Run the chapter; what it found, ready for JSON. Prints unless not `is_shown`.

    Raises:
        InputError: the budget cannot be, the model cannot be had, or transformers is not installed.
        StoreError: no space, or damaged files.
    """
    budget_bytes = parse_bytes(budget)
    if importlib.util.find_spec("transformers") is None:  # said before anything is downloaded
        raise InputError(
            "the demo runs a Hugging Face model with transformers, which is not installed",
            hint="pip install 'outgrow[hf]'",
        )
    model = prepare_model(may_fetch=may_fetch)
    # torch and transformers are loaded only now
    from outgrow.cli.generation import Sampling, encode_prompt, open_tokenizer
    from outgrow.cli.verification import compare
    from outgrow.store import open_checkpoint
    from outgrow.stream.prediction import probe_disk
    from outgrow.stream.preview import preview_model

    checkpoint = open_checkpoint(model)
    before = probe_disk(checkpoint.files)[0]
    tokenizer = open_tokenizer(model)
    inputs = encode_prompt(tokenizer, prompt)
    sampling = Sampling(max_new_tokens=max_new_tokens)
    if is_shown:
        _introduce(title, checkpoint.nbytes, budget_bytes, prompt)
    answer, text, figures, memory, kind = _streamed(
        model, budget_bytes, tokenizer, inputs, sampling, is_shown=is_shown
    )
    with render.live() as line:
        line.update("asking the same model, loaded whole, the same ...")
        reference, how, whole_memory = _whole(
            model, kind, tokenizer, inputs, sampling, figures.weights_bytes, line.update
        )
    checked = compare(answer, reference, reference=how)
    preview = preview_model(model, budget_bytes=budget_bytes)
    picture = svg if svg is not None else cache_directory() / "demo-plan.svg"
    write_picture(preview, picture)
    speed = _speed(answer, reference, figures, [before, preview.prediction.bytes_per_second])
    if is_shown:
        _conclude(checked, figures, speed, (memory, whole_memory), picture)
    return {
        "model": DEMO_MODEL.name,
        "prompt": prompt,
        "text": text,
        "tokens": list(answer.tokens),
        "is_right": checked.is_identical,
        "verification": checked.as_dict(),
        "statistics": figures.as_dict(),
        "speed": {**asdict(speed), "share_of_floor": speed.share},
        "memory": {
            "streamed": {"anonymous_bytes": memory.anonymous_bytes, "bytes": memory.nbytes},
            "whole": {"anonymous_bytes": whole_memory.anonymous_bytes, "bytes": whole_memory.nbytes},
        },
        "picture": str(picture),
    }


def _streamed(
    model: Path, budget_bytes: int, tokenizer: Any, inputs: Any, sampling: Any, *, is_shown: bool
) -> tuple["Generated", str, "Statistics", MemoryWatch, type]:
    import torch

    from outgrow.cli.generation import TokenText, generate
    from outgrow.stream import closing, load, statistics

    memory = MemoryWatch()
    with closing(load(model, budget_bytes)) as streamed, render.live() as line:
        meter = Meter(streamed)
        line.update("reading the prompt ...")

        def step() -> None:
            memory.look()
            line.update(meter.line())

        wrap = WordWrap(line.write if is_shown else lambda _bit: None, width=_WIDTH)
        text = TokenText(tokenizer, wrap.write, step)
        answer = generate(streamed, inputs, sampling, text, keeps_logits=True, device=torch.device("cpu"))
        wrap.flush()
        if is_shown:
            line.write("\n\n")
        figures = statistics(streamed)
    return answer, text.text, figures, memory, type(streamed)


def _whole(
    model: Path,
    kind: type,
    tokenizer: Any,
    inputs: Any,
    sampling: Any,
    weights_bytes: int,
    tell: Callable[[str], None],
) -> tuple["Generated", str, MemoryWatch]:
    import torch

    from outgrow.cli.generation import TokenText, generate
    from outgrow.cli.verification import resident_model

    memory = MemoryWatch()
    device = torch.device("cpu")
    with resident_model(model, kind, torch.bfloat16, weights_bytes, device) as (whole, how):
        text = TokenText(tokenizer, lambda _bit: None, memory.look)
        reference = generate(whole, inputs, sampling, text, keeps_logits=True, device=device)
    tell("measuring the disk once more ...")
    return reference, how, memory


def _speed(
    answer: "Generated", reference: "Generated", figures: "Statistics", rates: list[float | None]
) -> Speed:
    rate = max(figures.bytes_per_second, *(rate or 0.0 for rate in rates))
    reading = figures.streamed_bytes_per_pass / rate if rate else 0.0
    # The machine may have been busier while the model ran whole than while it was streamed.
    stalled = figures.stall_seconds / max(figures.passes, 1)
    computing = min(reference.seconds_per_token, max(answer.seconds_per_token - stalled, 0.0))
    return Speed(
        seconds_per_token=answer.seconds_per_token,
        floor_seconds=max(reading, computing, 1e-9),
        disk_bytes_per_second=rate,
        is_disk_bound=reading >= computing,
        resident_seconds_per_token=reference.seconds_per_token,
    )


def _introduce(title: str, weights_bytes: int, budget_bytes: int, prompt: str) -> None:
    budget = f"{format_bytes(budget_bytes)} in memory, {_share(budget_bytes, weights_bytes)}"
    render.picture(
        f"outgrow demo: {title}",
        [
            ("Model", f"{DEMO_MODEL.name} by {DEMO_MODEL.source}, {DEMO_MODEL.license}"),
            ("Weights", f"{format_bytes(weights_bytes)} on disk, bfloat16"),
            ("Budget", budget),
            ("Prompt", prompt),
        ],
    )
    click.echo()


def _conclude(
    checked: "Verification",
    figures: "Statistics",
    speed: Speed,
    memory: tuple[MemoryWatch, MemoryWatch],
    picture: Path,
) -> None:
    saved = 1 - figures.peak_bytes / figures.weights_bytes
    read, rate = format_bytes(figures.streamed_bytes_per_pass), format_rate(speed.disk_bytes_per_second)
    own, whole = (format_bytes(watch.nbytes) for watch in memory)
    rows = [
        ("Same answer", _verdict(checked)),
        (
            "Memory",
            f"{format_bytes(figures.peak_bytes)} of weights at most, {saved:.0%} less than all of them",
        ),
        ("", f"the process grew by {own}, and by {whole} loaded whole"),
        ("Disk", f"{read} for each token, from a disk that gives {rate}"),
        (
            "Speed",
            f"{1 / speed.seconds_per_token:.1f} tokens/s: {speed.share:.0%} of the "
            f"{1 / speed.floor_seconds:.1f} that disk and processor allow",
        ),
        ("", f"{1 / speed.resident_seconds_per_token:.1f} tokens/s loaded whole"),
        ("Picture", str(picture)),
    ]
    render.picture("", [row for row in rows if memory[1].nbytes or not row[1].startswith("the process")])


def _verdict(checked: "Verification") -> str:
    how = "loaded whole" if checked.reference == "resident" else "run block by block"
    if checked.is_identical:
        return f"yes: {checked.tokens} tokens and {checked.logits:,} logits bit for bit as {how}"
    return (
        f"NO: {checked.equal_tokens} of {checked.tokens} tokens and {checked.equal_logits:,} of "
        f"{checked.logits:,} logits as {how}"
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%} of them" if part < whole else "all of them"
