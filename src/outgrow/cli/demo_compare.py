"""The demo's second chapter: two runs of a language model match, until one line is wrong."""

__all__ = ["run_chapter"]

import gc
import importlib.util
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outgrow.cache import cache_directory
from outgrow.cli import render
from outgrow.cli.comparison import show_briefly
from outgrow.cli.demo_model import DEMO_MODEL, prepare_model
from outgrow.cli.output_files import write_text
from outgrow.errors import InputError

if TYPE_CHECKING:
    import torch

_TOO_SMALL = 10
"""By how much the base of the rotary embedding is too small in the run that is wrong."""


def run_chapter(
    *,
    title: str,
    prompt: str,
    may_fetch: bool,
    is_shown: bool,
    **_options: Any,
) -> dict[str, Any]:
    """Run the chapter; what it found, ready for JSON. Prints unless not `is_shown`.

    Raises:
        InputError: the model cannot be had, or transformers is not installed.
        StoreError: no space, or damaged files.
    """
    if importlib.util.find_spec("transformers") is None:
        raise InputError(
            "the demo runs a Hugging Face model with transformers, which is not installed",
            hint="pip install 'outgrow[hf]'",
        )
    model = prepare_model(may_fetch=may_fetch)
    import torch  # torch and transformers are loaded only now

    from outgrow.compare import compare, report

    page = cache_directory() / "demo-compare.html"
    with tempfile.TemporaryDirectory(prefix="outgrow-demo-") as folder:
        runs = {name: Path(folder) / name for name in ("fp32", "bf16", "wrong-base")}
        with render.live() as line:
            line.update("recording every module in float32 ...")
            _record(model, prompt, torch.float32, runs["fp32"])
            line.update("recording the same in bfloat16 ...")
            base = _record(model, prompt, torch.bfloat16, runs["bf16"])
            line.update("recording with a wrong base of the rotary embedding ...")
            _record(model, prompt, torch.bfloat16, runs["wrong-base"], base=base / _TOO_SMALL)
        if is_shown:
            _introduce(title, base)
        with compare(expected=runs["fp32"], actual=runs["bf16"]) as clean:
            _show(clean, "float32 against bfloat16", is_shown=is_shown)
            clean_report = report.as_dict(clean)
        with compare(expected=runs["fp32"], actual=runs["wrong-base"]) as broken:
            _show(broken, "float32 against bfloat16 with one number wrong", is_shown=is_shown)
            broken_report = report.as_dict(broken)
            write_text(page, report.as_html(broken))
    first = broken_report["first_divergence"]
    is_right = clean_report["verdict"] == "match" and first is not None and "rotary" in first["expected"]
    if is_shown:
        render.picture("", [("Found", _verdict(is_right=is_right)), ("Report", str(page))])
    return {
        "model": DEMO_MODEL.name,
        "base": base,
        "planted_base": base / _TOO_SMALL,
        "is_right": is_right,
        "clean": clean_report,
        "planted": broken_report,
        "report": str(page),
    }


def _record(
    folder: Path, prompt: str, dtype: "torch.dtype", target: Path, *, base: float | None = None
) -> float:
    """Record the outputs of every module in one pass over the prompt; the base of the rotary embedding."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as hf_logging

    from outgrow.capture import record
    from outgrow.cli.generation import encode_prompt, open_tokenizer

    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    inputs = encode_prompt(open_tokenizer(folder), prompt)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    model.eval()
    rotary = model.model.rotary_emb
    own = float(model.config.rope_parameters["rope_theta"])
    if base is not None:
        # The one line that is wrong.
        rotary.inv_freq = base ** -(torch.arange(0, rotary.inv_freq.numel()) / rotary.inv_freq.numel())
    with torch.no_grad(), record(model, target):
        model(**inputs, use_cache=False)
    del model
    gc.collect()
    return own


def _introduce(title: str, base: float) -> None:
    render.picture(
        f"outgrow demo: {title}",
        [
            ("Model", f"{DEMO_MODEL.name} by {DEMO_MODEL.source}, {DEMO_MODEL.license}"),
            ("Recorded", "the outputs of every module, in float32 and in bfloat16"),
            ("Planted", f"a rotary embedding of base {base / _TOO_SMALL:,.0f}; the model's is {base:,.0f}"),
        ],
    )


def _show(comparison: Any, what: str, *, is_shown: bool) -> None:
    if is_shown:
        click.echo(f"\n{what}")
        show_briefly(comparison)


def _verdict(*, is_right: bool) -> str:
    return "yes: the first tensor that differs is the rotary embedding's" if is_right else "NO"
