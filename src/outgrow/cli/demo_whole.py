"""The demo's last chapter: one language model through all four rooms, and one table of what changed."""

__all__ = ["run_chapter"]

import importlib.util
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outgrow.cache import cache_directory
from outgrow.cli import render
from outgrow.cli.demo_model import DEMO_MODEL, prepare_model
from outgrow.cli.output_files import write_text
from outgrow.cli.rooms_picture import draw_rooms
from outgrow.errors import InputError
from outgrow.quantities import format_bytes, format_seconds

if TYPE_CHECKING:
    from outgrow.cli.one_model_in_four_rooms import Row

_DOING = (
    "streaming it ...",
    "sharding it ...",
    "growing it ...",
    "streaming what has grown ...",
    "breaking it ...",
)


def run_chapter(
    *, title: str, prompt: str, svg: Path | None, may_fetch: bool, is_shown: bool, **_options: Any
) -> dict[str, Any]:
    """Run the chapter; what it found, ready for JSON. Prints unless not `is_shown`.

    Raises:
        InputError: the model cannot be had, or transformers is not installed.
        StoreError: no space, or damaged files.
        RemoteError: a worker was lost.
    """
    if importlib.util.find_spec("transformers") is None:
        raise InputError(
            "the demo runs a Hugging Face model with transformers, which is not installed",
            hint="pip install 'outgrow[hf]'",
        )
    model = prepare_model(may_fetch=may_fetch)
    # torch, transformers and the rooms are loaded only now
    from transformers.utils import logging as hf_logging

    from outgrow.cli.generation import encode_prompt, open_tokenizer
    from outgrow.cli.one_model_in_four_rooms import visit
    from outgrow.compare import compare, report

    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    tokens = encode_prompt(open_tokenizer(model), prompt)["input_ids"]
    page = cache_directory() / "demo-whole.html"
    picture = svg if svg is not None else cache_directory() / "demo-whole.svg"
    for file in (page, picture):
        file.parent.mkdir(parents=True, exist_ok=True)
    if is_shown:
        _introduce(title)
    with tempfile.TemporaryDirectory(prefix="outgrow-demo-") as name:
        folder = Path(name)
        rows: Sequence[Row] = ()
        with render.live() as line:
            line.update("recording it in memory, twice ...")
            for doing, rooms in zip(_DOING, visit(model, folder, tokens), strict=True):
                rows = tuple(rooms.rows)
                line.update(doing)
            line.update("looking for the fault ...")
            with compare(expected=folder / "resident", actual=folder / "faulty") as comparison:
                sentence, fault = report.sentence(comparison), report.as_dict(comparison)
                write_text(page, report.as_html(comparison))
    write_text(picture, draw_rooms(rows))
    first = fault["first_divergence"]
    is_found = first is not None and ".self_attn" in first["expected"]
    is_right = is_found and all(row.is_kept for row in rows)
    if is_shown:
        _conclude(rows, sentence, page, picture)
    return {
        "model": DEMO_MODEL.name,
        "is_right": is_right,
        "rooms": [asdict(row) for row in rows],
        "planted": {"sentence": sentence, "first_divergence": first, "report": str(page)},
        "picture": str(picture),
    }


def _introduce(title: str) -> None:
    render.picture(
        f"outgrow demo: {title}",
        [
            ("Model", f"{DEMO_MODEL.name} by {DEMO_MODEL.source}, {DEMO_MODEL.license}, in float32"),
            ("Recorded", "what every module gives, in every room"),
            ("Compared", "with the model as it is in memory"),
        ],
    )
    click.echo()


def _conclude(rows: "Sequence[Row]", sentence: str, page: Path, picture: Path) -> None:
    render.table(
        "",
        ("Room", "Promise", "Found", "First divergence", "Weights in memory", "Seconds"),
        [
            (
                row.room,
                row.promise,
                row.found if row.is_kept else f"NOT KEPT: {row.found}",
                row.first_divergence or "none",
                format_bytes(row.memory_bytes),
                format_seconds(row.seconds),
            )
            for row in rows
        ],
        styles=[None if row.is_kept else "bold red" for row in rows],
        right=("Weights in memory", "Seconds"),
    )
    click.echo("\nThen one attention scale is made a tenth too large:")
    click.echo(f"{sentence}\n")
    render.picture("", [("Report", str(page)), ("Picture", str(picture))])
