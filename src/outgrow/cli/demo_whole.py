"""The demo's last chapter: one language model through all four rooms, and one table of what changed."""

__all__ = ["run_chapter"]

import contextlib
import importlib.util
import json
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outgrow.cache import cache_directory
from outgrow.cli import render
from outgrow.cli.demo_model import DEMO_MODEL, prepare_model
from outgrow.cli.output_files import check_writable, write_text
from outgrow.cli.rooms_picture import draw_rooms, found_text, promise_text
from outgrow.errors import InputError, StoreError
from outgrow.quantities import format_bytes, format_seconds

if TYPE_CHECKING:
    from outgrow.cli.one_model_in_four_rooms import Row

_STEPS = 7
"""Of which `visit` tells."""
_RECORDINGS_BYTES = 400_000_000
"""What six recordings of one pass take, and room to spare."""
_NOTES = """\
Rounding: how far compare lets an error go at its place; beyond 1.00 it is a difference. Memory: the most that
weights took; on workers, all that the fuller one held. Pass: the time of one that is not recorded."""


def run_chapter(
    *, title: str, prompt: str, svg: Path | None, may_fetch: bool, is_shown: bool, keep: Path | None = None,
    **_options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Run the chapter; what it found, ready for JSON. Prints unless not `is_shown`.

    Args:
        title: what the chapter is called.
        prompt: what the model reads.
        svg: where the picture goes; the cache where left out.
        may_fetch: do not ask before the model is fetched.
        is_shown: print.
        keep: a folder for the recordings, which are thrown away otherwise.

    Raises:
        InputError: the model cannot be had, transformers is not installed, or a file cannot be written.
        StoreError: no space, or damaged files.
        RemoteError: a worker was lost.
    """
    from outgrow.store.writer import make_directory

    if importlib.util.find_spec("transformers") is None:
        raise InputError(
            "the demo runs a Hugging Face model with transformers, which is not installed",
            hint="pip install 'outgrow[hf]'",
        )
    model = prepare_model(may_fetch=may_fetch)
    page = cache_directory() / "demo-whole.html"
    picture = svg if svg is not None else cache_directory() / "demo-whole.svg"
    make_directory(cache_directory())
    for file in (page, picture):
        check_writable(file)
    if is_shown:
        _introduce(title)
    with _folder(keep, model) as folder:
        rows = _visit(model, folder, prompt, is_shown=is_shown)
        sentence, fault = _look_for_the_fault(folder, page)
    write_text(picture, draw_rooms(rows))
    is_found = fault is not None and fault["expected"].startswith(f"{_broken_layer(model)}.self_attn.")
    is_right = is_found and all(row.is_kept for row in rows)
    if is_shown:
        _conclude(rows, sentence, is_found=is_found)
        files: list[tuple[str, object]] = [("Report", page), ("Picture", picture)]
        if keep is not None:
            files.append(
                ("Look", shlex.join(["outgrow", "web", str(keep / "resident"), str(keep / "faulty")]))
            )
        render.picture("", files)
    return {
        "model": DEMO_MODEL.name,
        "is_right": is_right,
        "rooms": [asdict(row) for row in rows],
        "planted": {
            "is_found": is_found,
            "sentence": sentence,
            "first_divergence": fault,
            "report": str(page),
        },
        "picture": str(picture),
        "recordings": None if keep is None else str(keep),
    }


@contextlib.contextmanager
def _folder(keep: Path | None, model: Path) -> Iterator[Path]:
    """Where recordings go: gone afterwards, unless they are to be kept."""
    if keep is not None:
        from outgrow.store.writer import make_directory

        # Asked before the folder is made: a refusal leaves nothing behind.
        above = next(place for place in (keep, *keep.absolute().parents) if place.exists())
        _check_space(above, model, another="another folder for --keep")
        make_directory(keep)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="outgrow-demo-", ignore_cleanup_errors=True) as name:
        _check_space(Path(name).parent, model, another="another directory in TMPDIR")
        yield Path(name)


def _check_space(folder: Path, model: Path, *, another: str) -> None:
    # The grown model is written once in float32, to be streamed from there: twice the bytes of the files.
    weights = 2 * sum(file.stat().st_size for file in model.glob("*.safetensors"))
    needed, free = weights + _RECORDINGS_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise StoreError(
            f"no space in {str(folder)!r}: {format_bytes(needed)} are needed for a while, "
            f"{format_bytes(free)} are free",
            hint=f"free some space, or name {another}",
        )


def _visit(model: Path, folder: Path, prompt: str, *, is_shown: bool) -> "list[Row]":
    """A row for each promise, told of as soon as it is known."""
    # torch, transformers and the rooms are loaded only now
    from transformers.utils import logging as hf_logging

    from outgrow.cli.generation import encode_prompt, open_tokenizer
    from outgrow.cli.one_model_in_four_rooms import visit

    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    tokens = encode_prompt(open_tokenizer(model), prompt)["input_ids"]
    rows: list[Row] = []
    with render.live() as line:
        step = 0

        def tell(doing: str) -> None:
            nonlocal step
            step += 1
            line.update(f"{step} of {_STEPS}: {doing} ...")

        with contextlib.closing(visit(model, folder, tokens, tell)) as visited:
            for row in visited:
                rows.append(row)
                if is_shown:
                    mark = "kept" if row.is_kept else "NOT KEPT"
                    line.write(f"  {row.room + ':':18}{row.how}; {promise_text(row)}: {mark}\n")
    return rows


def _look_for_the_fault(folder: Path, page: Path) -> tuple[str, dict[str, Any] | None]:
    """What compare says of the recording that is wrong, as a sentence and as a page; the first divergence."""
    from outgrow.compare import compare, report

    with render.live() as line:
        line.update("looking for the fault ...")
        with compare(expected=folder / "resident", actual=folder / "faulty") as comparison:
            write_text(page, report.as_html(comparison))
            first: dict[str, Any] | None = report.as_dict(comparison)["first_divergence"]
            return report.sentence(comparison), first


def _broken_layer(model: Path) -> str:
    layers = json.loads((model / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"]
    return f"model.layers.{layers // 2}"


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


def _conclude(rows: "list[Row]", sentence: str, *, is_found: bool) -> None:
    click.echo()
    render.table(
        "",
        ("Room", "Promise", "Found", "First divergence", "Memory", "Pass", "Recorded"),
        [
            (
                row.room,
                promise_text(row),
                found_text(row) if row.is_kept else f"NOT KEPT: {found_text(row)}",
                row.first_divergence or "none",
                format_bytes(row.memory_bytes),
                format_seconds(row.seconds),
                "" if row.recorded_seconds is None else format_seconds(row.recorded_seconds),
            )
            for row in rows
        ],
        styles=[None if row.is_kept else "bold red" for row in rows],
        right=("Memory", "Pass", "Recorded"),
    )
    click.echo(f"\n{_NOTES}\n\nThen one attention scale is made a tenth too large. {sentence}")
    broken = sum(not row.is_kept for row in rows)
    if broken:
        click.echo(f"NOT RIGHT: {broken} of {len(rows)} promises were not kept.")
    if not is_found:
        click.echo("NOT RIGHT: this is not where the fault was planted.")
    click.echo()
