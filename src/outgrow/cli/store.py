"""`outgrow store`: what a checkpoint holds, whether it is sound, and other formats to safetensors."""

__all__ = ["SUBCOMMANDS", "store"]

# The help must not wait for torch, which takes most of a second: `outgrow.store` is imported where used.
import itertools
from pathlib import Path

import click

from outgrow.cli import render
from outgrow.cli.command_group import CommandEntry, CommandGroup
from outgrow.cli.json_output import json_option, print_json
from outgrow.names import matches, natural_key
from outgrow.quantities import format_bytes, format_count, parse_bytes

# Version of what `--json` prints; it goes up when a key changes its meaning or goes away.
_FORMAT_VERSION = 1

SUBCOMMANDS = {
    "ls": CommandEntry(
        attribute="outgrow.cli.store:list_tensors",
        help="List the weights of a checkpoint: name, dtype, shape, size, file.",
    ),
    "verify": CommandEntry(
        attribute="outgrow.cli.store:verify", help="Name every damaged, truncated or missing file and weight."
    ),
    "convert": CommandEntry(
        attribute="outgrow.cli.store:convert", help="Write a GGUF or torch checkpoint as safetensors files."
    ),
}
"""What follows `outgrow store`."""


@click.group(cls=CommandGroup, entries=SUBCOMMANDS)
@render.quiet_option
def store() -> None:
    """List, verify and convert checkpoints.

    A checkpoint is a safetensors file, an index of several, or the directory of a Hugging Face model.
    """


@click.command("ls")
@click.argument("path", type=click.Path(path_type=Path), metavar="PATH")
@click.option("--only", default="*", show_default=True, metavar="GLOB", help="Only weights whose names fit.")
@json_option
@render.quiet_option
def list_tensors(path: Path, only: str, as_json: bool) -> None:
    """List the weights at PATH: name, dtype, shape, size and file. Reads headers alone."""
    from outgrow.store import open_checkpoint

    checkpoint = open_checkpoint(path)
    metas = sorted(
        (meta for meta in checkpoint.tensors.values() if matches(meta.name, only)),
        key=lambda meta: natural_key(meta.name),
    )
    nbytes = sum(meta.nbytes for meta in metas)
    if as_json:
        tensors = [
            {
                "name": meta.name,
                "dtype": _name(meta.dtype),
                "shape": meta.shape,
                "file": meta.path.relative_to(checkpoint.root).as_posix(),
                "offset": meta.offset,
                "bytes": meta.nbytes,
            }
            for meta in metas
        ]
        print_json(
            _FORMAT_VERSION,
            {
                "root": str(checkpoint.root),
                "is_huggingface": checkpoint.is_huggingface,
                "metadata": dict(checkpoint.metadata),
                "bytes": nbytes,
                "tensors": tensors,
            },
        )
        return
    rows = [
        (meta.name, _name(meta.dtype), _size(meta.shape), format_bytes(meta.nbytes), meta.path.name)
        for meta in metas
    ]
    files = len({meta.path for meta in metas})
    weights = format_count(len(metas), "weight")
    title = f"{path}: {weights}, {format_bytes(nbytes)} in {format_count(files, 'file')}"
    render.table(title, ("name", "dtype", "shape", "size", "file"), rows)


@click.command()
@click.argument("path", type=click.Path(path_type=Path), metavar="PATH")
@click.option("--record", is_flag=True, help="Then write digests of all contents, if nothing is wrong.")
@json_option
@render.quiet_option
def verify(path: Path, record: bool, as_json: bool) -> int:
    """Check the checkpoint at PATH and name every damaged, truncated or missing file and weight.

    Contents are compared where digests are known: those of `--record` and of `convert`, or of the Hugging
    Face cache.

    Exit code: 1 where something is wrong.
    """
    from outgrow.store import record_digests
    from outgrow.store import verify as verify_checkpoint

    with render.progress() as listener:
        report = verify_checkpoint(path, listener=listener)
        recorded = record_digests(path, listener=listener) if record and report.is_sound else None
    if as_json:
        print_json(
            _FORMAT_VERSION,
            {
                "root": str(report.root),
                "is_sound": report.is_sound,
                "files": report.files,
                "tensors": report.tensors,
                "bytes": report.nbytes,
                "checked_tensors": report.checked_tensors,
                "damages": [
                    {"file": str(damage.path), "tensor": damage.tensor, "message": damage.message}
                    for damage in report.damages
                ],
                "recorded": None if recorded is None else str(recorded),
            },
        )
        return 0 if report.is_sound else 1
    if report.damages:
        count = len(report.damages)
        click.echo(f"{path}: {count} things are wrong" if count > 1 else f"{path}: one thing is wrong")
        for file, damages in itertools.groupby(report.damages, key=lambda damage: damage.path.name):
            click.echo("\n".join((file, *(f"  {damage.message}" for damage in damages))))
        return 1
    click.echo(
        f"{path}: sound; {format_count(report.tensors, 'weight')}, {format_bytes(report.nbytes)} in "
        f"{format_count(report.files, 'file')}; "
        f"contents of {report.checked_tensors} compared with their digests"
    )
    if recorded is not None:
        render.wrote(recorded)
    elif report.checked_tensors < report.tensors:
        render.note("without digests only headers and sizes can be checked; `--record` writes them")
    return 0


@click.command()
@click.argument("source", type=click.Path(path_type=Path), metavar="SOURCE")
@click.argument("target", type=click.Path(path_type=Path), metavar="TARGET")
@click.option(
    "--dtype", type=click.Choice(["bfloat16", "float16", "float32", "float64"]),
    show_default="bfloat16 for GGUF, each weight's own for torch files",
    help="What to write weights of floating point as.",
)  # fmt: skip
@click.option(
    "--file-size", default="2GB", show_default=True, metavar="SIZE", help="About how large a file may become."
)
@json_option
@render.quiet_option
def convert(source: Path, target: Path, dtype: str | None, file_size: str, as_json: bool) -> None:
    """Write the GGUF or torch checkpoint SOURCE as a directory TARGET of safetensors files.

    TARGET appears when it is complete. Started again after an interruption, the work goes on where it was.
    """
    import torch

    from outgrow.store.convert import convert as convert_checkpoint

    with render.progress() as listener:
        done = convert_checkpoint(
            source,
            target,
            dtype=None if dtype is None else getattr(torch, dtype),
            shard_bytes=parse_bytes(file_size),
            listener=listener,
        )
    if as_json:
        print_json(
            _FORMAT_VERSION,
            {
                "path": str(done.path),
                "tensors": done.tensors,
                "bytes": done.nbytes,
                "is_new": done.is_new,
                "resumed_files": done.resumed_shards,
            },
        )
        return
    what = "written" if done.is_new else "was there already, nothing to do"
    click.echo(f"{done.path}: {format_count(done.tensors, 'weight')}, {format_bytes(done.nbytes)}; {what}")


def _name(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "scalar"
