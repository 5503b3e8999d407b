"""`outgrow evolve run`: a training run that changes its model, told line by line."""

__all__ = ["run"]

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outgrow.cli import render
from outgrow.cli.json_output import json_option, print_json
from outgrow.cli.model_options import device_option, seed_option
from outgrow.cli.value_completion import complete_names_or_paths
from outgrow.errors import InputError
from outgrow.quantities import format_count, format_seconds

if TYPE_CHECKING:
    from outgrow.cli.live_line import LiveLine
    from outgrow.evolve.run import RunConfiguration, RunResult

# Version of what `--json` prints; it goes up when a key changes its meaning or goes away.
_FORMAT_VERSION = 1
_DATA = ("digits", "fashion-mnist", "mnist")
_MODELS = ("cnn", "resnet")
_POLICIES = ("greedy", "uniform", "schedule", "attention")
_UNITS = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_COLUMNS = f"{'FLOPs':>8}  {'pictures':>9}  {'loss':>7}  {'accuracy':>8}  {'parameters':>10}  what"


@click.command()
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, metavar="DIR",
              help="Where everything is written; the same command again goes on.")  # fmt: skip
@click.option("--data", default="digits", show_default=True, metavar="NAME|DIR",
              shell_complete=complete_names_or_paths(*_DATA),
              help=f"{', '.join(_DATA)}, or a folder of IDX or npz files.")  # fmt: skip
@click.option("--data-dir", type=click.Path(path_type=Path), metavar="DIR",
              help="Where the files of a named data set are.")  # fmt: skip
@click.option("--model", default="cnn", show_default=True, metavar="NAME|FILE:NAME",
              shell_complete=complete_names_or_paths(*_MODELS),
              help=f"{', '.join(_MODELS)}, or a script and its function: nets.py:make_net.")  # fmt: skip
@click.option("--policy", type=click.Choice(_POLICIES), default="greedy", show_default=True,
              help="Who decides what changes.")  # fmt: skip
@click.option("--budget-flops", default="5e10", show_default=True, metavar="FLOPS",
              help="FLOPs to train with, deciding included: 5e10, 2T.")  # fmt: skip
@click.option("--decisions", type=click.IntRange(min=0), default=8, show_default=True, metavar="N",
              help="How often the policy is asked.")  # fmt: skip
@click.option("--max-pictures", type=click.IntRange(min=1), metavar="N", show_default="all",
              help="Most pictures to train on.")  # fmt: skip
@click.option("--max-parameters", type=click.IntRange(min=1), metavar="N", show_default="no limit",
              help="Most parameters that the model may grow to.")  # fmt: skip
@click.option("--lr", type=float, default=3e-3, show_default=True, metavar="X", help="Learning rate of Adam.")
@click.option("--batch-size", type=click.IntRange(min=2), default=64, show_default=True, metavar="N",
              help="Pictures of one step.")  # fmt: skip
@seed_option
@device_option
@json_option
@render.quiet_option
def run(
    out: Path,
    data: str,
    data_dir: Path | None,
    model: str,
    policy: str,
    budget_flops: str,
    decisions: int,
    max_pictures: int | None,
    max_parameters: int | None,
    lr: float,
    batch_size: int,
    seed: int,
    device: str | None,
    as_json: bool,
) -> None:
    """Train a model that grows while it trains, within a budget of FLOPs.

    A run that was stopped, with Ctrl-C, by a kill or by a power cut, goes on with the same command, and comes
    out as if it had never been stopped. Accuracy is that on the validation split; the test split is opened
    once, in the end.
    """
    flops = _count(budget_flops)
    from outgrow.evolve.run import RunConfiguration, grow  # torch is loaded only when the command runs

    script, colon, factory = model.rpartition(":")
    configuration = RunConfiguration(
        data=data if not Path(data).expanduser().is_dir() else str(Path(data).expanduser().absolute()),
        data_folder=None if data_dir is None else str(data_dir.expanduser().absolute()),
        model=f"{Path(script).expanduser().absolute()}:{factory}" if colon else model,
        policy=policy,
        train=max_pictures,
        max_parameters=max_parameters,
        seed=seed,
        device=device or "cpu",
        budget_flops=flops,
        decisions=decisions,
        learning_rate=lr,
        batch_size=batch_size,
    )
    _check_device(configuration.device)
    with render.live() as line:
        table = _Table(line, configuration, is_mute=as_json)
        result = grow(configuration, out, listener=table.add)
    _conclude(result, configuration, out, table, as_json=as_json)


class _Table:
    """A line for each entry of the log; below it, how far the run is."""

    def __init__(self, line: "LiveLine", configuration: "RunConfiguration", *, is_mute: bool) -> None:
        self._line, self._budget, self._is_mute = line, configuration.budget_flops, is_mute
        self._decided = "nothing decided yet"
        self.rows = 0

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write the line of an entry."""
        if not self._is_mute:
            self._line.write(f"{_COLUMNS}\n" if not self.rows else "")
            self._line.write(_row(entry) + "\n")
        self.rows += 1
        if entry["kind"] in ("decision", "rollback"):
            self._decided = f"{entry['label']}: {entry['reason']}"
        share = min(entry["flops"] / self._budget, 1.0)
        self._line.update(f"{share:.0%} of {_short(self._budget)}FLOP · last decision: {self._decided}")


def _row(entry: Mapping[str, Any]) -> str:
    loss = f"{entry['loss']:.4f}" if "loss" in entry else ""
    accuracy = f"{entry['accuracy']:.2%}" if "accuracy" in entry else ""
    figures = f"{_short(entry['flops']):>8}  {entry['samples']:>9,}  {loss:>7}  {accuracy:>8}  "
    return (figures + f"{entry['parameters']:>10,}  {_what(entry)}").rstrip()


def _what(entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "decision":
        label = entry["label"] if entry["is_made"] or entry["candidate"] is None else f"not {entry['label']}"
        return f"{label}: {entry['reason']}"
    if entry["kind"] == "rollback":
        return f"took back {entry['label']}: {entry['reason']}"
    return "the test split" if entry["kind"] == "test" else ""


def _conclude(
    result: "RunResult", configuration: "RunConfiguration", out: Path, table: _Table, *, as_json: bool
) -> None:
    test, first = result.test, result.entries[0]
    if as_json:
        report = {
            "directory": str(out),
            "configuration": configuration.as_json(),
            "was_finished": not table.rows,
            "test": {"accuracy": test["accuracy"], "loss": test["loss"]},
            "parameters": {"first": first["parameters"], "last": test["parameters"]},
            "flops": test["flops"],
            "seconds": test["seconds"],
            "decisions": [entry for entry in result.entries if entry["kind"] == "decision"],
        }
        print_json(_FORMAT_VERSION, report)
        return
    if not table.rows:
        render.note(f"the run in {out} is finished already")
    changes = sum(entry["kind"] == "decision" and entry["is_made"] for entry in result.entries)
    click.echo(
        f"test accuracy {test['accuracy']:.2%} after {format_seconds(test['seconds'])}, "
        f"{first['parameters']:,} to {test['parameters']:,} parameters in "
        f"{format_count(changes, 'change')}"
    )
    render.note(f"`outgrow evolve show {out} --svg growth.svg` draws how it grew")


def _count(text: str) -> float:
    """`5e10`, `50G`, `2T` as a number."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "")
    try:
        return float(number.replace(",", "")) * _UNITS.get(unit, 1.0)
    except ValueError as err:
        raise InputError(f"{text!r} is no number of FLOPs", hint="for example 5e10, 50G or 2T") from err


def _short(count: float) -> str:
    for unit, size in reversed(_UNITS.items()):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} "


def _check_device(name: str) -> None:
    import torch

    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as err:
        raise InputError(
            f"cannot train on {name!r}: {str(err).splitlines()[0]}",
            hint="`outgrow doctor` lists what is here",
        ) from err
