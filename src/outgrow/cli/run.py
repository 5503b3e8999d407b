"""`outgrow run`: generate text with a model larger than the budget, and check it if asked."""

__all__ = ["Meter", "Streamed", "run", "verdict"]

import contextlib
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from outgrow.cli import render
from outgrow.cli.json_output import as_json_text, json_option, print_json
from outgrow.cli.model_options import budget_option, device_option, dtype_option, model_argument, seed_option
from outgrow.cli.output_files import check_writable, write_text
from outgrow.cli.word_wrap import WordWrap
from outgrow.quantities import format_bytes, format_rate, format_seconds

if TYPE_CHECKING:
    from torch import nn

    from outgrow.cli.generation import Generated
    from outgrow.cli.verification import Verification
    from outgrow.stream import Statistics

# Version of what `--json` and `--stats` write; it goes up when a key changes its meaning or goes away.
_FORMAT_VERSION = 1
_BACKENDS = ("auto", "gpudirect", "cuda", "mmap")


@click.command()
@model_argument
@budget_option
@click.option("--prompt", required=True, metavar="TEXT", help="What to answer; - reads it from stdin.")
@click.option(
    "--max-new-tokens",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    metavar="N",
    help="Most tokens to generate.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    metavar="X",
    help="0 takes the likeliest token; above, tokens are drawn.",
)
@seed_option
@click.option("--no-chat", is_flag=True, help="Leave the tokenizer's chat template out.")
@device_option
@click.option(
    "--backend",
    type=click.Choice(_BACKENDS),
    default="auto",
    show_default=True,
    help="How weights come from the disk.",
)
@dtype_option
@click.option(
    "--verify", is_flag=True, help="Generate again without streaming; compare every token, logit and module."
)
@click.option("--check", is_flag=True, help="Compare the files with their known digests first.")
@click.option(
    "--stats",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the JSON object, without the text, to a file.",
)
@json_option
@click.option("--trust-remote-code", is_flag=True, help="Let Python code run that the model brings along.")
@render.quiet_option
def run(
    model: str, budget: str, prompt: str, max_new_tokens: int, temperature: float, seed: int, no_chat: bool,
    device: str | None, backend: str, dtype: str | None, check: bool, verify: bool, stats: Path | None,
    as_json: bool, trust_remote_code: bool,
) -> int:  # fmt: skip
    """Generate text with MODEL while at most SIZE bytes of its weights are in memory.

    MODEL is the directory of a Hugging Face model, a file in it, or a name on the Hub.

    Exit code: 1 where --verify finds that a token, a logit or what a module gave differs.
    """
    if prompt == "-":
        prompt = sys.stdin.read()
    check_writable(stats)
    # torch and transformers are loaded only when the command runs
    from outgrow.cli.generation import Sampling, TokenText, encode_prompt, generate, open_tokenizer
    from outgrow.cli.module_check import compare_first_passes, record_first_pass
    from outgrow.stream import Config, closing, load, statistics
    from outgrow.stream.model_path import find_model

    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    config = Config(backend=backend)
    render.note(f"opening {model} ...")
    files = find_model(model, trust_remote_code=trust_remote_code)
    tokenizer = open_tokenizer(files.folder, trust_remote_code=trust_remote_code)
    inputs = encode_prompt(tokenizer, prompt, is_chat=not no_chat)

    def stream(folder: Path | None) -> Streamed:
        streamed: Any = load(
            model, budget, device, dtype, config, trust_remote_code=trust_remote_code, check_digests=check
        )
        with closing(streamed), render.live() as line:
            meter = Meter(streamed)
            line.update(f"reading a prompt of {inputs['input_ids'].shape[-1]} tokens ...")
            tell = (lambda _bit: None) if as_json else line.write
            # A terminal breaks words anywhere; files and pipes get the text as it is.
            wrap = WordWrap(tell, width=shutil.get_terminal_size().columns - 1)
            is_wrapped = sys.stdout.isatty() and not as_json
            text = TokenText(tokenizer, wrap.write if is_wrapped else tell, lambda: line.update(meter.line()))
            where = streamed.device
            with contextlib.ExitStack() as recording:
                if folder is not None:
                    recording.enter_context(record_first_pass(streamed, folder / "streamed"))
                generated = generate(streamed, inputs, sampling, text, keeps_logits=verify, device=where)
            wrap.flush()
            if not as_json:
                line.write("\n")
            return Streamed(
                generated=generated, text=text.text, figures=statistics(streamed),
                kind=type(streamed), device=where, dtype=streamed.dtype,
            )  # fmt: skip

    checked = None
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="outgrow-verify-"))) if verify else None
        # A function, so that nothing of the streamed model is left when the reference needs the memory.
        done = stream(folder)
        _note_speed(done)
        if folder is not None:
            from outgrow.cli.verification import compare, resident_model

            render.note("generating again without streaming ...")
            mute = TokenText(tokenizer, lambda _bit: None, lambda: None)
            with resident_model(
                model, done.kind, done.dtype, done.figures.weights_bytes, done.device,
                trust_remote_code=trust_remote_code,
            ) as (whole, how), record_first_pass(whole, folder / "whole"):  # fmt: skip
                expected = generate(whole, inputs, sampling, mute, keeps_logits=True, device=done.device)
            modules = compare_first_passes(folder / "streamed", folder / "whole")
            checked = compare(done.generated, expected, reference=how, modules=modules)
            render.note(verdict(checked))
    report = _report(model, done, checked)
    if stats is not None:
        kept = {key: value for key, value in report.items() if key != "text"}
        write_text(stats, as_json_text(_FORMAT_VERSION, kept))
        render.wrote(stats)
    if as_json:
        print_json(_FORMAT_VERSION, report)
    return 0 if checked is None or checked.is_identical else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """What is left of a run when its model is gone."""

    generated: "Generated"
    text: str
    figures: "Statistics"
    kind: Any
    """Class of the model."""
    device: Any
    """Where it computed."""
    dtype: Any
    """In which dtype."""


class Meter:
    """What the live line says of a streamed model."""

    def __init__(self, model: "nn.Module") -> None:
        self._model = model
        self._marks: list[tuple[float, int]] = []
        self._mark()

    def line(self) -> str:
        """Resident bytes, read rate and tokens a second over the last few tokens."""
        figures = self._mark()
        (began, read_before), (now, read) = self._marks[0], self._marks[-1]
        seconds = max(now - began, 1e-9)
        held = figures.resident_bytes + figures.window_bytes + figures.staging_bytes
        return (
            f"{format_bytes(held)} of {format_bytes(figures.weights_bytes)} in memory · "
            f"reading {format_rate((read - read_before) / seconds)} · "
            f"{(len(self._marks) - 1) / seconds:.1f} tokens/s"
        )

    def _mark(self) -> "Statistics":
        from outgrow.stream import statistics

        figures = statistics(self._model)
        self._marks.append((time.perf_counter(), figures.bytes_read))
        del self._marks[:-12]
        return figures


def verdict(checked: "Verification") -> str:
    """A verification in one sentence."""
    how = "loaded whole" if checked.reference == "resident" else "run block by block"
    modules = "" if checked.modules is None else f"; {checked.modules.sentence()}"
    if checked.is_identical:
        counts = f"all {checked.tokens:,} tokens and {checked.logits:,} logits"
        return f"identical: {counts} are those of the model {how}{modules}"
    return (
        f"DIFFERENT: {checked.equal_tokens:,} of {checked.tokens:,} tokens and {checked.equal_logits:,} of "
        f"{checked.logits:,} logits are those of the model {how}; largest difference {checked.max_abs:g}"
        f"{modules}"
    )


def _note_speed(done: Streamed) -> None:
    generated, figures = done.generated, done.figures
    count, seconds = len(generated.tokens), generated.prompt_seconds + generated.decode_seconds
    rate, ratio = 1 / generated.seconds_per_token, figures.floor_ratio
    share = f", {1 / ratio:.0%} of what disk and processor allow" if ratio else ""
    most, whole = format_bytes(figures.peak_bytes), format_bytes(figures.weights_bytes)
    render.note(
        f"{count} tokens in {format_seconds(seconds)}, {rate:.1f} a second{share}\n"
        f"at most {most} of {whole} of weights in memory"
    )


def _report(model: str, done: Streamed, checked: "Verification | None") -> dict[str, Any]:
    return {
        "model": model,
        "text": done.text,
        "tokens": list(done.generated.tokens),
        "prompt_tokens": done.generated.prompt_tokens,
        "prompt_seconds": done.generated.prompt_seconds,
        "seconds_per_token": done.generated.seconds_per_token,
        "statistics": done.figures.as_dict(),
        "verification": None if checked is None else checked.as_dict(),
    }
