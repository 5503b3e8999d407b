"""`outgrow evolve show`: how the model of a run grew, as text, picture or JSON."""

__all__ = ["show"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outgrow.cli import render
from outgrow.cli.json_output import json_option, print_json
from outgrow.cli.output_files import check_apart, check_writable, write_text

if TYPE_CHECKING:
    from outgrow.evolve.run.lanes import Lane

# Version of what `--json` prints; it goes up when a key changes its meaning or goes away.
_FORMAT_VERSION = 1
_BLOCKS = "▁▂▃▄▅▆▇█"
_COLUMNS = 48


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--svg", type=click.Path(path_type=Path), metavar="FILE", help="Write the growth as a picture.")
@json_option
@render.quiet_option
def show(directory: Path, svg: Path | None, as_json: bool) -> None:
    """Show how the model of the run in DIR grew, and why; also while it runs.

    Each layer is a line of blocks over the FLOPs of the run, as high as the layer is wide, with the accuracy
    on the validation split below; then every decision with its reason.
    """
    check_writable(svg)
    from outgrow.evolve.run import read_log, read_run
    from outgrow.evolve.run.lanes import lanes_of
    from outgrow.evolve.run.picture import draw_growth

    configuration, entries = read_run(directory), read_log(directory)
    lanes = lanes_of(entries)
    name = Path(configuration.model.rpartition(":")[0]).name or configuration.model
    title = f"{name} on {Path(configuration.data).name}, policy {configuration.policy}"
    if svg is not None:
        check_apart([svg], [path for path in directory.iterdir() if path.is_file()])
        write_text(svg, draw_growth(entries, title=title, budget_flops=configuration.budget_flops))
        render.wrote(svg)
    if as_json:
        report = {
            "configuration": configuration.as_json(),
            "is_finished": entries[-1]["kind"] == "test",
            "layers": [
                {"name": lane.name, "kind": lane.kind, "widths": [list(span) for span in lane.spans]}
                for lane in lanes
            ],
            "entries": list(entries),
        }
        print_json(_FORMAT_VERSION, report)
        return
    _show_growth(title, entries, lanes)
    _show_decisions(entries)


def _show_growth(title: str, entries: Sequence[Mapping[str, Any]], lanes: Sequence["Lane"]) -> None:
    most = float(entries[-1]["flops"]) or 1.0
    times = [most * (column + 1) / _COLUMNS for column in range(_COLUMNS)]
    widest = max(lane.most for lane in lanes)
    rows: list[tuple[object, ...]] = [
        (
            lane.name,
            lane.first,
            "".join(_block(lane.width_at(flops) / widest) for flops in times),
            lane.last or "gone",
        )
        for lane in lanes
    ]
    measured = [entry for entry in entries if entry["kind"] == "evaluation"]
    heights = [
        next((entry["accuracy"] for entry in reversed(measured) if entry["flops"] <= flops), 0.0)
        for flops in times
    ]
    last = [entry for entry in entries if "accuracy" in entry][-1]
    begin, end = f"{measured[0]['accuracy']:.1%}", f"{last['accuracy']:.1%}"
    rows.append(("accuracy", begin, "".join(map(_block, heights)), end))
    render.table(
        title, ("layer", "first", "over the FLOPs of the run", "last"), rows, right=("first", "last")
    )
    where = "on the test split" if last["kind"] == "test" else "on the validation split, not finished yet"
    click.echo(
        f"\n{entries[0]['parameters']:,} to {last['parameters']:,} parameters, {last['steps']:,} steps, "
        f"accuracy {last['accuracy']:.2%} {where}\n"
    )


def _show_decisions(entries: Sequence[Mapping[str, Any]]) -> None:
    told = [entry for entry in entries if entry["kind"] in ("decision", "rollback")]
    rows = []
    for entry in told:
        label = entry["label"]
        if entry["kind"] == "rollback":
            label = f"take back {label}"
        elif entry["candidate"] is not None and not entry["is_made"]:
            label = f"not {label}"
        share = f"{entry['steps']:,}"
        change = entry.get("change")
        moved = "" if change is None else f"{entry['promise']}, moved {change:.0e}"
        rows.append((share, label, entry["reason"], moved))
    if rows:
        render.table("Decisions", ("step", "what", "why", "promise"), rows, right=("step",))
    else:
        click.echo("no decisions yet")


def _block(height: float) -> str:
    return "·" if height <= 0 else _BLOCKS[min(int(height * len(_BLOCKS)), len(_BLOCKS) - 1)]
